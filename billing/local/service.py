"""What the supervisor keeps running, in the words that it understands."""

from abc import ABC, abstractmethod

from billing.local.child import Program


class Service(ABC):
    """Describes itself and says how it is; the supervisor starts, watches and stops its `program`."""

    @property
    @abstractmethod
    def program(self) -> Program:
        """Asked for after each `prepare`."""

    def prepare(self) -> None:  # noqa: B027  # most have nothing to prepare
        """Before each start; may take a moment."""

    def hear(self, line: str) -> None:  # noqa: B027  # nor to hear
        """Each line of output."""

    def is_ready(self, pid: int) -> bool:
        """Whether the process of this id does its work now; answers within two seconds."""
        return pid > 0
