"""Ticks: each is taken once, whoever ticks and how often."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from sqlmodel import select

from billing.db import Begin
from billing.messages import AuditBalances, EventsWaiting
from billing.models import BeatSlot
from workers.schedule import BY_KIND, KEPT, is_first_of_its_tick

TICK = datetime(2026, 3, 2, 12, 15, tzinfo=UTC)
AUDIT = BY_KIND[AuditBalances]
ZONE = ZoneInfo("Europe/Lisbon")


@pytest.mark.parametrize("late", [timedelta(), timedelta(seconds=-5), timedelta(seconds=5), AUDIT.stale_after])
def test_a_tick_has_one_slot_however_late_it_is_worked(late: timedelta) -> None:
    """A worker's clock may also be a little before beat's."""
    assert AUDIT.ticks.slot(TICK + late, ZONE) == TICK


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
