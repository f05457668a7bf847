"""Looks at the broken invariants every second, on a connection of its own, for as long as the campaign lasts."""

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from billing import ledger
from billing.db import Begin
from billing.errors import TransientError

EVERY_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Seen:
    """`at` is in seconds from the start."""

    at: float
    rule: str
    subject: str


@dataclass
class Witness:
    begin: Begin
    seen: list[Seen] = field(default_factory=list)
    looks: int = 0
    _known: set[tuple[str, str]] = field(default_factory=set)

    def watch(self, over: threading.Event) -> None:
        began = time.monotonic()
        while True:
            self._look(time.monotonic() - began)
            if over.wait(EVERY_SECONDS):
                return

    def _look(self, at: float) -> None:
        try:
            found: Sequence[ledger.Violation] = ledger.violations(self.begin)
        except TransientError:  # the database is away: there is nothing to see
            return
        self.looks += 1
        for one in found:
            if (one.rule, one.subject) not in self._known:
                self._known.add((one.rule, one.subject))
                self.seen.append(Seen(round(at, 1), one.rule, one.subject))
