"""A tick of beat once in each local day, whatever the clocks of its zone do that night."""

from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from celery.schedules import BaseSchedule, schedstate

DAY = timedelta(days=1)
MADE_UP_WITHIN = DAY * 2 / 5
"""A scheduler that comes back later than this waits for the next tick: what was missed is the hourly sweep's."""


def instant(day: date, at: time, zone: ZoneInfo) -> datetime:
    """In UTC. A time that a clock change leaves out is taken as if it had come later, one that comes twice at first.

    That is what `fold=0` means of a local time (PEP 495), so each day has exactly one such instant.
    """
    return datetime.combine(day, at, zone).astimezone(UTC)


def nearest(now: datetime, at: time, zone: ZoneInfo) -> datetime:
    return min(_around(now, at, zone), key=lambda tick: abs(tick - now))


def next_after(moment: datetime, at: time, zone: ZoneInfo) -> datetime:
    return min(tick for tick in _around(moment, at, zone) if tick > moment)


def _around(moment: datetime, at: time, zone: ZoneInfo) -> list[datetime]:
    """Two days on either side: a zone that skips a whole day has no tick on it."""
    today = moment.astimezone(zone).date()
    return [instant(today + days * DAY, at, zone) for days in (-2, -1, 0, 1, 2)]


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
