"""A tick of beat once in each local day, whatever the clocks of its zone do that night."""

from collections.abc import Callable
from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

from celery.schedules import BaseSchedule, schedstate

from billing.ticks import DAY, next_after

MADE_UP_WITHIN = DAY * 2 / 5
"""A scheduler that comes back later than this waits for the next tick: what was missed is the hourly sweep's."""


class Daily(BaseSchedule):
    """For Celery, whose own `crontab` counts in one zone for all entries, and across a change of clocks by guess."""

    def __init__(self, at: time, zone: ZoneInfo, nowfun: Callable[[], datetime] | None = None) -> None:
        super().__init__(nowfun)
        self.at, self.zone = at, zone

    def remaining_estimate(self, last_run_at: datetime) -> timedelta:
        now = self.now()
        since = max(self.maybe_make_aware(last_run_at), now - MADE_UP_WITHIN)
        return next_after(since, self.at, self.zone) - now

    def is_due(self, last_run_at: datetime) -> schedstate:
        """Whether to tick, and in how many seconds to ask again."""
        wait = self.remaining_estimate(last_run_at)
        if wait > timedelta():
            return schedstate(is_due=False, next=wait.total_seconds())
        now = self.now()
        return schedstate(is_due=True, next=(next_after(now, self.at, self.zone) - now).total_seconds())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Daily) and (other.at, other.zone.key) == (self.at, self.zone.key)

    def __hash__(self) -> int:
        return hash((self.at, self.zone.key))

    def __reduce__(self) -> tuple[type["Daily"], tuple[time, ZoneInfo]]:
        """Beat keeps its entries in a file."""
        return Daily, (self.at, self.zone)

    def __repr__(self) -> str:
        return f"daily at {self.at:%H:%M} in {self.zone.key}"
