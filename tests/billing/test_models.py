"""The database refuses what the domain forbids, whoever asks: each constraint has its case here."""

# ruff: noqa: S608  (the words in these statements are our own)

from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from typing import Any
from uuid import UUID

import psycopg
import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import IntegrityError, StatementError

from billing import db, ledger
from billing.models import BeatSlot, Purchase
from billing.states import LotOrigin, PurchaseState
from tests.support.database import TEMPLATE
from tests.support.factories import add_event, add_purchase, add_student
from tests.support.servers import RunningPostgres

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
QUEUED, PENDING, PAID = UUID(int=1), UUID(int=2), UUID(int=3)
GUEST, KNOWN = "'guest@example.com'", "'known@example.com'"

CALL = """
    INSERT INTO stripe_call (id, operation, purchase_id, attempt, idempotency_key, parameters, api_version, state,
        sends, looks, prepared_at, object_id)
    VALUES (gen_random_uuid(), 'payment_intent.create', '{purchase}', {attempt}, '{key}', '{{}}', 'v', '{state}', 0, 0,
        now(), {object})
"""
LOT = """
    INSERT INTO hour_lot (student_id, origin, source, purchase_id, value_cents, currency, starts_at, expires_at,
        minutes_granted, minutes_left, minutes_consumed, minutes_expired, minutes_refunded, minutes_frozen,
        minutes_held)
    SELECT id, {origin}, {source}, {purchase}, 0, 'eur', now(), NULL, 10, 10, 0, 0, 0, 0, 0 FROM student LIMIT 1
"""
ENTRY = """
    INSERT INTO hour_entry (student_id, kind, minutes, balance_after, source, at)
    SELECT id, {kind}, {minutes}, 10, {source}, now() FROM student LIMIT 1
"""
STUDENT = """
    INSERT INTO student (external_id, email, email_verified, name, created_at)
    VALUES ({external_id}, {email}, {verified}, 'Ana', now())
"""
EVENT = """
    INSERT INTO webhook_event (stripe_event_id, type, body, request_id, state, outcome, received_at, due_at, hint_at)
    VALUES ({id}, 'any', '', 'request', {state}, {outcome}, now(), {due}, {due})
"""

REST = (
    CALL.format(purchase=PENDING, attempt=1, key="key-1", state="open", object="NULL"),
    f"""
    INSERT INTO purchase_transition (purchase_id, step, state, cause, at)
    VALUES ('{PAID}', 'paid', 'completed', 'evt_1', now())
    """,
    "INSERT INTO staff_case (reason, source, detail, state, opened_at) VALUES ('any', 'evt_1', '', 'open', now())",
    """
    INSERT INTO student_link (id, external_id, email, name, request_id, requested_at, due_at, hint_at)
    VALUES (gen_random_uuid(), 'sub-1', 'known@example.com', 'Ana', 'request', now(), now(), now())
    """,
    """
    INSERT INTO unreadable_message (digest, queue, task, reason, size_bytes, times, first_at, last_at)
    VALUES ('digest', 'money', 'any', 'rubbish', 1, 1, now(), now())
    """,
)


def call(**changes: object) -> str:
    facts = {"purchase": PENDING, "attempt": 2, "key": "another", "state": "refused", "object": "NULL", **changes}
    return CALL.format(**facts)


def lot(**changes: object) -> str:
    return LOT.format(**{"origin": "'grant'", "source": "'another'", "purchase": "NULL", **changes})


def entry(**changes: object) -> str:
    return ENTRY.format(**{"kind": "'credit'", "minutes": 10, "source": "'another'", **changes})


def student(**changes: object) -> str:
    facts = {"external_id": "'another'", "email": "'new@example.com'", "verified": True, **changes}
    return STUDENT.format(**facts)


def event(**changes: object) -> str:
    facts = {"id": "'another'", "state": "'ignored'", "outcome": "NULL", "due": "NULL", **changes}
    return EVENT.format(**facts)


def purchase(change: str, which: UUID = QUEUED) -> str:
    return f"UPDATE purchase SET {change} WHERE id = '{which}'"


def again(table: str, columns: str, **others: str) -> str:
    """A second row with the same facts, and these others."""
    names, values = (", ".join([columns, *more]) for more in (others.keys(), others.values()))
    return f"INSERT INTO {table} ({names}) SELECT {values} FROM {table}"


def settled_with_secret(state: str) -> str:
    return purchase(f"state = '{state}', client_secret = 'x'", PAID)


PLAN_VERSION = "UPDATE pricing_plan_version SET {} WHERE id = 2"
LEASE = "lease_until = now(), lease_token = gen_random_uuid()"
SETTLED = "state = 'ignored', due_at = NULL, hint_at = NULL"
OWING = "minutes_left = -1, minutes_consumed = minutes_granted + 1"
CASE_FACTS = "reason, source, detail, state, opened_at"
CLOSED = "due_at = NULL, hint_at = NULL"
LINK_FACTS = "external_id, email, name, request_id, requested_at"
MESSAGE_FACTS = "digest, queue, task, reason, size_bytes, times, first_at, last_at"

FORBIDDEN = {
    "student": [
        ("email_normalised", "an address in another spelling", student(email="'Ana@example.com'")),
        ("email_normalised", "an address with spaces around", student(email="' new@example.com'")),
        ("guests_are_unverified", "a verified guest", student(external_id="NULL")),
        ("external_id", "two students of one account", student(external_id="'sub-1'")),
        ("guest_email", "two guests of one address", student(external_id="NULL", email=GUEST, verified=False)),
        ("verified_email", "two accounts that proved one address", student(email=KNOWN)),
    ],
    "installation": [
        ("one_row", "a second one", "INSERT INTO installation VALUES (false, gen_random_uuid(), now())"),
    ],
    "pricing_plan": [
        ("code", "two plans of one code", "UPDATE pricing_plan SET code = 'basic' WHERE code = 'family'"),
    ],
    "pricing_plan_version": [
        ("version_counts", "version 0", PLAN_VERSION.format("version = 0")),
        ("minutes_positive", "a plan without hours", PLAN_VERSION.format("minutes = 0")),
        ("price_positive", "a plan for nothing", PLAN_VERSION.format("price_cents = 0")),
        ("currency_code", "a currency in capitals", PLAN_VERSION.format("currency = 'EUR'")),
        ("packages_expire", "a package for ever", PLAN_VERSION.format("validity_days = NULL")),
        ("packages_expire", "a subscription with an end", PLAN_VERSION.format("plan_type = 'subscription'")),
        ("validity_positive", "a package of no day", PLAN_VERSION.format("validity_days = 0")),
        ("plantype", "an unknown kind", PLAN_VERSION.format("plan_type = 'loan'")),
        ("plan_id_version", "one version twice", PLAN_VERSION.format("plan_id = 1")),
    ],
    "purchase": [
        ("queued_is_open", "queued, but nobody would find it", purchase("due_at = NULL, hint_at = NULL")),
        ("open_is_hinted", "open, but the sweeper would not find it", purchase("hint_at = NULL")),
        ("open_is_hinted", "closed, but the sweeper would find it", purchase("hint_at = now()", PENDING)),
        ("lease_is_whole", "a lease without an end", purchase("lease_token = gen_random_uuid()")),
        ("lease_is_whole", "a lease without an owner", purchase("lease_until = now()")),
        ("lease_is_of_open_work", "a lease on closed work", purchase(LEASE, PENDING)),
        ("given_up_is_closed", "a dead letter that is still worked", purchase("gave_up_at = now()")),
        ("attempts_count", "more deferrals than attempts", purchase("deferrals = 1")),
        ("attempts_count", "negative deferrals", purchase("deferrals = -1")),
        ("completed_is_paid", "completed and never paid", purchase("paid_at = NULL", PAID)),
        ("completed_is_paid", "completed without an intent", purchase("payment_intent_id = NULL", PAID)),
        ("completed_is_paid", "completed for nobody", purchase("student_id = NULL", PAID)),
        ("completed_is_paid", "refunded and never paid", purchase("state = 'refunded', paid_at = NULL", PAID)),
        ("paid_after_accepted", "paid before it was asked for", purchase("accepted_at = now()", PAID)),
        ("has_intent", "pending without an intent", purchase("payment_intent_id = NULL", PENDING)),
        ("has_intent", "processing without an intent", purchase("state = 'processing'")),
        ("settled_has_no_secret", "completed with a client secret", settled_with_secret("completed")),
        ("settled_has_no_secret", "cancelled with a client secret", settled_with_secret("cancelled")),
        ("settled_has_no_secret", "expired with a client secret", settled_with_secret("expired")),
        ("settled_has_no_secret", "refunded with a client secret", settled_with_secret("refunded")),
        ("key_has_body", "a key whose body cannot be compared", purchase("body_hash = NULL")),
        ("key_has_body", "a body without its key", purchase("idempotency_key = NULL")),
        ("price_positive", "a purchase for nothing", purchase("price_cents = 0")),
        ("minutes_positive", "a purchase of nothing", purchase("minutes = -600")),
        ("currency_code", "no currency", purchase("currency = '€'")),
        ("refunds_within_price", "more back than was paid", purchase("refunded_cents = price_cents + 1", PAID)),
        ("refunds_within_price", "a negative refund", purchase("refunded_cents = -1", PAID)),
        ("plantype", "an unknown kind of plan", purchase("plan_type = 'loan'")),
        ("purchasestate", "an unknown state", purchase("state = 'paid'")),
        ("scope_idempotency_key", "a key twice", purchase("idempotency_key = 'key', body_hash = 'x'", PENDING)),
        ("payment_intent_id", "one intent twice", purchase(f"payment_intent_id = 'pi_{PENDING.hex}'", PAID)),
        ("transaction_id", "one transaction id twice", purchase("transaction_id = 2")),
    ],
    "purchase_transition": [
        ("step", "an unknown step", "UPDATE purchase_transition SET step = 'thought'"),
        ("purchasestate", "a step to nowhere", "UPDATE purchase_transition SET state = 'paid'"),
    ],
    "stripe_call": [
        ("open", "two open calls of one purchase", call(state="open")),
        ("idempotency_key", "one key for two calls", call(key="key-1")),
        ("purchase_id_operation_attempt", "one attempt twice", call(attempt=1)),
        ("attempt_counts", "attempt 0", call(attempt=0)),
        ("answer_names_object", "an answer about nothing", call(state="answered")),
        ("callstate", "an unknown state", call(state="lost")),
    ],
    "staff_case": [
        ("known_state", "an unknown state", "UPDATE staff_case SET state = 'forgotten'"),
        ("reason_source", "one finding twice", again("staff_case", CASE_FACTS)),
    ],
    "webhook_event": [
        ("stripe_event_id", "one event twice", event(id="'evt_1'")),
        ("open_states", "a received event that nobody would find", event(state="'received'")),
        ("open_states", "a settled event that is worked again", event(due="now()")),
        ("applied_is_applied", "applied without its outcome", event(state="'applied'")),
        ("applied_is_applied", "an outcome of what was not applied", event(outcome="'applied'")),
        ("eventstate", "an unknown state", event(state="'lost'")),
        ("outcome", "an unknown outcome", event(outcome="'shrug'")),
        ("open_is_hinted", "an open event without a hint", "UPDATE webhook_event SET hint_at = NULL"),
        ("lease_is_whole", "half a lease", "UPDATE webhook_event SET lease_until = now()"),
        ("lease_is_of_open_work", "a lease on a settled event", f"UPDATE webhook_event SET {SETTLED}, {LEASE}"),
        ("given_up_is_closed", "a dead letter that is worked", "UPDATE webhook_event SET gave_up_at = now()"),
        ("attempts_count", "more deferrals than attempts", "UPDATE webhook_event SET deferrals = 1"),
    ],
    "student_link": [
        ("external_id_email", "one wish twice", again("student_link", LINK_FACTS, id="gen_random_uuid()")),
        ("open_is_hinted", "an open wish without a hint", "UPDATE student_link SET hint_at = NULL"),
        ("lease_is_whole", "half a lease", "UPDATE student_link SET lease_until = now()"),
        ("lease_is_of_open_work", "a lease on a closed wish", f"UPDATE student_link SET {CLOSED}, {LEASE}"),
        ("given_up_is_closed", "a dead letter that is worked", "UPDATE student_link SET gave_up_at = now()"),
        ("attempts_count", "more deferrals than attempts", "UPDATE student_link SET deferrals = 1"),
    ],
    "unreadable_message": [
        ("digest", "one message in two rows", again("unreadable_message", MESSAGE_FACTS)),
        ("times_count", "a message that never came", "UPDATE unreadable_message SET times = 0"),
    ],
    "hour_lot": [
        ("minutes_not_negative", "a lot that owes", f"UPDATE hour_lot SET {OWING}"),
        ("minutes_are_conserved", "minutes from nowhere", "UPDATE hour_lot SET minutes_left = minutes_left + 1"),
        ("minutes_are_conserved", "minutes that vanish", "UPDATE hour_lot SET minutes_left = minutes_left - 1"),
        ("minutes_positive", "a lot of nothing", "UPDATE hour_lot SET minutes_granted = 0, minutes_left = 0"),
        ("value_not_negative", "a lot of negative value", "UPDATE hour_lot SET value_cents = -1"),
        ("expires_after_start", "a lot that was never good", "UPDATE hour_lot SET expires_at = starts_at"),
        ("purchases_are_named", "a purchase's lot without its purchase", lot(origin="'purchase'")),
        ("purchases_are_named", "a grant of a purchase", lot(purchase=f"'{PENDING}'")),
        ("lotorigin", "a lot out of the air", lot(origin="'magic'")),
        ("source", "one source twice", lot(source="'first'")),
        ("purchase_id", "two lots of one purchase", lot(origin="'purchase'", purchase=f"'{PAID}'")),
    ],
    "hour_entry": [
        ("minutes_not_zero", "an entry that moves nothing", entry(minutes=0)),
        ("entrykind", "an unknown kind of entry", entry(kind="'gift'")),
        ("source", "one effect twice", entry(source="'first'")),
    ],
    "hour_allocation": [
        ("minutes_not_zero", "a part of nothing", "INSERT INTO hour_allocation VALUES (1, 1, 0)"),
    ],
    "student_balance": [
        ("minutes_not_negative", "a negative balance", f"UPDATE student_balance SET {OWING}"),
        ("minutes_are_conserved", "minutes from nowhere", "UPDATE student_balance SET minutes_held = 1"),
        ("debt_not_negative", "a negative debt", "UPDATE student_balance SET minutes_owed = -1"),
        ("returns_within_payments", "a return of nothing", "UPDATE student_balance SET returned_cents = 999999"),
    ],
}
CASES = [(table, *case) for table, cases in FORBIDDEN.items() for case in cases]

GUARDS = text("""
    SELECT conrelid::regclass::text, conname FROM pg_constraint
    WHERE connamespace = 'public'::regnamespace AND contype IN ('c', 'u', 'x')
    UNION
    SELECT indrelid::regclass::text, indexrelid::regclass::text FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid
    WHERE relnamespace = 'public'::regnamespace AND indisunique AND NOT indisprimary
""")


@pytest.fixture(scope="module")
def engine(postgres: RunningPostgres) -> Iterator[Engine]:
    """One small world for all tests of this module: every statement of theirs is refused, so nothing changes it."""
    postgres.create_database("models", template=TEMPLATE)
    engine = db.connect(postgres.url("models"), "tests")
    _fill(partial(db.begin, engine))
    yield engine
    engine.dispose()


def _fill(begin: db.Begin) -> None:
    student_id = add_student(begin, "known@example.com", at=NOON, external_id="sub-1")
    add_student(begin, "guest@example.com", at=NOON)
    queued: dict[str, Any] = {"id": QUEUED, "idempotency_key": "key", "body_hash": b"hash"}
    add_purchase(begin, at=NOON, **queued)
    add_purchase(begin, at=NOON, state=PurchaseState.PENDING, id=PENDING, payment_intent_id=f"pi_{PENDING.hex}")
    paid: dict[str, Any] = {"id": PAID, "student_id": student_id, "payment_intent_id": "pi_paid"}
    add_purchase(begin, at=NOON, state=PurchaseState.COMPLETED, **paid)
    add_event(begin, {"id": "evt_1", "type": "any"}, at=NOON)
    first = ledger.Credit(student_id, LotOrigin.PURCHASE, "first", PAID, 600, 14_000, "eur", NOON, None, NOON)
    with begin() as session:
        session.execute(text("UPDATE student SET email_verified = true WHERE external_id IS NOT NULL"))
        ledger.credit(session, [first])
        session.add(BeatSlot(entry="tick", slot=NOON))
        for statement in REST:
            session.execute(text(statement))


@pytest.mark.parametrize(
    ("table", "guard", "statement"),
    [pytest.param(table, guard, statement, id=f"{table}: {what}") for table, guard, what, statement in CASES],
)
def test_the_database_refuses(engine: Engine, table: str, guard: str, statement: str) -> None:
    """Code has bugs and people have consoles; what is written here cannot happen by either."""
    with pytest.raises(IntegrityError) as refused, db.begin(engine) as session:
        session.execute(text(statement.replace(":", r"\:")))
    assert isinstance(refused.value.orig, psycopg.Error)
    diagnosis = refused.value.orig.diag
    assert diagnosis.table_name == table
    assert diagnosis.constraint_name in {f"ck_{table}_{guard}", f"uq_{table}_{guard}"}


def test_every_rule_of_the_schema_has_its_case_here(engine: Engine) -> None:
    """A rule that no test tries may have been written the wrong way round."""
    with db.begin(engine) as session:
        guards = {tuple(row) for row in session.execute(GUARDS)}
    tried = {(table, f"{kind}_{table}_{guard}") for table, guard, *_ in CASES for kind in ("ck", "uq")}
    assert guards - tried == set()


def test_states_are_stored_by_value(engine: Engine) -> None:
    """A report in SQL reads the words of the contract, and renaming a member in the code is no migration."""
    with db.begin(engine) as session:
        stored = session.execute(text("SELECT state FROM purchase ORDER BY transaction_id")).scalars().all()
    assert stored == ["queued", "pending", "completed"]


def test_a_naive_instant_is_refused(engine: Engine) -> None:
    """A time without a zone would be read in the zone of whichever server gets it."""
    naive = BeatSlot(entry="naive", slot=datetime(2026, 3, 2, 12))  # noqa: DTZ001
    with pytest.raises(StatementError, match="an instant without a zone"), db.begin(engine) as session:
        session.add(naive)


def test_instants_come_back_in_utc(engine: Engine, postgres: RunningPostgres) -> None:
    """Whatever zone a session or a server was given, days are counted from the same instant."""
    elsewhere = db.connect(postgres.url("models"), "tests", timezone="Asia/Tokyo")
    with db.begin(elsewhere) as session:
        assert session.execute(text("SHOW timezone")).scalar_one() == "Asia/Tokyo"
        purchase = session.get_one(Purchase, PAID)
    elsewhere.dispose()
    assert purchase.paid_at == NOON
    assert purchase.paid_at.tzinfo is UTC
