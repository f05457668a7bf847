"""The sandbox's time: the machine's, plus an offset that a test moves.

It dates objects and events, ages idempotency keys, settles payments and signs deliveries: whoever receives those has
moved with it. Only the waits between repeated deliveries are the machine's own.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from billing.sandbox.settings import Settings

_OFFSET = "clock_offset_seconds"


class Clock:
    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._moment: int | None = None
        self.reload()

    def reload(self) -> None:
        self.offset_seconds = int(self._settings.get(_OFFSET, 0))

    def now(self) -> int:
        return int(time.time()) + self.offset_seconds if self._moment is None else self._moment

    def exact(self) -> float:
        return time.time() + self.offset_seconds

    @contextmanager
    def at(self, moment: float) -> Iterator[None]:
        """What is done late, because time was moved past it, is dated when it was due: periods follow one another."""
        self._moment = int(moment)
        try:
            yield
        finally:
            self._moment = None

    def move_to(self, offset_seconds: int) -> None:
        self.offset_seconds = offset_seconds
        self._settings.put(_OFFSET, offset_seconds)
