"""The proof of every balance: it names whatever does not hold, is silent of good work, and covers everybody."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import pairwise
from typing import Any

import pytest
import structlog
from sqlalchemy import text
from sqlmodel import Session, col, select

from billing import db, ledger
from billing.db import Begin
from billing.ids import new_id
from billing.ledger import Credit, Move, Posting, Range, Violation
from billing.ledger.audit import LAST_ID, MOST, STUDENTS_AT_ONCE
from billing.models import Consumption, HourLot, LedgerAudit, Purchase, Subscription
from billing.states import (
    ConsumptionMode,
    ConsumptionState,
    EntryKind,
    LotOrigin,
    Part,
    PlanType,
    PurchaseChannel,
    PurchaseState,
    SubscriptionStatus,
)
from tests.support.database import TEMPLATE, connect
from tests.support.factories import add_purchase, add_student
from tests.support.servers import RunningPostgres

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
DAY = timedelta(days=1)

BALANCE_AND_ENTRIES = "balance is not the sum of its entries"
BALANCE_AND_LOTS = "balance is not the sum of its lots"
PAID_AND_LOTS = "payments are not the value of the lots"
STEP = "entry does not go on from the one before"
LOT_AND_PARTS = "lot is not the sum of its allocations"
LOT_AND_KINDS = "lot is not where its entries put it"
ENTRY_AND_PARTS = "entry is not the sum of its allocations"
CONSUMPTION_AND_ENTRIES = "consumption is not the sum of its entries"
PURCHASE_AND_RETURNS = "purchase is not refunded by what went back"
LOT_AND_RETURNS = "lot has not lost what went back"
BALANCE_AND_RETURNS = "balance does not say what went back"
PAID_WITHOUT_CREDIT = "paid package without its one credit"
CREDIT_WITHOUT_PAID = "credit of a purchase that is not paid"
TWO_INTENTS = "two payment intents of one purchase"
RENEWAL_WITHOUT_CREDIT = "renewal without its one credit"
OF_SOMEBODY_ELSE = "purchase of the subscription of somebody else"
PERIOD_AND_INVOICE = "hours of a period that its invoice did not pay"

CALL = """
    INSERT INTO stripe_call (id, operation, purchase_id, attempt, idempotency_key, parameters, api_version, state,
        object_id, sends, looks, prepared_at)
    SELECT gen_random_uuid(), 'payment_intent.create', id, attempt, attempt::text, '{{}}', 'v', 'answered',
        'pi_' || attempt, 1, 0, now()
    FROM (SELECT id FROM purchase WHERE {which} LIMIT 1) AS one, generate_series(1, 2) AS attempt
"""
MOVED = """
    WITH lot AS (UPDATE hour_lot SET minutes_{0} = minutes_{0} - 1, minutes_{1} = minutes_{1} + 1 WHERE id = 1)
    UPDATE student_balance SET minutes_{0} = minutes_{0} - 1, minutes_{1} = minutes_{1} + 1
"""

DAMAGE = {
    "a balance out of the air": (
        "UPDATE student_balance SET minutes_granted = minutes_granted + 1, minutes_left = minutes_left + 1",
        {BALANCE_AND_ENTRIES, BALANCE_AND_LOTS},
    ),
    "a balance that was lost": ("DELETE FROM student_balance", {BALANCE_AND_LOTS}),
    "a payment that was not made": ("UPDATE student_balance SET paid_cents = paid_cents + 1", {PAID_AND_LOTS}),
    "a lot of another value": ("UPDATE hour_lot SET value_cents = value_cents + 1 WHERE id = 1", {PAID_AND_LOTS}),
    "minutes that were spent without an entry": (
        "UPDATE hour_lot SET minutes_left = minutes_left - 1, minutes_consumed = minutes_consumed + 1 WHERE id = 1",
        {BALANCE_AND_LOTS, LOT_AND_PARTS, LOT_AND_KINDS},
    ),
    "minutes that were spent in lot and balance without an entry": (
        MOVED.format("left", "consumed"),
        {BALANCE_AND_ENTRIES, LOT_AND_PARTS, LOT_AND_KINDS},
    ),
    "a hold that was consumed without an entry": (MOVED.format("held", "consumed"), {LOT_AND_KINDS}),
    "minutes that were taken back without an entry": (
        MOVED.format("consumed", "refunded"),
        {LOT_AND_KINDS, LOT_AND_RETURNS},
    ),
    "money that went back and nobody knows why": (
        "UPDATE purchase SET refunded_cents = 1 WHERE state = 'completed'",
        {PURCHASE_AND_RETURNS},
    ),
    "money that is on its way and nobody sent": (
        "UPDATE purchase SET refunding_cents = 1 WHERE state = 'completed'",
        {PURCHASE_AND_RETURNS},
    ),
    "a debt that nothing made": ("UPDATE student_balance SET minutes_owed = 1", {BALANCE_AND_RETURNS}),
    "a sweep that nobody counted": ("UPDATE hour_lot SET times_expired = 0", {LOT_AND_KINDS}),
    "a sweep that never was": ("UPDATE hour_lot SET times_expired = times_expired + 1 WHERE id = 1", {LOT_AND_KINDS}),
    "an entry that was changed": (
        "UPDATE hour_entry SET minutes = minutes + 1 WHERE id = 1",
        {BALANCE_AND_ENTRIES, STEP, ENTRY_AND_PARTS, PAID_WITHOUT_CREDIT},
    ),
    "a balance that an entry did not leave": (
        "UPDATE hour_entry SET balance_after = balance_after + 1 WHERE id = (SELECT max(id) FROM hour_entry)",
        {STEP},
    ),
    "an entry of another kind": (
        "UPDATE hour_entry SET kind = 'hold' WHERE kind = 'consume' AND consumption_id IS NULL",
        {LOT_AND_KINDS},
    ),
    "a part that was lost": ("DELETE FROM hour_allocation WHERE entry_id = 1", {LOT_AND_PARTS, ENTRY_AND_PARTS}),
    "entries that were lost": (
        "WITH part AS (DELETE FROM hour_allocation) DELETE FROM hour_entry",
        {BALANCE_AND_ENTRIES, LOT_AND_PARTS, LOT_AND_KINDS, CONSUMPTION_AND_ENTRIES, PAID_WITHOUT_CREDIT},
    ),
    "an entry under another source": ("UPDATE hour_entry SET source = 'x' WHERE id = 1", {PAID_WITHOUT_CREDIT}),
    "a lesson that took more than its entries": (
        "UPDATE consumption SET minutes_consumed = minutes_consumed + 1 WHERE state = 'consumed'",
        {CONSUMPTION_AND_ENTRIES},
    ),
    "a lesson that gave back more than its entries": (
        "UPDATE consumption SET minutes_returned = minutes_returned + 1 WHERE state = 'consumed'",
        {CONSUMPTION_AND_ENTRIES},
    ),
    "a lesson that holds more than its entries": (
        "UPDATE consumption SET minutes_held = minutes_held + 1 WHERE state = 'held'",
        {CONSUMPTION_AND_ENTRIES},
    ),
    "a hold that was forgotten": (
        "UPDATE consumption SET state = 'refused', error_type = 'any', minutes_held = 0 WHERE state = 'held'",
        {CONSUMPTION_AND_ENTRIES},
    ),
    "an entry of no lesson": (
        "UPDATE hour_entry SET consumption_id = NULL WHERE kind = 'hold'",
        {CONSUMPTION_AND_ENTRIES},
    ),
    "hours of a lesson that were lost with it": (
        """
        UPDATE hour_entry SET consumption_id = (SELECT id FROM consumption WHERE state = 'consumed')
        WHERE kind = 'expire'
        """,
        {CONSUMPTION_AND_ENTRIES},
    ),
    "hours of a purchase that was not paid": (
        "UPDATE purchase SET state = 'pending' WHERE state = 'completed'",
        {CREDIT_WITHOUT_PAID},
    ),
    "hours that went to somebody else": (
        "UPDATE purchase SET student_id = (SELECT max(id) FROM student) WHERE subscription_id IS NULL",
        {CREDIT_WITHOUT_PAID},
    ),
    "hours of a purchase that is nobody's": (
        "UPDATE purchase SET student_id = NULL, state = 'pending' WHERE state = 'completed'",
        {CREDIT_WITHOUT_PAID},
    ),
    "more hours than were sold": ("UPDATE purchase SET minutes = 1", {PAID_WITHOUT_CREDIT, CREDIT_WITHOUT_PAID}),
    "two intents": (CALL.format(which="student_id IS NOT NULL"), {TWO_INTENTS}),
    "two intents of what is nobody's yet": (CALL.format(which="student_id IS NULL"), {TWO_INTENTS}),
    "a renewal that brought nothing": (
        """
        UPDATE hour_lot SET purchase_id = NULL
        WHERE purchase_id = (SELECT id FROM purchase WHERE channel = 'renewal')
        """,
        {RENEWAL_WITHOUT_CREDIT, PERIOD_AND_INVOICE},
    ),
    "a subscription that went to somebody else": (
        "UPDATE subscription SET student_id = (SELECT max(id) FROM student)",
        {OF_SOMEBODY_ELSE},
    ),
    "a period of another invoice": (
        "UPDATE purchase SET stripe_invoice_id = 'in_10' WHERE channel = 'renewal'",
        {PERIOD_AND_INVOICE},
    ),
    "a period of another price": (
        "UPDATE purchase SET price_cents = 1 WHERE channel = 'renewal'",
        {PERIOD_AND_INVOICE},
    ),
    "a period of no subscription": (
        "UPDATE purchase SET subscription_id = NULL WHERE stripe_invoice_id = 'in_1'",
        {PERIOD_AND_INVOICE},
    ),
    "hours of a subscription that no invoice brought": (
        "UPDATE hour_lot SET origin = 'purchase' WHERE origin = 'invoice'",
        {PERIOD_AND_INVOICE},
    ),
}


def grant(student_id: int, source: str, minutes: int = 60, *, expires_at: datetime | None = None) -> Credit:
    return Credit(student_id, LotOrigin.GRANT, source, None, minutes, 0, "eur", NOON - 9 * DAY, expires_at, NOON)


def buy(begin: Begin, student_id: int) -> Purchase:
    """A completed purchase with its credit, as completion makes both."""
    purchase = add_purchase(begin, at=NOON, state=PurchaseState.COMPLETED, student_id=student_id)
    paid = grant(student_id, f"purchase:{purchase.id}:paid", 600)
    with begin() as session:
        ledger.credit(session, [replace(paid, origin=LotOrigin.PURCHASE, purchase_id=purchase.id, value_cents=14_000)])
    return purchase


def live(begin: Begin, student_id: int) -> None:
    """A purchase, of which lessons were taken, held and half given back, and a lot that was swept."""
    buy(begin, student_id)
    with begin() as session:
        ledger.credit(session, [grant(student_id, f"grant:{student_id}", 50, expires_at=NOON - DAY)])
    with begin() as session:
        statement = select(HourLot.id).where(HourLot.student_id == student_id).order_by(col(HourLot.id))
        bought, granted = (lot_id or 0 for lot_id in session.exec(statement))
        taken = _lesson(student_id, ConsumptionState.CONSUMED, minutes_consumed=60, minutes_returned=30)
        held = _lesson(student_id, ConsumptionState.HELD, minutes_held=90)
        session.add_all([taken, held])
        session.flush()
        ledger.lock_balances(session, [student_id])
        ledger.post(
            session,
            [
                _posting(EntryKind.CONSUME, Move(bought, -10, Part.CONSUMED), taken, is_of_lesson=False),
                _posting(EntryKind.HOLD, Move(bought, -90, Part.HELD), taken),
                _posting(EntryKind.RELEASE, Move(bought, 90, Part.HELD), taken),
                _posting(EntryKind.CONSUME, Move(bought, -90, Part.CONSUMED), taken),
                _posting(EntryKind.RESTORE, Move(bought, 30, Part.CONSUMED), taken),
                _posting(EntryKind.HOLD, Move(bought, -90, Part.HELD), held),
                _posting(EntryKind.EXPIRE, Move(granted, -50, Part.EXPIRED), taken, is_of_lesson=False),
            ],
        )
        session.execute(text("UPDATE hour_lot SET times_expired = 1 WHERE id = :id"), {"id": granted})


def subscribe(begin: Begin, student_id: int) -> None:
    """A subscription, its first period and a renewal, each with its hours."""
    subscription = Subscription(
        id=new_id(),
        student_id=student_id,
        stripe_subscription_id="sub_1",
        stripe_customer_id="cus_1",
        status=SubscriptionStatus.ACTIVE,
        period_start=NOON,
        period_end=NOON + DAY,
        began_at=NOON,
    )
    with begin() as session:
        session.add(subscription)
    for number, channel in enumerate((PurchaseChannel.CHECKOUT, PurchaseChannel.RENEWAL), 1):
        purchase = add_purchase(
            begin,
            at=NOON,
            state=PurchaseState.COMPLETED,
            student_id=student_id,
            plan_type=PlanType.SUBSCRIPTION,
            channel=channel,
            subscription_id=subscription.id,
            stripe_invoice_id=f"in_{number}",
        )
        paid = grant(student_id, f"invoice:in_{number}:line:il_1", 600, expires_at=NOON + DAY)
        facts: Any = {"origin": LotOrigin.INVOICE, "purchase_id": purchase.id, "value_cents": purchase.price_cents}
        with begin() as session:
            ledger.credit(session, [replace(paid, **facts)])


def _lesson(student_id: int, state: ConsumptionState, **minutes: Any) -> Consumption:
    return Consumption(
        id=new_id(),
        group_id=new_id(),
        student_id=student_id,
        session_id=f"session:{state}",
        mode=ConsumptionMode.HOLD,
        minutes=90,
        ends_at=NOON,
        state=state,
        caller_sub="platform",
        requested_at=NOON,
        decided_at=NOON,
        **minutes,
    )


def _posting(kind: EntryKind, move: Move, lesson: Consumption, *, is_of_lesson: bool = True) -> Posting:
    of_lesson = lesson.id if is_of_lesson else None
    return Posting(lesson.student_id, kind, f"{kind}:{new_id()}", [move], NOON, consumption_id=of_lesson)


@pytest.fixture(scope="module")
def sold(postgres: RunningPostgres) -> Iterator[Begin]:
    """Hours as they are bought, taken, held and lost, and a second student, for tests that undo the damage they do."""
    postgres.create_database("audit", template=TEMPLATE)
    engine = connect(postgres.url("audit"))
    begin = partial(db.begin, engine)
    ana, _eva = (add_student(begin, f"{name}@example.com", at=NOON) for name in ("ana", "eva"))
    live(begin, ana)
    subscribe(begin, ana)
    add_purchase(begin, at=NOON)
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


def test_every_kind_of_damage_is_tried(sold: Begin) -> None:
    """A rule that no damage can break proves nothing."""
    with sold() as session:
        names = "('violations_of', 'broken_returns_of', 'broken_periods_of')"
        sources = session.execute(text(f"SELECT prosrc FROM pg_proc WHERE proname IN {names}"))  # noqa: S608
        definition = "UNION ALL".join(sources.scalars())
    tried = set().union(*(broken for _, broken in DAMAGE.values()))
    assert definition.count("UNION ALL") + 1 == len(tried)
    assert all(f"'{rule}'" in definition for rule in tried)


def test_one_wrong_entry_is_named_alone(sold: Begin) -> None:
    """Whoever has to mend it is led to the place, and not to everything that came after it."""
    with sold() as session:
        session.execute(text("ALTER TABLE hour_entry DISABLE TRIGGER append_only"))
        session.execute(
            text("UPDATE hour_entry SET balance_after = balance_after + 1, minutes = minutes + 1 WHERE id = 4")
        )
        found = ledger.violations(lambda: nullcontext(session))
        session.rollback()
    assert [violation.subject for violation in found if violation.rule == STEP] == ["5"]


def test_a_paid_package_without_hours_is_named(begin: Begin) -> None:
    """The one thing that a student who has paid will not forgive; the row that shows it is in the finding."""
    student_id = add_student(begin, at=NOON)
    purchase = add_purchase(begin, at=NOON, state=PurchaseState.COMPLETED, student_id=student_id)
    assert ledger.violations(begin) == [Violation(PAID_WITHOUT_CREDIT, str(purchase.id))]


def test_unpaid_purchases_are_no_violation(begin: Begin) -> None:
    """An alarm that rings for every open purchase is switched off."""
    facts: dict[str, Any] = {"student_id": add_student(begin, at=NOON)}
    for state in set(PurchaseState) - {PurchaseState.COMPLETED, PurchaseState.REFUNDED}:
        add_purchase(begin, at=NOON, state=state, id=new_id(), **facts)
    assert ledger.violations(begin) == []


def test_hours_that_change_hands_keep_every_rule(begin: Begin) -> None:
    """A guest's lessons are of the guest, and what he held is released to the account that has his lots now."""
    guest, account = (add_student(begin, f"{name}@example.com", at=NOON) for name in ("guest", "account"))
    live(begin, guest)
    with begin() as session:
        session.execute(text("UPDATE purchase SET student_id = :account"), {"account": account})
        ledger.transfer_all(session, guest, account, at=NOON)
    assert ledger.violations(begin) == []
    with begin() as session:
        lesson = session.exec(select(Consumption).where(Consumption.state == ConsumptionState.HELD)).one()
        lot_id = session.exec(select(HourLot.id).where(HourLot.minutes_held > 0)).one()
        assert lot_id is not None
        lesson.state, lesson.minutes_held = ConsumptionState.RELEASED, 0
        back = _posting(EntryKind.RELEASE, Move(lot_id, 90, Part.HELD), lesson)
        ledger.lock_accounts(session, [account])
        ledger.post(session, [replace(back, student_id=account)])
    assert ledger.violations(begin) == []


MANY = text("""
    WITH made AS (
        INSERT INTO student (email, email_verified, name, created_at)
        SELECT 'student-' || n || '@example.com', false, 'Ana', now() FROM generate_series(1, :count) AS n RETURNING id
    )
    INSERT INTO student_balance (student_id, minutes_granted, minutes_left, minutes_consumed, minutes_expired,
        minutes_refunded, minutes_frozen, minutes_held, minutes_owed, paid_cents, returned_cents)
    SELECT id, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 FROM made
""")


def add_many(begin: Begin, count: int) -> None:
    with begin() as session:
        session.execute(MANY, {"count": count})


def ranges_of(begin: Begin) -> Sequence[Range]:
    seen: list[Range] = []

    @contextmanager
    def watch(ranges: Sequence[Range]) -> Iterator[Iterable[Range]]:
        seen.extend(ranges)
        yield ranges

    ledger.prove(begin, now=NOON, watch=watch)
    return seen


def test_the_ranges_are_all_students_and_each_once(begin: Begin) -> None:
    """Whoever lies between two ranges is never proven; ids have gaps, and somebody may be added meanwhile."""
    add_many(begin, 2 * STUDENTS_AT_ONCE + 3)
    with begin() as session:
        session.execute(text("DELETE FROM student_balance"))
        session.execute(text("DELETE FROM student WHERE id % 1000 = 0"))
    ranges = ranges_of(begin)
    total = 2 * STUDENTS_AT_ONCE + 3 - (2 * STUDENTS_AT_ONCE) // 1000
    assert [one.students for one in ranges] == [STUDENTS_AT_ONCE, total - STUDENTS_AT_ONCE]
    assert (ranges[0].low, ranges[-1].high) == (0, LAST_ID)
    assert all(after.low == before.high + 1 for before, after in pairwise(ranges))


def test_offenders_of_every_range_are_found(begin: Begin) -> None:
    """The last student is as much a student as the first."""
    add_many(begin, 2 * STUDENTS_AT_ONCE + 3)
    broken = [1, STUDENTS_AT_ONCE, STUDENTS_AT_ONCE + 1, 2 * STUDENTS_AT_ONCE + 3]
    with begin() as session:
        statement = text("UPDATE student_balance SET paid_cents = 1 WHERE student_id = ANY(:broken)")
        session.execute(statement, {"broken": broken})
    proof = ledger.prove(begin, now=NOON)
    assert (proof.students, proof.violations) == (2 * STUDENTS_AT_ONCE + 3, 4)
    assert list(proof.named) == [Violation(PAID_AND_LOTS, str(student_id)) for student_id in broken]


def test_a_ledger_that_is_broken_everywhere_is_counted_and_named_in_part(begin: Begin) -> None:
    """The alarm must not bring down the worker that raises it."""
    add_many(begin, MOST + STUDENTS_AT_ONCE)
    with begin() as session:
        session.execute(text("UPDATE student_balance SET paid_cents = 1"))
    proof = ledger.prove(begin, now=NOON)
    assert (proof.violations, len(proof.named)) == (MOST + STUDENTS_AT_ONCE, MOST)
    assert not proof.holds


def test_without_students_it_proves_what_is_of_nobody(begin: Begin) -> None:
    """Purchases of guests whom no worker has met yet are looked at too."""
    add_purchase(begin, at=NOON)
    with begin() as session:
        session.execute(text(CALL.format(which="true")))
    proof = ledger.prove(begin, now=NOON)
    assert (proof.students, [violation.rule for violation in proof.named]) == (0, [TWO_INTENTS])


def test_a_proof_is_written_down(begin: Begin) -> None:
    """That nobody looked for a week is an alarm of its own."""
    live(begin, add_student(begin, at=NOON))
    assert ledger.prove(begin, now=NOON).holds
    with begin() as session:
        session.execute(text("UPDATE student_balance SET paid_cents = 0"))
    ledger.prove(begin, now=NOON + DAY)
    with begin() as session:
        first, second = session.exec(select(LedgerAudit).order_by(col(LedgerAudit.id)))
    assert (first.started_at, first.students, first.violations) == (NOON, 1, 0)
    assert (second.started_at, second.students, second.violations) == (NOON + DAY, 1, 1)
    assert NOON < first.finished_at < NOON + timedelta(minutes=1)


def test_a_range_is_seen_at_one_instant_and_changes_nothing(begin: Begin) -> None:
    """A payment that commits between two looks would be a violation that never was."""
    seen: list[tuple[str, ...]] = []

    @contextmanager
    def spying() -> Iterator[Session]:
        with begin() as session:
            yield session
            settings = ("transaction_isolation", "transaction_read_only", "statement_timeout")
            seen.append(tuple(session.execute(text(f"SHOW {name}")).scalar_one() for name in settings))

    add_student(begin, at=NOON)
    ledger.prove(spying, now=NOON)
    (*looks, written) = seen
    assert looks == [("repeatable read", "on", "1min")] * 2
    assert written == ("read committed", "off", "5s")


def test_an_audit_of_good_work_sends_nothing_and_says_how_much_it_saw(begin: Begin) -> None:
    """It runs every quarter of an hour beside everything else."""
    live(begin, add_student(begin, at=NOON))
    with structlog.testing.capture_logs() as logged:
        assert ledger.audit(begin, now=NOON) == []
    (line,) = logged
    assert (line["event"], line["students"], line["violations"], line["log_level"]) == ("ledger_audited", 1, 0, "info")


def test_a_proof_by_ranges_knows_every_rule(begin: Begin) -> None:
    """What the view names is what the nightly proof finds: one of them is not to know less than the other."""
    student_id = add_student(begin, at=NOON)
    live(begin, student_id)
    subscribe(begin, student_id)
    with begin() as session:
        session.execute(text("UPDATE purchase SET stripe_invoice_id = 'in_10' WHERE channel = 'renewal'"))
    assert [violation.rule for violation in ledger.prove(begin, now=NOON).named] == [PERIOD_AND_INVOICE]


def test_an_audit_names_each_offender_in_the_log(begin: Begin) -> None:
    """The alarm says where to look, by an id and without a name or an address."""
    student_id = add_student(begin, at=NOON)
    live(begin, student_id)
    with begin() as session:
        session.execute(text("UPDATE student_balance SET paid_cents = 0"))
    with structlog.testing.capture_logs() as logged:
        ledger.audit(begin, now=NOON)
    assert (logged[0]["event"], logged[0]["log_level"]) == ("ledger_violation", "error")
    assert (logged[0]["rule"], logged[0]["subject"]) == (PAID_AND_LOTS, str(student_id))
    assert "example.com" not in repr(logged)
