"""Staff let a package last longer: whole days of the business, and what was written off comes back."""

import threading
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from sqlalchemy import text

from billing import ledger
from billing.db import Begin
from billing.models import Purchase, StaffAct
from billing.staff.wishes import LONGEST_DAYS, BulkExtend, Extend
from billing.states import ActState, PlanType, PurchaseState
from tests.support.factories import STANDARD_MINUTES, add_purchase, add_student, minutes_left
from tests.support.locks import until_somebody_waits
from tests.support.records import DAY, bought, credited, taken
from tests.support.staff import StaffRoom
from tests.support.statements import counted

ENDS = datetime(2026, 3, 10, tzinfo=UTC)
"""Midnight in Lisbon, so that the last day is the 9th."""


@pytest.fixture
def room(begin: Begin, database_url: str, now: datetime) -> StaffRoom:
    return StaffRoom(begin, database_url, now)


@pytest.fixture
def student(begin: Begin, now: datetime) -> int:
    return add_student(begin, at=now, external_id="user-1")


@pytest.fixture
def package(begin: Begin, student: int, now: datetime) -> Purchase:
    """Ten hours until the end of 9 March, of which one and a half are used."""
    purchase = bought(begin, student, at=now, expires_at=ENDS)
    taken(begin, 1, 90, at=now)
    return purchase


def refusal(act: StaffAct) -> tuple[ActState, str | None]:
    return act.state, act.error_type


@pytest.mark.usefixtures("package")
def test_days_are_added_to_the_last_one(room: StaffRoom) -> None:
    act = room.do(Extend(transaction_id=1, extension_days=30))
    assert act.state is ActState.DONE
    # Summer time begins on 29 March: the 9th of April begins at 23:00 UTC of the 8th.
    assert room.lot().expires_at == datetime(2026, 4, 8, 23, tzinfo=UTC)
    facts = {"transaction_id": 1, "minutes_left": 510, "minutes_expired": 0}
    assert act.before == {**facts, "expires_at": "2026-03-10T00:00:00.000Z"}
    assert act.after == {**facts, "expires_at": "2026-04-08T23:00:00.000Z"}
    assert [kind for kind, _, _ in room.entries()] == ["credit", "consume"]
    assert ledger.violations(room.begin) == []


@pytest.mark.usefixtures("package")
def test_an_end_within_a_day_counts_that_day_as_the_last(room: StaffRoom) -> None:
    room.run("UPDATE hour_lot SET expires_at = '2026-03-09T15:00:00Z'")
    room.do(Extend(transaction_id=1, extension_days=1))
    assert room.lot().expires_at == datetime(2026, 3, 11, tzinfo=UTC)


@pytest.mark.usefixtures("package")
def test_from_now_the_days_begin_today(room: StaffRoom) -> None:
    """As if it were bought now: the day itself, and so many more."""
    room.now = datetime(2026, 3, 12, 23, 30, tzinfo=UTC)
    act = room.do(Extend(transaction_id=1, extension_days=2, extend_from_now=True))
    assert act.state is ActState.DONE
    assert room.lot().expires_at == datetime(2026, 3, 15, tzinfo=UTC)


@pytest.mark.usefixtures("package")
def test_what_a_sweep_wrote_off_comes_back(room: StaffRoom, student: int) -> None:
    """By an entry of its own: what was written stays written."""
    room.now = ENDS + timedelta(hours=1)
    room.sweep()
    assert minutes_left(room.begin, student) == 0
    act = room.do(Extend(transaction_id=1, extension_days=30))
    assert act.before is not None
    assert act.after is not None
    assert (act.before["minutes_left"], act.before["minutes_expired"]) == (0, 510)
    assert (act.after["minutes_left"], act.after["minutes_expired"]) == (510, 0)
    assert room.entries()[-2:] == [("expire", -510, "lot:1:expired"), ("restore", 510, f"staff_act:{act.id}:lot:1")]
    lot = room.lot()
    assert (lot.minutes_left, lot.minutes_expired, lot.minutes_consumed) == (510, 0, 90)
    assert minutes_left(room.begin, student) == 510
    assert ledger.violations(room.begin) == []


@pytest.mark.usefixtures("package")
def test_what_came_back_expires_again(room: StaffRoom, student: int) -> None:
    """The second sweep has an entry of its own too."""
    for days in (1, 2):
        room.now = (room.lot().expires_at or room.now) + timedelta(hours=1)
        room.sweep()
        assert minutes_left(room.begin, student) == 0
        room.do(Extend(transaction_id=1, extension_days=days))
        assert minutes_left(room.begin, student) == 510
    sources = [source for kind, _, source in room.entries() if kind == "expire"]
    assert sources == ["lot:1:expired", "lot:1:expired:2"]
    assert ledger.violations(room.begin) == []


@pytest.mark.usefixtures("package")
@pytest.mark.parametrize("swept", [False, True])
def test_so_few_days_that_it_is_still_expired_are_refused(room: StaffRoom, *, swept: bool) -> None:
    room.now = ENDS + 10 * DAY
    if swept:
        room.sweep()
    before = room.lot()
    act = room.do(Extend(transaction_id=1, extension_days=10))
    assert refusal(act) == (ActState.REFUSED, "still_expired")
    assert "extend_from_now" in (act.error_message or "")
    assert (act.before, act.after) == (None, None)
    assert room.lot().expires_at == before.expires_at
    assert refusal(room.do(Extend(transaction_id=1, extension_days=11))) == (ActState.DONE, None)


@pytest.mark.usefixtures("package")
def test_nothing_lasts_for_more_than_five_years_from_now(room: StaffRoom) -> None:
    room.now = datetime(2026, 3, 8, 12, tzinfo=UTC)
    assert refusal(room.do(Extend(transaction_id=1, extension_days=LONGEST_DAYS))) == (
        ActState.REFUSED,
        "extension_too_long",
    )
    wish = Extend(transaction_id=1, extension_days=LONGEST_DAYS, extend_from_now=True)
    assert room.do(wish).state is ActState.DONE
    room.run("UPDATE hour_lot SET expires_at = '9999-12-31T00:00:00Z'")
    assert room.do(Extend(transaction_id=1, extension_days=7)).error_type == "extension_too_long"


@pytest.mark.usefixtures("package")
def test_an_extension_never_takes_time_away(room: StaffRoom) -> None:
    act = room.do(Extend(transaction_id=1, extension_days=1, extend_from_now=True))
    assert refusal(act) == (ActState.REFUSED, "extension_too_short")
    assert room.lot().expires_at == ENDS


@pytest.mark.parametrize("state", [s for s in PurchaseState if s is not PurchaseState.COMPLETED])
def test_only_what_was_paid_and_kept_is_extended(room: StaffRoom, student: int, state: PurchaseState) -> None:
    add_purchase(room.begin, at=room.now, state=state, student_id=student)
    act = room.do(Extend(transaction_id=1, extension_days=1))
    assert refusal(act) == (ActState.REFUSED, "invalid_transaction_state")
    assert state in (act.error_message or "")


def test_a_subscription_and_hours_without_end_are_refused(room: StaffRoom, student: int, package: Purchase) -> None:
    facts: dict[str, Any] = {"at": room.now, "state": PurchaseState.COMPLETED, "student_id": student}
    add_purchase(room.begin, plan_type=PlanType.SUBSCRIPTION, validity_days=None, **facts)
    add_purchase(room.begin, **facts)
    room.run("UPDATE hour_lot SET expires_at = NULL WHERE purchase_id = :id", id=package.id)
    for transaction_id in (1, 2, 3):
        act = room.do(Extend(transaction_id=transaction_id, extension_days=1))
        assert refusal(act) == (ActState.REFUSED, "invalid_transaction_state")


def test_an_unknown_package_is_refused_by_the_worker_too(room: StaffRoom) -> None:
    act = room.do(Extend(transaction_id=7, extension_days=1))
    assert refusal(act) == (ActState.REFUSED, "not_found")
    assert act.error_message == "there is no package 7"


# --- many at once ---


@pytest.fixture
def three(begin: Begin, student: int, now: datetime) -> None:
    """Two packages of a student and one of another, of which the first is swept."""
    other = add_student(begin, "rui@example.com", at=now)
    for owner, ends in ((student, ENDS - 5 * DAY), (student, ENDS), (other, ENDS)):
        bought(begin, owner, at=now, expires_at=ends)


@pytest.mark.usefixtures("three")
def test_all_of_them_are_extended(room: StaffRoom) -> None:
    room.now = ENDS - 4 * DAY
    room.sweep()
    act = room.do(BulkExtend(transaction_ids=(3, 1, 2, 1), extension_days=7))
    assert act.state is ActState.DONE
    assert act.parameters["transaction_ids"] == [1, 2, 3]
    assert [room.lot(lot_id).expires_at for lot_id in (1, 2, 3)] == [ENDS + 2 * DAY, ENDS + 7 * DAY, ENDS + 7 * DAY]
    assert act.after is not None
    assert [one["minutes_left"] for one in act.after["packages"]] == [STANDARD_MINUTES] * 3
    assert room.entries()[-1] == ("restore", STANDARD_MINUTES, f"staff_act:{act.id}:lot:1")
    assert ledger.violations(room.begin) == []


@pytest.mark.usefixtures("three")
@pytest.mark.parametrize("fault", ["not_found", "invalid_transaction_state", "still_expired"])
def test_one_that_is_refused_refuses_them_all(room: StaffRoom, fault: str) -> None:
    """Half of a list that was extended would have to be found by hand."""
    room.now = ENDS - 4 * DAY
    room.sweep()
    entries = room.entries()
    ids, days = [1, 2, 3], 7
    if fault == "not_found":
        ids.append(9)
    elif fault == "still_expired":
        room.now, days = ENDS - DAY, 3
    else:
        room.run("UPDATE purchase SET state = 'refunded' WHERE transaction_id = 3")
    act = room.do(BulkExtend(transaction_ids=tuple(ids), extension_days=days))
    assert refusal(act) == (ActState.REFUSED, fault)
    assert room.entries() == entries
    assert [room.lot(lot_id).expires_at for lot_id in (1, 2, 3)] == [ENDS - 5 * DAY, ENDS, ENDS]


def test_many_cost_as_many_statements_as_one(room: StaffRoom, student: int) -> None:
    """Each is a row of the same few statements, however many there are."""
    sent: list[int] = []
    for ids in ((1,), tuple(range(2, 42))):
        for _ in ids:
            bought(room.begin, student, at=room.now, expires_at=ENDS)
        room.now = ENDS + timedelta(hours=1)
        room.sweep()
        act_id = room.accept(BulkExtend(transaction_ids=ids, extension_days=7)).id
        with counted() as statements:
            room.perform(act_id)
        assert room.row(act_id).state is ActState.DONE
        sent.append(len(statements))
    assert sent[0] == sent[1]
    assert ledger.violations(room.begin) == []


def test_two_extensions_at_once_come_one_after_the_other(room: StaffRoom, package: Purchase) -> None:
    """Each counts on from the end that the other left."""
    ids = [room.accept(Extend(transaction_id=1, extension_days=days)).id for days in (1, 2, 4)]
    threads = [threading.Thread(target=room.perform, args=(act_id,)) for act_id in ids]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [room.row(act_id).state for act_id in ids] == [ActState.DONE] * 3
    assert room.lot().expires_at == ENDS + 7 * DAY


def test_who_saw_another_end_is_told_the_one_of_now(room: StaffRoom, package: Purchase) -> None:
    """Two people who extend it for the same reason extend it once: the second decides anew."""
    ids = [
        room.accept(Extend(transaction_id=1, extension_days=days, expected_expires_at=ENDS)).id for days in (30, 31, 1)
    ]
    for act_id in ids:
        room.perform(act_id)
    acts = [room.row(act_id) for act_id in ids]
    assert [refusal(act) for act in acts] == [(ActState.DONE, None), *[(ActState.REFUSED, "package_changed")] * 2]
    assert acts[1].error_message == (
        "package 1: its hours last until 2026-04-08T23:00:00.000Z now, and not until 2026-03-10T00:00:00.000Z any more"
    )
    assert room.lot().expires_at == datetime(2026, 4, 8, 23, tzinfo=UTC)
    seen = room.lot().expires_at
    assert room.do(Extend(transaction_id=1, extension_days=1, expected_expires_at=seen)).state is ActState.DONE


def test_an_end_is_looked_at_when_nobody_can_move_it_any_more(room: StaffRoom, package: Purchase) -> None:
    """Whatever was so when the act was taken up: it counts how it is under the lock."""
    act_id = room.accept(Extend(transaction_id=1, extension_days=1, expected_expires_at=ENDS)).id
    working = threading.Thread(target=room.perform, args=(act_id,))
    with room.begin() as session:
        session.execute(text("SELECT FROM purchase WHERE id = :id FOR UPDATE"), {"id": package.id})
        working.start()
        until_somebody_waits(room.begin)
        session.execute(text("UPDATE hour_lot SET expires_at = expires_at + interval '1 day'"))
    working.join()
    assert refusal(room.row(act_id)) == (ActState.REFUSED, "package_changed")
    assert room.lot().expires_at == ENDS + DAY


@pytest.mark.usefixtures("package")
def test_an_end_that_was_seen_to_the_millisecond_is_the_same(room: StaffRoom) -> None:
    """Answers are written so, and in whichever zone it is sent back."""
    room.run("UPDATE hour_lot SET expires_at = '2026-03-09T15:00:00.123456Z'")
    seen = datetime(2026, 3, 9, 16, 0, 0, 123_000, tzinfo=timezone(timedelta(hours=1)))
    assert room.do(Extend(transaction_id=1, extension_days=1, expected_expires_at=seen)).state is ActState.DONE


def test_a_wish_of_before_goes_on_as_it_did(room: StaffRoom, package: Purchase) -> None:
    """What waits in a row while the program is replaced names no end, and what names none is written as ever."""
    wish = Extend(transaction_id=1, extension_days=1)
    assert wish.model_dump(mode="json") == {"transaction_id": 1, "extension_days": 1, "extend_from_now": False}
    many = BulkExtend(transaction_ids=(1,), extension_days=1)
    assert many.model_dump(mode="json") == {"transaction_ids": [1], "extension_days": 1, "extend_from_now": False}
    assert room.do(wish).state is ActState.DONE
    assert room.do(many).state is ActState.DONE
    assert room.lot().expires_at == ENDS + 2 * DAY


@pytest.mark.usefixtures("three")
def test_one_that_ends_otherwise_refuses_them_all(room: StaffRoom) -> None:
    ends = {1: ENDS - 5 * DAY, 2: ENDS, 3: ENDS + DAY}
    act = room.do(BulkExtend(transaction_ids=(1, 2, 3), extension_days=7, expected_ends=ends))
    assert refusal(act) == (ActState.REFUSED, "package_changed")
    assert (act.error_message or "").startswith("package 3: ")
    assert [room.lot(lot_id).expires_at for lot_id in (1, 2, 3)] == [ENDS - 5 * DAY, ENDS, ENDS]
    good = BulkExtend(transaction_ids=(1, 2, 3), extension_days=7, expected_ends={**ends, 3: ENDS})
    assert room.do(good).state is ActState.DONE


def test_who_holds_the_purchase_is_decided_first(room: StaffRoom, package: Purchase) -> None:
    """A refund that is on its way, or the handing over of a guest's hours: no package is extended behind it."""
    act_id = room.accept(Extend(transaction_id=1, extension_days=1)).id
    working = threading.Thread(target=room.perform, args=(act_id,))
    with room.begin() as session:
        session.execute(text("UPDATE purchase SET state = 'refunded' WHERE id = :id"), {"id": package.id})
        working.start()
        until_somebody_waits(room.begin)
    working.join()
    assert refusal(room.row(act_id)) == (ActState.REFUSED, "invalid_transaction_state")
    assert room.lot().expires_at == ENDS


def test_a_grant_beside_it_is_left_alone(room: StaffRoom, student: int, package: Purchase) -> None:
    credited(room.begin, student, at=room.now, expires_at=ENDS)
    room.do(Extend(transaction_id=1, extension_days=3))
    assert (room.lot(1).expires_at, room.lot(2).expires_at) == (ENDS + 3 * DAY, ENDS)
