"""Staff give hours and take hours back, by entries that say who, when and why."""

import threading
from datetime import UTC, datetime, timedelta

import pytest

from billing import ledger
from billing.db import Begin
from billing.staff.wishes import Correct, Grant
from billing.states import ActState, LotOrigin
from tests.support.factories import add_student, minutes_left
from tests.support.records import DAY, bought, credited
from tests.support.staff import StaffRoom
from tests.support.statements import counted


@pytest.fixture
def room(begin: Begin, database_url: str, now: datetime) -> StaffRoom:
    return StaffRoom(begin, database_url, now)


@pytest.fixture
def student(begin: Begin, now: datetime) -> int:
    return add_student(begin, at=now, external_id="user-1")


def test_granted_hours_are_a_lot_of_their_own(room: StaffRoom, student: int) -> None:
    """Without value, so that no refund ever pays for them; they last as a package does that is bought now."""
    act = room.do(Grant(student_id=student, minutes=120, validity_days=30))
    assert act.state is ActState.DONE
    lot = room.lot()
    assert (lot.origin, lot.value_cents, lot.minutes_granted, lot.minutes_left) == (LotOrigin.GRANT, 0, 120, 120)
    assert (lot.starts_at, lot.expires_at) == (room.now, datetime(2026, 4, 1, 23, tzinfo=UTC))
    assert room.entries() == [("credit", 120, f"staff_act:{act.id}")]
    assert act.before == {"minutes_available": 0}
    assert act.after == {"minutes_available": 120, "expires_at": "2026-04-01T23:00:00.000Z"}
    assert ledger.violations(room.begin) == []


@pytest.mark.parametrize("swept", [False, True])
def test_expired_hours_are_none_that_are_there(room: StaffRoom, student: int, *, swept: bool) -> None:
    bought(room.begin, student, at=room.now, expires_at=room.now + DAY)
    room.now += 2 * DAY
    if swept:
        room.sweep()
    act = room.do(Grant(student_id=student, minutes=60, validity_days=1))
    assert act.after is not None
    assert (act.before, act.after["minutes_available"]) == ({"minutes_available": 0}, 60)
    assert room.do(Correct(student_id=student, minutes=61)).error_type == "insufficient_balance"
    assert ledger.violations(room.begin) == []


def test_hours_are_taken_back_in_turn(room: StaffRoom, student: int) -> None:
    """Of what would be spent next, so that the student keeps what lasts longest."""
    bought(room.begin, student, at=room.now, expires_at=room.now + 40 * DAY)
    credited(room.begin, student, at=room.now, expires_at=room.now + DAY, minutes=60)
    act = room.do(Correct(student_id=student, minutes=90))
    assert (act.before, act.after) == ({"minutes_available": 660}, {"minutes_available": 570})
    assert room.entries()[-1] == ("correct", -90, f"staff_act:{act.id}")
    lots = [(room.lot(lot_id).minutes_left, room.lot(lot_id).minutes_refunded) for lot_id in (1, 2)]
    assert lots == [(570, 30), (0, 60)]
    assert minutes_left(room.begin, student) == 570
    assert ledger.violations(room.begin) == []


def test_more_than_is_there_is_not_taken(room: StaffRoom, student: int) -> None:
    """Also of a debt: what is owed is spent already."""
    bought(room.begin, student, at=room.now)
    assert room.do(Correct(student_id=student, minutes=601)).error_type == "insufficient_balance"
    room.run("UPDATE student_balance SET minutes_owed = 550")
    act = room.do(Correct(student_id=student, minutes=51))
    assert (act.state, act.error_message) == (ActState.REFUSED, "only 0.83 hours are there to be taken back")
    assert room.do(Correct(student_id=student, minutes=50)).state is ActState.DONE
    assert [kind for kind, _, _ in room.entries()] == ["credit", "correct"]


@pytest.mark.parametrize("wish", [Grant(student_id=9, minutes=1, validity_days=1), Correct(student_id=9, minutes=1)])
def test_nobody_is_given_nothing(room: StaffRoom, wish: Grant | Correct) -> None:
    act = room.do(wish)
    assert (act.state, act.error_type, act.error_message) == (ActState.REFUSED, "not_found", "there is no student 9")


def test_two_corrections_at_once_take_no_more_than_there_is(room: StaffRoom, student: int) -> None:
    bought(room.begin, student, at=room.now)
    ids = [room.accept(Correct(student_id=student, minutes=400)).id for _ in range(2)]
    threads = [threading.Thread(target=room.perform, args=(act_id,)) for act_id in ids]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(room.row(act_id).state for act_id in ids) == [ActState.DONE, ActState.REFUSED]
    assert minutes_left(room.begin, student) == 200
    assert ledger.violations(room.begin) == []


def test_a_correction_of_many_lots_is_as_many_statements_as_one(room: StaffRoom, student: int) -> None:
    sent: list[int] = []
    for lots in (1, 30):
        for number in range(lots):
            ends = room.now + timedelta(days=1 + number)
            credited(room.begin, student, at=room.now, expires_at=ends, minutes=10, source=f"grant:{lots}:{number}")
        act_id = room.accept(Correct(student_id=student, minutes=10 * lots)).id
        with counted() as statements:
            room.perform(act_id)
        assert room.row(act_id).state is ActState.DONE
        sent.append(len(statements))
    assert sent[0] == sent[1]
    assert minutes_left(room.begin, student) == 0
