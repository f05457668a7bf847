"""So many in a second and no more: each begins when its turn comes, and none makes up for time that was lost."""

import re
from collections.abc import Callable
from dataclasses import dataclass

RATE = re.compile(r"([0-9]{1,4})/(s|m|h)", re.ASCII)
SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0}


def gap_of(rate: str) -> float:
    """Seconds between two, of a rate such as `10/s`. Raises ValueError."""
    found = RATE.fullmatch(rate)
    if found is None or int(found[1]) == 0:
        raise ValueError(f"{rate!r} is no rate; write one like 10/s, 30/m or 500/h")
    return SECONDS[found[2]] / int(found[1])


@dataclass(slots=True)
class Pace:
    """`sleep` may return early where everything is to end; `clock` counts seconds and never goes back."""

    gap_seconds: float
    clock: Callable[[], float]
    sleep: Callable[[float], object]
    _next_at: float | None = None

    def wait(self) -> None:
        """Until the next one may begin; the first may at once."""
        now = self.clock()
        if self._next_at is not None and self._next_at > now:
            self.sleep(self._next_at - now)
            now = max(self.clock(), self._next_at)
        self._next_at = now + self.gap_seconds
