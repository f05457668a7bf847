"""What faults take hold of: processes, the broker, the sandbox's control, the clock."""

import socket
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from billing.chaos.kept import Keeper
from billing.chaos.line import Line
from billing.clock import Offset
from billing.errors import TransientError

FURTHEST_HOURS = 26 * 24
"""Packages of a campaign must not expire in it: the shortest lasts thirty days."""
BROKER_WAITS_SECONDS = 0.5


class ControlLostError(TransientError):
    """The sandbox does not do what its control says: the campaign's own instrument is broken."""


@dataclass(frozen=True, slots=True)
class Ground:
    """`drop_share` of the events get lost for as long as faults last."""

    keeper: Keeper
    control: Line
    offset: Offset
    broker_url: str
    drop_share: float
    seed: int

    def break_stripe(self, rule: Mapping[str, object]) -> None:
        self._tell("POST", "/faults", [{"seed": self.seed, **rule}])

    def mend_stripe(self) -> None:
        self._tell("DELETE", "/faults")

    def deliver(self, plan: Mapping[str, object] | None = None) -> None:
        """Without a plan as usual, but for what gets lost."""
        self._tell("POST", "/delivery", {"drop_share": self.drop_share, **(plan or {})})

    def deliver_all(self) -> None:
        self._tell("POST", "/delivery", {})

    def jump(self, hours: int) -> None:
        """The clock that the processes follow first, the sandbox's after it: whoever hears lives in the new time."""
        seconds = self.offset.seconds + hours * 3600
        if seconds <= FURTHEST_HOURS * 3600:
            self.offset.move_to(seconds)
            self._tell("POST", "/clock", {"offset_seconds": seconds})

    def wipe_broker(self) -> None:
        """A broker that does not answer at once has nothing wiped."""
        url = urlsplit(self.broker_url)
        try:
            with socket.create_connection((url.hostname or "", url.port or 0), BROKER_WAITS_SECONDS) as connection:
                connection.sendall(f"AUTH {url.password}\r\nFLUSHALL\r\nQUIT\r\n".encode())
                while connection.recv(1024):
                    continue
        except OSError:
            return

    def _tell(self, method: str, path: str, body: object = None) -> None:
        answer = self.control.ask(method, path, json_body=body)
        if answer is None or answer.status != 200:
            raise ControlLostError(f"the sandbox refuses {path}: {answer.body if answer else 'no answer'}")
