"""The course of the faults of one campaign: each begun and undone when its time comes."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from billing.chaos.faults import BEGIN
from billing.chaos.ground import Ground
from billing.chaos.plan import FaultKind, Planned

WIPE_EVERY_SECONDS = 1.0


@dataclass
class Course:
    ground: Ground
    planned: Sequence[Planned]
    wipe_broker: bool
    """Each second, beside everything else."""
    done: Counter[FaultKind] = field(default_factory=Counter)
    _undo: list[tuple[float, Callable[[], None]]] = field(default_factory=list)
    _begun: int = 0
    _wiped_at: float = 0.0

    def begin(self) -> None:
        self.ground.deliver()

    def look(self, elapsed: float) -> None:
        """Do what is due so many seconds after the start."""
        for undo in [due for due in self._undo if due[0] <= elapsed]:
            self._undo.remove(undo)
            undo[1]()
        while self._begun < len(self.planned) and self.planned[self._begun].begins <= elapsed:
            self._begin(self.planned[self._begun])
            self._begun += 1
        if self.wipe_broker and elapsed - self._wiped_at >= WIPE_EVERY_SECONDS:
            self._wiped_at = elapsed
            self.ground.wipe_broker()
            self.done[FaultKind.WIPE] += 1

    def end(self) -> None:
        """Everything is undone, and nothing gets lost any more."""
        for _, undo in self._undo:
            undo()
        self._undo.clear()
        self.ground.mend_stripe()
        self.ground.deliver_all()

    def _begin(self, fault: Planned) -> None:
        undo = BEGIN[fault.kind](self.ground, fault.luck)
        self.done[fault.kind] += 1
        if undo is not None:
            self._undo.append((fault.ends, undo))
