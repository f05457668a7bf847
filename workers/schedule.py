"""Beat: when, which message, and when it is stale.

A tick is a hint like any other, so two schedulers, a restarted one and a late message must do no harm: the worker takes
the tick's slot by a unique row before it begins.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from celery.schedules import crontab
from sqlalchemy import delete
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import col

from billing.db import Begin
from billing.messages import AuditBalances, Message
from billing.models import BeatSlot

KEPT = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Entry:
    """Ticks are counted from midnight UTC; `schedule` ticks once in each `every`."""

    message: Message
    schedule: crontab
    every: timedelta

    @property
    def name(self) -> str:
        return self.message.task

    @property
    def stale_after(self) -> timedelta:
        """Below half of the period, so that no late tick is taken for the next one."""
        return self.every * 2 / 5

    def slot(self, now: datetime) -> datetime:
        """The tick nearest to now: a worker's clock may be a little before beat's."""
        day = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        return day + round((now - day) / self.every) * self.every


ENTRIES = (Entry(AuditBalances(), crontab(minute="*/15"), timedelta(minutes=15)),)

BY_KIND = {type(entry.message): entry for entry in ENTRIES}


def beat_schedule() -> dict[str, dict[str, Any]]:
    """For Celery's `beat_schedule`."""
    return {
        entry.name: {
            "task": entry.message.task,
            "schedule": entry.schedule,
            "kwargs": entry.message.model_dump(mode="json"),
            "options": {"queue": entry.message.queue, "expires": entry.stale_after.total_seconds()},
        }
        for entry in ENTRIES
    }


def is_first_of_its_tick(begin: Begin, kind: type[Message], now: datetime) -> bool:
    """True for what is not scheduled, and for the first message of each tick."""
    entry = BY_KIND.get(kind)
    return entry is None or _take_slot(begin, entry, now)


def _take_slot(begin: Begin, entry: Entry, now: datetime) -> bool:
    slot = entry.slot(now)
    taken = insert(BeatSlot).values(entry=entry.name, slot=slot).on_conflict_do_nothing().returning(col(BeatSlot.slot))
    old = delete(BeatSlot).where(col(BeatSlot.entry) == entry.name, col(BeatSlot.slot) < slot - KEPT)
    with begin() as session:
        is_first = session.execute(taken).first() is not None
        if is_first:
            session.execute(old)
    return is_first
