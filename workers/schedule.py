"""Beat: when, which message, and when it is stale.

A tick is a hint like any other, so two schedulers, a restarted one and a late message must do no harm: the worker takes
the tick's slot by a unique row before it begins.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from celery.schedules import BaseSchedule, crontab
from sqlalchemy import delete
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import col

from billing.db import Begin
from billing.messages import Message
from billing.models import BeatSlot
from billing.ticks import TICKS, DailyAt, Ticks
from workers.nights import Daily

KEPT = timedelta(days=30)
CRONTABS: Mapping[timedelta, crontab] = {
    timedelta(minutes=1): crontab(),
    timedelta(minutes=15): crontab(minute="*/15"),
    timedelta(hours=1): crontab(minute="0"),
    timedelta(weeks=1): crontab(minute="0", hour="0", day_of_week="1"),
}
"""Each ticks once in its period, when that begins."""


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

    def schedule(self, zone: ZoneInfo) -> BaseSchedule:
        return Daily(self.ticks.at, zone) if isinstance(self.ticks, DailyAt) else CRONTABS[self.every]


ENTRIES = tuple(Entry(kind(), ticks) for kind, ticks in TICKS.items())
BY_KIND = {type(entry.message): entry for entry in ENTRIES}


def beat_schedule(zone: ZoneInfo) -> dict[str, dict[str, Any]]:
    """For Celery's `beat_schedule`."""
    return {
        entry.name: {
            "task": entry.message.task,
            "schedule": entry.schedule(zone),
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
