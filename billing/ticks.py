"""What is done by the clock, how often, and when it is due next.

Here, where both are told of it: the scheduler, and whoever wants to see whether it runs.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import ClassVar
from zoneinfo import ZoneInfo

from billing.messages import (
    AuditBalances,
    CloseAbandoned,
    CompareLedgers,
    DropOldRows,
    EraseShortLived,
    LapseHolds,
    Message,
    ReadEvents,
    StartLateSweep,
    StartNightlySweep,
    WarnStudents,
    WatchDisputes,
)

DAY = timedelta(days=1)
A_MONDAY = datetime(2024, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Every:
    """Counted from a Monday's midnight UTC, whatever clocks do."""

    every: timedelta

    def slot(self, now: datetime, _zone: ZoneInfo) -> datetime:
        """The tick nearest to now: a worker's clock may be a little before beat's."""
        return A_MONDAY + round((now - A_MONDAY) / self.every) * self.every

    def following(self, moment: datetime, _zone: ZoneInfo) -> datetime:
        """The first tick after that moment."""
        return A_MONDAY + ((moment - A_MONDAY) // self.every + 1) * self.every


@dataclass(frozen=True, slots=True)
class DailyAt:
    """Once in each day of the business, at a time of its clock."""

    at: time
    every: ClassVar[timedelta] = DAY

    def slot(self, now: datetime, zone: ZoneInfo) -> datetime:
        return nearest(now, self.at, zone)

    def following(self, moment: datetime, zone: ZoneInfo) -> datetime:
        return next_after(moment, self.at, zone)


Ticks = Every | DailyAt

TICKS: Mapping[type[Message], Ticks] = {
    AuditBalances: Every(timedelta(minutes=15)),
    LapseHolds: Every(timedelta(minutes=15)),
    StartNightlySweep: DailyAt(time(2, 30)),
    StartLateSweep: Every(timedelta(hours=1)),
    WarnStudents: DailyAt(time(9)),
    CloseAbandoned: Every(timedelta(hours=1)),
    WatchDisputes: DailyAt(time(8)),
    ReadEvents: Every(timedelta(minutes=1)),
    CompareLedgers: DailyAt(time(3, 30)),
    DropOldRows: Every(timedelta(weeks=1)),
    EraseShortLived: Every(timedelta(hours=1)),
}


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
