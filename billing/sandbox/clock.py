"""The sandbox's time: the machine's, plus an offset that a test moves.

It dates objects and events, ages idempotency keys and settles payments. Signatures and repeated deliveries go by the
machine's own time, as they must agree with whoever receives them.
"""

import time

from billing.sandbox.settings import Settings

_OFFSET = "clock_offset_seconds"


class Clock:
    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.reload()

    def reload(self) -> None:
        self.offset_seconds = int(self._settings.get(_OFFSET, 0))

    def now(self) -> int:
        return int(time.time()) + self.offset_seconds

    def exact(self) -> float:
        return time.time() + self.offset_seconds

    def advance(self, seconds: int) -> None:
        self._move_to(self.offset_seconds + seconds)

    def reset(self) -> None:
        self._move_to(0)

    def _move_to(self, offset_seconds: int) -> None:
        self.offset_seconds = offset_seconds
        self._settings.put(_OFFSET, offset_seconds)
