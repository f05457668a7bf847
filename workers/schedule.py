"""Beat: when, which message, and when it is stale.

A tick is a hint like any other, so two schedulers, a restarted one and a late message must do no harm: the worker takes
the tick's slot by a unique row before it begins.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Any, ClassVar, Protocol
from zoneinfo import ZoneInfo

from celery.schedules import BaseSchedule, crontab
from sqlalchemy import delete
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import col

from billing.db import Begin
from billing.messages import (
    AuditBalances,
    CloseAbandoned,
    CompareLedgers,
    DropOldRows,
    LapseHolds,
    Message,
    ReadEvents,
    StartLateSweep,
    StartNightlySweep,
    WarnStudents,
    WatchDisputes,
)
from billing.models import BeatSlot
from workers.nights import Daily, nearest

KEPT = timedelta(days=30)
A_MONDAY = datetime(2024, 1, 1, tzinfo=UTC)


class Ticks(Protocol):
    @property
    def every(self) -> timedelta: ...

    def schedule(self, zone: ZoneInfo) -> BaseSchedule: ...

    def slot(self, now: datetime, zone: ZoneInfo) -> datetime:
        """The tick nearest to now: a worker's clock may be a little before beat's."""


@dataclass(frozen=True, slots=True)
class Every:
    """Counted from a Monday's midnight UTC, whatever clocks do; `crontab` ticks once in each `every`."""

    every: timedelta
    crontab: crontab

    def schedule(self, _zone: ZoneInfo) -> BaseSchedule:
        return self.crontab

    def slot(self, now: datetime, _zone: ZoneInfo) -> datetime:
        return A_MONDAY + round((now - A_MONDAY) / self.every) * self.every


@dataclass(frozen=True, slots=True)
class DailyAt:
    """Once in each day of the business, at a time of its clock."""

    at: time
    every: ClassVar[timedelta] = timedelta(days=1)

    def schedule(self, zone: ZoneInfo) -> BaseSchedule:
        return Daily(self.at, zone)

    def slot(self, now: datetime, zone: ZoneInfo) -> datetime:
        return nearest(now, self.at, zone)


@dataclass(frozen=True, slots=True)
class Entry:
    message: Message
    ticks: Ticks

    @property
    def name(self) -> str:
        return self.message.task

    @property
    def every(self) -> timedelta:
        return self.ticks.every

    @property
    def stale_after(self) -> timedelta:
        """Below half of the period, so that no late tick is taken for the next one."""
        return self.every * 2 / 5


ENTRIES = (
    Entry(AuditBalances(), Every(timedelta(minutes=15), crontab(minute="*/15"))),
    Entry(LapseHolds(), Every(timedelta(minutes=15), crontab(minute="*/15"))),
    Entry(StartNightlySweep(), DailyAt(time(2, 30))),
    Entry(StartLateSweep(), Every(timedelta(hours=1), crontab(minute="0"))),
    Entry(WarnStudents(), DailyAt(time(9))),
    Entry(CloseAbandoned(), Every(timedelta(hours=1), crontab(minute="0"))),
    Entry(WatchDisputes(), DailyAt(time(8))),
    Entry(ReadEvents(), Every(timedelta(minutes=1), crontab())),
    Entry(CompareLedgers(), DailyAt(time(3, 30))),
    Entry(DropOldRows(), Every(timedelta(weeks=1), crontab(minute="0", hour="0", day_of_week="1"))),
)

BY_KIND = {type(entry.message): entry for entry in ENTRIES}


def beat_schedule(zone: ZoneInfo) -> dict[str, dict[str, Any]]:
    """For Celery's `beat_schedule`."""
    return {
        entry.name: {
            "task": entry.message.task,
            "schedule": entry.ticks.schedule(zone),
            "kwargs": entry.message.model_dump(mode="json"),
            "options": {
                "queue": entry.message.queue,
                "expires": entry.stale_after.total_seconds(),
                # Beat would write the worker's own limits into the message, where none of ours has any.
                "time_limit": None,
                "soft_time_limit": None,
            },
        }
        for entry in ENTRIES
    }


def is_first_of_its_tick(begin: Begin, kind: type[Message], now: datetime, zone: ZoneInfo) -> bool:
    """True for what is not scheduled, and for the first message of each tick."""
    entry = BY_KIND.get(kind)
    return entry is None or _take_slot(begin, entry, entry.ticks.slot(now, zone))


def _take_slot(begin: Begin, entry: Entry, slot: datetime) -> bool:
    taken = insert(BeatSlot).values(entry=entry.name, slot=slot).on_conflict_do_nothing().returning(col(BeatSlot.slot))
    old = delete(BeatSlot).where(col(BeatSlot.entry) == entry.name, col(BeatSlot.slot) < slot - KEPT)
    with begin() as session:
        is_first = session.execute(taken).first() is not None
        if is_first:
            session.execute(old)
    return is_first
