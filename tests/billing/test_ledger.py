"""Hours: added whole, once for each source, never changed, and provable at every commit."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from threading import Barrier

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from sqlmodel import col, select

from billing import ledger
from billing.db import Begin
from billing.ledger import Credit
from billing.models import HourAllocation, HourEntry, HourLot, StudentBalance
from billing.states import EntryKind, LotOrigin, PurchaseState
from tests.support.factories import add_purchase, add_student

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
EXPIRES = NOON + timedelta(days=45)


def grant(student_id: int, source: str, minutes: int = 60, value_cents: int = 0) -> Credit:
    return Credit(student_id, LotOrigin.GRANT, source, None, minutes, value_cents, "eur", NOON, EXPIRES, NOON)


def give(begin: Begin, *credits_: Credit) -> None:
    with begin() as session:
        ledger.credit(session, credits_)


def add_students(begin: Begin, count: int) -> list[int]:
    return [add_student(begin, f"student-{number}@example.com", at=NOON) for number in range(count)]


def entries(begin: Begin) -> list[tuple[int, str, int, int]]:
    with begin() as session:
        rows = session.exec(select(HourEntry).order_by(col(HourEntry.id)))
        return [(row.student_id, row.source, row.minutes, row.balance_after) for row in rows]


def balance(begin: Begin, student_id: int) -> StudentBalance:
    with begin() as session:
        return session.get_one(StudentBalance, student_id)


def buy(begin: Begin, student_id: int, *, minutes: int = 600) -> Credit:
    """A completed purchase with its credit, as completion makes both."""
    purchase = add_purchase(begin, at=NOON, state=PurchaseState.COMPLETED, student_id=student_id, minutes=minutes)
    source = f"purchase:{purchase.id}:paid"
    paid = replace(grant(student_id, source, minutes, 14_000), origin=LotOrigin.PURCHASE, purchase_id=purchase.id)
    give(begin, paid)
    return paid


def test_many_credits_of_many_students_are_one_step(begin: Begin) -> None:
    """A batch of payments is credited in one statement, and each student's history still reads in its order."""
    ana, eva, rui = add_students(begin, 3)
    give(begin, grant(eva, "before", 30, 500))
    give(
        begin,
        grant(ana, "a1", 60, 1000),
        grant(eva, "e1", 90, 2000),
        grant(ana, "a2", 120, 3000),
        grant(rui, "r1", 45, 0),
        grant(ana, "a3", 15, 10),
    )
    assert entries(begin) == [
        (eva, "before", 30, 30),
        (ana, "a1", 60, 60),
        (eva, "e1", 90, 120),
        (ana, "a2", 120, 180),
        (rui, "r1", 45, 45),
        (ana, "a3", 15, 195),
    ]
    sums = {student: balance(begin, student) for student in (ana, eva, rui)}
    assert {student: row.minutes_left for student, row in sums.items()} == {ana: 195, eva: 120, rui: 45}
    assert {student: row.minutes_granted for student, row in sums.items()} == {ana: 195, eva: 120, rui: 45}
    assert {student: row.paid_cents for student, row in sums.items()} == {ana: 4010, eva: 2500, rui: 0}
    assert ledger.violations(begin) == []


def test_a_credit_is_a_lot_an_entry_and_their_link(begin: Begin) -> None:
    """What was bought, when it ends and which entry brought it can be told for every minute, years later."""
    (ana,) = add_students(begin, 1)
    paid = buy(begin, ana)
    with begin() as session:
        lot, entry = session.exec(select(HourLot)).one(), session.exec(select(HourEntry)).one()
        link = session.exec(select(HourAllocation)).one()
    assert (lot.origin, lot.source, lot.purchase_id) == (LotOrigin.PURCHASE, paid.source, paid.purchase_id)
    assert (lot.minutes_granted, lot.minutes_left, lot.value_cents, lot.currency) == (600, 600, 14_000, "eur")
    assert (lot.starts_at, lot.expires_at) == (NOON, EXPIRES)
    assert (entry.kind, entry.minutes, entry.at, entry.purchase_id) == (EntryKind.CREDIT, 600, NOON, paid.purchase_id)
    assert (link.entry_id, link.lot_id, link.minutes) == (entry.id, lot.id, 600)


def test_nothing_to_credit_is_nothing_done(begin: Begin) -> None:
    """A batch of subscriptions has no hours of its own, and must not stumble over that."""
    give(begin)
    assert entries(begin) == []


def test_a_source_is_credited_once(begin: Begin) -> None:
    """A payment that is worked twice, by whatever defect, is refused by the ledger itself, and nothing is half-done."""
    ana, eva = add_students(begin, 2)
    give(begin, grant(ana, "paid"))
    with pytest.raises(IntegrityError):
        give(begin, grant(eva, "new"), grant(ana, "paid"))
    with pytest.raises(IntegrityError):
        give(begin, grant(eva, "twice"), grant(eva, "twice"))
    assert entries(begin) == [(ana, "paid", 60, 60)]
    assert ledger.violations(begin) == []


def test_a_refused_credit_leaves_its_transaction_usable(begin: Begin) -> None:
    """A batch undoes the one event that broke and goes on with the others."""
    ana, eva = add_students(begin, 2)
    give(begin, grant(ana, "paid"))
    with begin() as session:
        with pytest.raises(IntegrityError), session.begin_nested():
            ledger.credit(session, [grant(eva, "new"), grant(ana, "paid")])
        ledger.credit(session, [grant(eva, "other")])
    assert entries(begin) == [(ana, "paid", 60, 60), (eva, "other", 60, 60)]
    assert ledger.violations(begin) == []


@pytest.mark.parametrize("minutes", [0, -60])
def test_a_credit_adds_hours(begin: Begin, minutes: int) -> None:
    """Taking hours away is another act with rules of its own."""
    (ana,) = add_students(begin, 1)
    with pytest.raises(IntegrityError):
        give(begin, grant(ana, "nothing", minutes))


CHANGES = (
    "UPDATE {0} SET {1} = {1}",
    "UPDATE {0} SET {1} = {1} WHERE false",
    "DELETE FROM {0}",
    "TRUNCATE {0} CASCADE",
    "TRUNCATE student CASCADE",
)


@pytest.mark.parametrize(
    ("table", "column"), [("hour_entry", "minutes"), ("hour_allocation", "minutes"), ("lot_end", "at")]
)
def test_what_was_written_stays(begin: Begin, table: str, column: str) -> None:
    """A history that can be changed proves nothing; even the owner of the tables has to write a reversing entry."""
    (ana,) = add_students(begin, 1)
    give(begin, grant(ana, "paid"))
    for change in CHANGES:
        with pytest.raises(IntegrityError, match="append-only: write a reversing entry"), begin() as session:
            session.execute(text(change.format(table, column)))
    assert entries(begin) == [(ana, "paid", 60, 60)]


def _credit_at_once(begin: Begin, batches: Sequence[Sequence[Credit]], threads: int = 8) -> None:
    start = Barrier(threads)

    def work(lane: int) -> None:
        start.wait(timeout=10)
        for batch in batches[lane::threads]:
            give(begin, *batch)

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(work, range(threads)))


def test_fifty_credits_at_once_lose_nothing(begin: Begin) -> None:
    """Two workers that read a balance and write it back would lose one of two payments."""
    (ana,) = add_students(begin, 1)
    _credit_at_once(begin, [[grant(ana, f"paid-{number}", 7)] for number in range(50)])
    written = entries(begin)
    assert [after for *_, after in written] == [7 * count for count in range(1, 51)]
    assert balance(begin, ana).minutes_left == 350
    assert ledger.violations(begin) == []


def test_crossed_credits_never_wait_in_a_circle(begin: Begin) -> None:
    """Batches that touch the same students in opposite orders lock them in one order, made or still missing."""
    students = add_students(begin, 8)
    pairs = [pair for pair in pairwise(students) for _ in range(6)]
    batches = [
        [grant(first, f"{turn}-1"), grant(second, f"{turn}-2")]
        for turn, pair in enumerate(pairs)
        for first, second in [pair if turn % 2 else pair[::-1]]
    ]
    _credit_at_once(begin, batches)
    assert len(entries(begin)) == 2 * len(batches)
    assert ledger.violations(begin) == []


def test_locked_balances_are_there(begin: Begin) -> None:
    """Whoever computes on a balance finds its row, however new the student is."""
    ana, eva = add_students(begin, 2)
    for _ in range(2):
        with begin() as session:
            ledger.lock_balances(session, [eva, ana, eva])
    assert balance(begin, ana).minutes_left == balance(begin, eva).minutes_left == 0
    assert ledger.violations(begin) == []
