"""Ticks: each is taken once, whoever ticks and how often."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from sqlmodel import select

from billing.db import Begin
from billing.messages import AuditBalances, CompareLedgers, DropOldRows, EventsWaiting, Message, ReadEvents
from billing.models import BeatSlot
from workers.schedule import BY_KIND, KEPT, is_first_of_its_tick

TICK = datetime(2026, 3, 2, 12, 15, tzinfo=UTC)
AUDIT = BY_KIND[AuditBalances]
WEEKLY = BY_KIND[DropOldRows]
ZONE = ZoneInfo("Europe/Lisbon")


@pytest.mark.parametrize("late", [timedelta(), timedelta(seconds=-5), timedelta(seconds=5), AUDIT.stale_after])
def test_a_tick_has_one_slot_however_late_it_is_worked(late: timedelta) -> None:
    """A worker's clock may also be a little before beat's."""
    assert AUDIT.ticks.slot(TICK + late, ZONE) == TICK


def test_a_week_has_one_slot() -> None:
    """It begins on Monday, and a tick that is worked two days late is still that Monday's."""
    monday = datetime(2026, 3, 2, tzinfo=UTC)
    for late in (timedelta(minutes=-1), timedelta(), WEEKLY.stale_after):
        assert WEEKLY.ticks.slot(monday + late, ZONE) == monday
    assert WEEKLY.ticks.slot(monday + timedelta(weeks=1), ZONE) == monday + timedelta(weeks=1)


@pytest.mark.parametrize("kind", [ReadEvents, CompareLedgers, DropOldRows])
def test_what_recovers_is_scheduled(kind: type[Message], begin: Begin) -> None:
    """Two ticks of one instant are one; the next one is another."""
    entry = BY_KIND[kind]
    tick = entry.ticks.slot(TICK, ZONE)
    taken = [is_first_of_its_tick(begin, kind, at, ZONE) for at in (tick, tick + entry.stale_after, tick + entry.every)]
    assert taken == [True, False, True]


def test_two_schedulers_start_the_work_once(begin: Begin) -> None:
    with ThreadPoolExecutor(8) as pool:
        taken = list(pool.map(lambda _: is_first_of_its_tick(begin, AuditBalances, TICK, ZONE), range(8)))
    assert taken.count(True) == 1
    assert is_first_of_its_tick(begin, AuditBalances, TICK + AUDIT.every, ZONE)


def test_what_is_not_scheduled_takes_no_slot(begin: Begin) -> None:
    assert is_first_of_its_tick(begin, EventsWaiting, TICK, ZONE)
    assert is_first_of_its_tick(begin, EventsWaiting, TICK, ZONE)
    with begin() as session:
        assert session.exec(select(BeatSlot)).all() == []


def test_old_slots_go(begin: Begin) -> None:
    is_first_of_its_tick(begin, AuditBalances, TICK, ZONE)
    is_first_of_its_tick(begin, AuditBalances, TICK + KEPT + AUDIT.every, ZONE)
    with begin() as session:
        assert [slot.slot for slot in session.exec(select(BeatSlot))] == [TICK + KEPT + AUDIT.every]
