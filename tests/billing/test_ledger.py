"""Hours: added whole, once for each source, never changed, and provable at every commit."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import pairwise
from threading import Barrier
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from sqlmodel import col, select

from billing import db, ledger
from billing.db import Begin
from billing.ids import new_id
from billing.ledger import Credit, Violation
from billing.models import HourAllocation, HourEntry, HourLot, StudentBalance
from billing.states import EntryKind, LotOrigin, PurchaseState
from tests.support.database import TEMPLATE
from tests.support.factories import add_purchase, add_student
from tests.support.servers import RunningPostgres

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
    "UPDATE {} SET minutes = 1",
    "UPDATE {} SET minutes = 1 WHERE false",
    "DELETE FROM {}",
    "TRUNCATE {} CASCADE",
    "TRUNCATE student CASCADE",
)


@pytest.mark.parametrize("table", ["hour_entry", "hour_allocation"])
def test_what_was_written_stays(begin: Begin, table: str) -> None:
    """A history that can be changed proves nothing; even the owner of the tables has to write a reversing entry."""
    (ana,) = add_students(begin, 1)
    give(begin, grant(ana, "paid"))
    for change in CHANGES:
        with pytest.raises(IntegrityError, match="append-only: write a reversing entry"), begin() as session:
            session.execute(text(change.format(table)))
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


CALL = """
    INSERT INTO stripe_call (id, operation, purchase_id, attempt, idempotency_key, parameters, api_version, state,
        object_id, sends, looks, prepared_at)
    SELECT gen_random_uuid(), 'payment_intent.create', id, attempt, attempt::text, '{}', 'v', 'answered',
        'pi_' || attempt, 1, 0, now()
    FROM (SELECT id FROM purchase LIMIT 1) AS one, generate_series(1, 2) AS attempt
"""

BALANCE_AND_ENTRIES = "balance is not the sum of its entries"
BALANCE_AND_LOTS = "balance is not the sum of its lots"
LOT_AND_PARTS = "lot is not the sum of its allocations"
ENTRY_AND_PARTS = "entry is not the sum of its allocations"
PAID_WITHOUT_CREDIT = "paid package without its one credit"
CREDIT_WITHOUT_PAID = "credit of a purchase that is not paid"
TWO_INTENTS = "two payment intents of one purchase"

DAMAGE = {
    "a balance out of the air": (
        "UPDATE student_balance SET minutes_granted = minutes_granted + 1, minutes_left = minutes_left + 1",
        {BALANCE_AND_ENTRIES, BALANCE_AND_LOTS},
    ),
    "a balance that was lost": ("DELETE FROM student_balance", {BALANCE_AND_LOTS}),
    "minutes that were moved without an entry": (
        "UPDATE hour_lot SET minutes_left = minutes_left - 1, minutes_consumed = minutes_consumed + 1",
        {BALANCE_AND_LOTS, LOT_AND_PARTS},
    ),
    "minutes that were moved in lot and balance without an entry": (
        """
        WITH lot AS (UPDATE hour_lot SET minutes_left = minutes_left - 1, minutes_held = minutes_held + 1)
        UPDATE student_balance SET minutes_left = minutes_left - 1, minutes_held = minutes_held + 1
        """,
        {BALANCE_AND_ENTRIES, LOT_AND_PARTS},
    ),
    "an entry that was changed": (
        "UPDATE hour_entry SET minutes = minutes + 1",
        {BALANCE_AND_ENTRIES, ENTRY_AND_PARTS, PAID_WITHOUT_CREDIT},
    ),
    "a part that was lost": ("DELETE FROM hour_allocation", {LOT_AND_PARTS, ENTRY_AND_PARTS}),
    "an entry that was lost": (
        "WITH part AS (DELETE FROM hour_allocation) DELETE FROM hour_entry",
        {BALANCE_AND_ENTRIES, LOT_AND_PARTS, PAID_WITHOUT_CREDIT},
    ),
    "an entry under another source": ("UPDATE hour_entry SET source = 'x'", {PAID_WITHOUT_CREDIT}),
    "hours of a purchase that was not paid": ("UPDATE purchase SET state = 'pending'", {CREDIT_WITHOUT_PAID}),
    "hours that went to somebody else": (
        "UPDATE purchase SET student_id = (SELECT max(id) FROM student)",
        {CREDIT_WITHOUT_PAID},
    ),
    "more hours than were sold": ("UPDATE purchase SET minutes = 1", {PAID_WITHOUT_CREDIT, CREDIT_WITHOUT_PAID}),
    "two intents": (CALL, {TWO_INTENTS}),
}


@pytest.fixture(scope="module")
def sold(postgres: RunningPostgres) -> Iterator[Begin]:
    """A purchase with its hours and a second student, for tests that undo the damage they do."""
    postgres.create_database("ledger", template=TEMPLATE)
    engine = db.connect(postgres.url("ledger"), "tests")
    begin = partial(db.begin, engine)
    ana, _eva = add_students(begin, 2)
    buy(begin, ana)
    assert ledger.violations(begin) == []
    yield begin
    engine.dispose()


@pytest.mark.parametrize("damage", DAMAGE)
def test_the_audit_names_what_does_not_hold(sold: Begin, damage: str) -> None:
    """Damage by a defect, a console or a restored backup is found by its kind before a student finds it."""
    statement, broken = DAMAGE[damage]
    with sold() as session:
        for table in ("hour_entry", "hour_allocation"):
            session.execute(text(f"ALTER TABLE {table} DISABLE TRIGGER append_only"))
        session.execute(text(statement))
        found = ledger.violations(lambda: nullcontext(session))
        session.rollback()
    assert {violation.rule for violation in found} == broken


def test_a_paid_package_without_hours_is_named(begin: Begin) -> None:
    """The one thing that a student who has paid will not forgive; the row that shows it is in the finding."""
    (ana,) = add_students(begin, 1)
    purchase = add_purchase(begin, at=NOON, state=PurchaseState.COMPLETED, student_id=ana)
    assert ledger.violations(begin) == [Violation(PAID_WITHOUT_CREDIT, str(purchase.id))]


def test_unpaid_purchases_are_no_violation(begin: Begin) -> None:
    """An alarm that rings for every open purchase is switched off."""
    facts: dict[str, Any] = {"student_id": add_students(begin, 1)[0]}
    for state in set(PurchaseState) - {PurchaseState.COMPLETED, PurchaseState.REFUNDED}:
        add_purchase(begin, at=NOON, state=state, id=new_id(), **facts)
    assert ledger.violations(begin) == []


def test_every_kind_of_damage_is_tried(begin: Begin) -> None:
    """A rule of the view that no damage can break proves nothing."""
    with begin() as session:
        definition: str = session.execute(text("SELECT pg_get_viewdef('violation')")).scalar_one()
    tried = set().union(*(broken for _, broken in DAMAGE.values()))
    assert definition.count("UNION ALL") + 1 == len(tried)
    assert all(rule in definition for rule in tried)


def test_an_audit_of_good_work_is_silent_and_sends_nothing(begin: Begin) -> None:
    """It runs every quarter of an hour beside everything else."""
    buy(begin, add_students(begin, 1)[0])
    assert ledger.audit(begin) == []
