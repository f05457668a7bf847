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
from billing.ids import new_id
from billing.models import BeatSlot, Purchase
from billing.states import LotOrigin, PurchaseState
from tests.support.database import TEMPLATE, connect
from tests.support.factories import add_event, add_purchase, add_student, event_body
from tests.support.servers import RunningPostgres

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
QUEUED, PENDING, PAID, REFUND = UUID(int=1), UUID(int=2), UUID(int=3), UUID(int=4)
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
    """
    INSERT INTO consumption (id, group_id, student_id, session_id, mode, minutes, state, caller_sub, requested_at)
    SELECT gen_random_uuid(), gen_random_uuid(), id, 'session', 'consume', 60, 'requested', 'platform', now()
    FROM student LIMIT 1
    """,
    """
    INSERT INTO consumption_act (id, act, group_id, scope, idempotency_key, body_hash, request_id, state, requested_at,
        due_at, hint_at)
    VALUES (gen_random_uuid(), 'book', gen_random_uuid(), 'platform', 'key', 'hash', 'request', 'requested', now(),
        now(), now())
    """,
    """
    INSERT INTO staff_act (id, action, target, parameters, reason, actor, idempotency_key, body_hash, request_id, state,
        requested_at, due_at, hint_at)
    VALUES (gen_random_uuid(), 'extend', 'purchase:1', '{}', 'She was ill.', 'boss', 'key', 'hash', 'request',
        'requested', now(), now(), now())
    """,
    """
    INSERT INTO staff_sign_in (id, sub, name, roles, signed_in_at, until)
    VALUES (gen_random_uuid(), 'boss', 'Boss', '{admin}', now(), now() + interval '8 h')
    """,
    """
    INSERT INTO dead_letter_mark (kind, subject, state, act_id, at)
    SELECT 'webhook_event', '1', 'parked', id, now() FROM staff_act LIMIT 1
    """,
    """
    INSERT INTO sweep_run (trigger, cutoff, grace_hours, state, started_at, due_at, hint_at)
    VALUES ('nightly', now(), 0, 'running', now(), now(), now())
    """,
    """
    INSERT INTO notification (id, topic, subject, student_id, facts, state, created_at, due_at, hint_at)
    SELECT gen_random_uuid(), 'expired', 'lot:1', id, '{}', 'waiting', now(), now(), now() FROM student LIMIT 1
    """,
    "INSERT INTO ledger_audit (started_at, finished_at, students, violations) VALUES (now(), now(), 1, 0)",
    f"""
    INSERT INTO refund (id, purchase_id, origin, amount_cents, currency, minutes, state, stripe_refund_id, request_id,
        created_at, due_at, hint_at)
    VALUES ('{REFUND}', '{PAID}', 'staff', 7000, 'eur', 300, 'held', 're_1', 'request', now(), now(), now())
    """,
    f"""
    INSERT INTO stripe_call (id, operation, purchase_id, refund_id, attempt, idempotency_key, parameters, api_version,
        state, sends, looks, prepared_at)
    VALUES (gen_random_uuid(), 'refund.create', '{PAID}', '{REFUND}', 1, 'key-of-refund', '{{}}', 'v', 'open', 0, 0,
        now())
    """,
    f"""
    INSERT INTO dispute (id, stripe_dispute_id, purchase_id, amount_cents, currency, reason, status, state, opened_at)
    VALUES (gen_random_uuid(), 'du_1', '{PAID}', 7000, 'eur', 'fraudulent', 'needs_response', 'open', now())
    """,
    f"""
    INSERT INTO payment_watch (id, asks, request_id, began_at, due_at, hint_at)
        SELECT id, 0, 'r', now(), now(), now() FROM purchase WHERE state = 'pending' LIMIT 1;
    INSERT INTO stale_mark (subject, object_id, purchase_id, marks, request_id, marked_at, due_at, hint_at)
    VALUES ('refunds', 'pi_paid', '{PAID}', 1, 'request', now(), now(), now())
    """,
    f"""
    INSERT INTO receipt (id, purchase_id, requested_at, year, serial, facts, pdf, issued_at, due_at, hint_at)
    VALUES (gen_random_uuid(), '{PAID}', now(), 2026, 1, '{{}}', 'pdf', now(), now(), now())
    """,
    "INSERT INTO receipt_counter (year, last) VALUES (2026, 1)",
    "INSERT INTO cursor (name, at) VALUES ('stripe_events', now())",
    """
    INSERT INTO reconciliation_run (scope, since, until, seen, recorded, found, started_at)
    VALUES ('events', now(), now(), 0, 0, 0, now())
    """,
    """
    INSERT INTO finding (id, kind, source, detail, state, opened_at, seen_at)
    VALUES (gen_random_uuid(), 'amount', 'pi_1', '', 'open', now(), now())
    """,
    """
    INSERT INTO stripe_customer (student_id, id, attempt, stripe_customer_id, prepared_at, made_at)
    SELECT id, gen_random_uuid(), 1, 'cus_1', now(), now() FROM student WHERE external_id = 'sub-1'
    """,
    """
    INSERT INTO payment_method (id, stripe_payment_method_id, student_id, brand, last4, exp_month, exp_year, is_default,
        attached_at)
    SELECT gen_random_uuid(), 'pm_1', student_id, 'visa', '4242', 12, 2034, true, now() FROM stripe_customer
    """,
    """
    INSERT INTO stripe_price (plan_version_id, stripe_product_id, stripe_price_id, made_at)
    VALUES (1, 'plan_1', 'price_1', now())
    """,
    """
    INSERT INTO subscription (id, student_id, stripe_subscription_id, stripe_customer_id, status, period_start,
        period_end, cancel_at_period_end, is_paused, invoice_attempts, began_at)
    SELECT gen_random_uuid(), id, 'sub_1', 'cus_1', 'active', now(), now() + interval '1 month', false, false, 0, now()
    FROM student LIMIT 1
    """,
    """
    INSERT INTO account_act (id, action, parameters, caller_sub, caller_email_verified, idempotency_key, body_hash,
        request_id, state, requested_at, due_at, hint_at)
    VALUES (gen_random_uuid(), 'pause', '{}', 'sub-1', true, 'key', 'hash', 'request', 'requested', now(), now(), now())
    """,
    """
    INSERT INTO export (id, sub, list_name, selection, request_id, state, requested_at, due_at, hint_at)
    VALUES (gen_random_uuid(), 'boss', 'entry', '{}', 'request', 'writing', now(), now(), now())
    """,
    "INSERT INTO export_part (export_id, number, rows, body) SELECT id, 1, 1, '' FROM export",
)

RANDOM = "gen_random_uuid()"
CUSTOMER = """
    INSERT INTO stripe_customer (student_id, id, attempt, stripe_customer_id, prepared_at, made_at)
    SELECT student.id, {id}, 1, {there}, now(), now() FROM student, stripe_customer AS customer
    WHERE student.id <> customer.student_id LIMIT 1
"""
CARD = """
    INSERT INTO payment_method (id, stripe_payment_method_id, student_id, brand, last4, exp_month, exp_year, is_default,
        attached_at)
    SELECT gen_random_uuid(), '{card}', student_id, 'visa', '4242', 12, 2034, {is_default}, now() FROM stripe_customer
"""
PLAN_VERSION = "UPDATE pricing_plan_version SET {} WHERE id = 2"
SUBSCRIBED = "plan_type = 'subscription', subscription_id = (SELECT id FROM subscription)"
SUBSCRIPTION_FACTS = (
    "student_id, stripe_subscription_id, stripe_customer_id, status, period_start, period_end, cancel_at_period_end, "
    "is_paused, invoice_attempts, began_at"
)
LEASE = "lease_until = now(), lease_token = gen_random_uuid()"
SETTLED = "state = 'ignored', due_at = NULL, hint_at = NULL"
OWING = "minutes_left = -1, minutes_consumed = minutes_granted + 1"
CLOSED_NOW = "closed_at = now()"
CASE_FACTS = "reason, source, detail, state, opened_at"
CLOSED = "due_at = NULL, hint_at = NULL"
WRITTEN = f"ready_at = now(), {CLOSED}"
LINK_FACTS = "external_id, email, name, request_id, requested_at"
DECIDED = "decided_at = now()"
CONSUMPTION_FACTS = "group_id, student_id, session_id, mode, minutes, state, caller_sub, requested_at"
ACT_FACTS = "act, group_id, scope, idempotency_key, body_hash, request_id, state, requested_at, due_at, hint_at"
STAFF_FACTS = (
    "action, target, parameters, reason, actor, idempotency_key, body_hash, request_id, state, requested_at, "
    "due_at, hint_at"
)
WISH_FACTS = (
    "action, parameters, caller_sub, caller_email_verified, idempotency_key, body_hash, request_id, state, "
    "requested_at, due_at, hint_at"
)
NOTE_FACTS = "topic, subject, student_id, facts, state, created_at, due_at, hint_at"
REFUND_FACTS = (
    "purchase_id, origin, amount_cents, currency, minutes, state, stripe_refund_id, request_id, created_at, due_at, "
    "hint_at"
)
DISPUTE_FACTS = "stripe_dispute_id, purchase_id, amount_cents, currency, reason, status, state, opened_at"
MARK_FACTS = "subject, object_id, purchase_id, marks, request_id, marked_at, due_at, hint_at"
RECEIPT_FACTS = "requested_at, year, facts, pdf, issued_at, due_at, hint_at"
REFUND_CALL = (
    "operation, purchase_id, refund_id, parameters, api_version, sends, looks, prepared_at) "
    "SELECT {}, operation, purchase_id, refund_id, parameters, api_version, sends, looks, prepared_at "
    "FROM stripe_call WHERE refund_id IS NOT NULL"
)
FINDING_FACTS = "kind, source, detail, state, opened_at, seen_at"
MESSAGE_FACTS = "digest, queue, task, reason, size_bytes, times, first_at, last_at"


def call(**changes: object) -> str:
    facts = {"purchase": PENDING, "attempt": 2, "key": "another", "state": "refused", "object": "NULL", **changes}
    return CALL.format(**facts)


def lot(**changes: object) -> str:
    return LOT.format(**{"origin": "'grant'", "source": "'another'", "purchase": "NULL", **changes})


def lot_end(*moves: str) -> str:
    """Of one source, so much later each."""
    facts = ", ".join(f"(1, 'another', now(), now() + {move}, now())" for move in moves or ["interval '0 s'"])
    return f"INSERT INTO lot_end (lot_id, source, expired_at, expires_at, at) VALUES {facts}"


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


def changed(table: str, change: str) -> str:
    return f"UPDATE {table} SET {change}"


def call_of_refund(attempt: int, state: str) -> str:
    given = f"gen_random_uuid(), 'again', {attempt}, '{state}'"
    return f"INSERT INTO stripe_call (id, idempotency_key, attempt, state, {REFUND_CALL.format(given)}"


def cases_of_open_work(table: str, closed: str = CLOSED) -> list[tuple[str, str, str]]:
    """`closed` is what makes the row closed and breaks no rule by it."""
    return [
        ("open_is_hinted", "open without a hint", changed(table, "hint_at = NULL")),
        ("lease_is_whole", "half a lease", changed(table, "lease_until = now()")),
        ("lease_is_of_open_work", "a lease on closed work", changed(table, f"{closed}, {LEASE}")),
        ("given_up_is_closed", "a dead letter that is worked", changed(table, "gave_up_at = now()")),
        ("attempts_count", "more deferrals than attempts", changed(table, "deferrals = 1")),
        ("attempts_count", "negative deferrals", changed(table, "deferrals = -1")),
    ]


def cases_of_acts(table: str) -> list[tuple[str, str, str]]:
    """Of what is asked for, done by a worker, and answered once."""
    done = f"state = 'done', {DECIDED}, {CLOSED}"
    return [
        ("decided_once", "done at no time", changed(table, f"state = 'done', {CLOSED}")),
        ("decided_once", "decided before it was done", changed(table, DECIDED)),
        ("decided_is_closed", "done, and still worked", changed(table, f"state = 'done', {DECIDED}")),
        ("requested_is_open", "asked for, but nobody would find it", changed(table, CLOSED)),
        ("refusal_says_why", "a refusal without a word", changed(table, f"state = 'refused', {DECIDED}, {CLOSED}")),
        ("refusal_says_why", "done, with an error", changed(table, f"{done}, error_type = 'any'")),
        ("key_has_body", "a key whose body cannot be compared", changed(table, "body_hash = NULL")),
        ("key_has_body", "a body without its key", changed(table, "idempotency_key = NULL")),
        ("actstate", "an unknown state", changed(table, "state = 'lost'")),
        *cases_of_open_work(table, done),
    ]


def settled_with_secret(state: str) -> str:
    return purchase(f"state = '{state}', client_secret = 'x'", PAID)


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
        ("periods_roll_over", "a package that rolls over", PLAN_VERSION.format("rollover_minutes = 60")),
        (
            "periods_roll_over",
            "a rollover of nothing",
            "UPDATE pricing_plan_version SET rollover_minutes = 0 WHERE plan_type = 'subscription'",
        ),
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
        (
            "refunds_within_price",
            "more on its way than is left",
            purchase("refunded_cents = 1, refunding_cents = 14000", PAID),
        ),
        ("refunds_within_price", "less than nothing on its way", purchase("refunding_cents = -1", PAID)),
        ("plantype", "an unknown kind of plan", purchase("plan_type = 'loan'")),
        ("purchasestate", "an unknown state", purchase("state = 'paid'")),
        ("scope_idempotency_key", "a key twice", purchase("idempotency_key = 'key', body_hash = 'x'", PENDING)),
        ("payment_intent_id", "one intent twice", purchase(f"payment_intent_id = 'pi_{PENDING.hex}'", PAID)),
        ("transaction_id", "one transaction id twice", purchase("transaction_id = 2")),
        ("purchasechannel", "an unknown channel", purchase("channel = 'fax'")),
        ("topups_have_a_card", "a top-up without a card", purchase("channel = 'topup'")),
        ("topups_have_a_card", "a card of what is no top-up", purchase("payment_method_id = 'pm_1'")),
        (
            "topups_are_packages",
            "a top-up of a subscription",
            purchase("channel = 'topup', payment_method_id = 'pm_1', plan_type = 'subscription'"),
        ),
        ("renewals_have_an_invoice", "a renewal without an invoice", purchase(f"channel = 'renewal', {SUBSCRIBED}")),
        (
            "renewals_have_an_invoice",
            "a renewal of nothing",
            purchase("channel = 'renewal', stripe_invoice_id = 'in_1'"),
        ),
        (
            "subscribed_by_its_plan",
            "a package that began a subscription",
            purchase("subscription_id = (SELECT id FROM subscription)"),
        ),
        ("first_of_subscription", "two that began one subscription", changed("purchase", SUBSCRIBED)),
        ("stripe_invoice_id", "one invoice twice", changed("purchase", "stripe_invoice_id = 'in_1'")),
    ],
    "purchase_transition": [
        ("step", "an unknown step", "UPDATE purchase_transition SET step = 'thought'"),
        ("purchasestate", "a step to nowhere", "UPDATE purchase_transition SET state = 'paid'"),
    ],
    "stripe_call": [
        ("open", "two open calls of one purchase", call(state="open")),
        ("idempotency_key", "one key for two calls", call(key="key-1")),
        ("open", "two open calls of one refund", call_of_refund(2, "open")),
        ("attempt", "one attempt twice", call(attempt=1)),
        ("attempt", "one attempt of a refund twice", call_of_refund(1, "refused")),
        ("attempt_counts", "attempt 0", call(attempt=0)),
        ("answer_names_object", "an answer about nothing", call(state="answered")),
        ("callstate", "an unknown state", call(state="lost")),
    ],
    "staff_case": [
        ("known_state", "an unknown state", "UPDATE staff_case SET state = 'forgotten'"),
        ("reason_source", "one finding twice", again("staff_case", CASE_FACTS)),
        ("closed_once", "closed at no time", changed("staff_case", "state = 'closed', closed_by = 'boss', note = 'x'")),
        (
            "closed_by_somebody",
            "closed by nobody",
            changed("staff_case", f"state = 'closed', {CLOSED_NOW}, note = 'x'"),
        ),
        (
            "closed_with_a_note",
            "closed without a word",
            changed("staff_case", f"state = 'closed', {CLOSED_NOW}, closed_by = 'boss'"),
        ),
        ("closed_with_a_note", "open, with a note", changed("staff_case", "note = 'x'")),
    ],
    "dead_letter_mark": [
        ("deadletterstate", "an unknown decision", changed("dead_letter_mark", "state = 'buried'")),
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
        *cases_of_open_work("student_link"),
    ],
    "consumption": [
        ("session", "one session twice", again("consumption", CONSUMPTION_FACTS, id="gen_random_uuid()")),
        ("minutes_positive", "a lesson of no length", changed("consumption", "minutes = 0")),
        ("minutes_not_negative", "less than nothing held", changed("consumption", "minutes_held = -1")),
        ("minutes_not_negative", "less than nothing taken", changed("consumption", "minutes_consumed = -1")),
        ("minutes_not_negative", "less than nothing returned", changed("consumption", "minutes_returned = -1")),
        ("held_holds", "held, and nothing is", changed("consumption", f"state = 'held', {DECIDED}")),
        ("held_holds", "minutes held by what holds none", changed("consumption", "minutes_held = 60")),
        ("consumed_takes", "taken, and nothing was", changed("consumption", f"state = 'consumed', {DECIDED}")),
        ("consumed_takes", "minutes taken by what took none", changed("consumption", "minutes_consumed = 60")),
        ("holds_end", "a hold for ever", changed("consumption", "mode = 'hold'")),
        ("holds_end", "an end of what holds nothing", changed("consumption", "ends_at = now()")),
        ("refusal_says_why", "a refusal without a word", changed("consumption", f"state = 'refused', {DECIDED}")),
        ("refusal_says_why", "an error of what was not refused", changed("consumption", "error_type = 'any'")),
        ("decided_once", "released at no time", changed("consumption", "state = 'released'")),
        ("decided_once", "decided before it was", changed("consumption", DECIDED)),
        ("consumptionmode", "an unknown mode", changed("consumption", "mode = 'borrow'")),
        ("consumptionstate", "an unknown state", changed("consumption", f"state = 'lost', {DECIDED}")),
    ],
    "consumption_act": [
        *cases_of_acts("consumption_act"),
        ("key", "one key twice", again("consumption_act", ACT_FACTS, id="gen_random_uuid()")),
        ("minutes_positive", "a capture of nothing", changed("consumption_act", "minutes = 0")),
        ("refunds_have_reasons", "a booking with a reason", changed("consumption_act", "reason = 'ill'")),
        ("consumptionactkind", "an unknown act", changed("consumption_act", "act = 'lend'")),
    ],
    "staff_act": [
        *cases_of_acts("staff_act"),
        ("key", "one key twice", again("staff_act", STAFF_FACTS, id="gen_random_uuid()")),
        ("has_reason", "an act for no reason", changed("staff_act", "reason = ''")),
        ("has_reason", "a reason of spaces", changed("staff_act", "reason = '  '")),
        ("staffaction", "an unknown act", changed("staff_act", "action = 'forgive'")),
    ],
    "account_act": [
        *cases_of_acts("account_act"),
        ("key", "one key twice", again("account_act", WISH_FACTS, id="gen_random_uuid()")),
        (
            "serial",
            "two wishes in one place",
            again(
                "account_act",
                WISH_FACTS.replace("idempotency_key, body_hash, ", ""),
                id="gen_random_uuid()",
                serial="serial",
            ),
        ),
        ("accountaction", "an unknown wish", changed("account_act", "action = 'forget'")),
    ],
    "sweep_run": [
        *cases_of_open_work("sweep_run", f"state = 'finished', finished_at = now(), {CLOSED}"),
        ("grace_not_negative", "a sweep before its time", changed("sweep_run", "grace_hours = -1")),
        *(
            ("counts_not_negative", f"fewer {count} than none", changed("sweep_run", f"{count} = -1"))
            for count in ("chunks", "students", "lots", "minutes")
        ),
        ("finished_once", "finished at no time", changed("sweep_run", f"state = 'finished', {CLOSED}")),
        ("finished_once", "finished while it runs", changed("sweep_run", "finished_at = now()")),
        ("undone_once", "undone at no time", changed("sweep_run", f"state = 'undone', finished_at = now(), {CLOSED}")),
        ("undone_once", "undone while it runs", changed("sweep_run", "undone_at = now()")),
        ("finished_is_closed", "finished, and worked", changed("sweep_run", "state = 'finished', finished_at = now()")),
        ("sweeptrigger", "swept by whom", changed("sweep_run", "trigger = 'wind'")),
        ("sweepstate", "an unknown state", changed("sweep_run", f"state = 'lost', finished_at = now(), {CLOSED}")),
    ],
    "notification": [
        *cases_of_open_work("notification", f"state = 'sent', {DECIDED}, {CLOSED}"),
        ("topic_subject_student_id", "one fact told twice", again("notification", NOTE_FACTS, id="gen_random_uuid()")),
        ("decided_once", "sent at no time", changed("notification", f"state = 'sent', {CLOSED}")),
        ("decided_once", "decided while it waits", changed("notification", DECIDED)),
        ("decided_is_closed", "sent, and sent again", changed("notification", f"state = 'sent', {DECIDED}")),
        ("waiting_is_open", "waiting, but nobody would find it", changed("notification", CLOSED)),
        ("notificationkind", "an unknown topic", changed("notification", "topic = 'weather'")),
        ("notificationstate", "an unknown state", changed("notification", f"state = 'lost', {DECIDED}, {CLOSED}")),
    ],
    "ledger_audit": [
        ("counts_not_negative", "fewer students than none", changed("ledger_audit", "students = -1")),
        ("counts_not_negative", "fewer violations than none", changed("ledger_audit", "violations = -1")),
    ],
    "unreadable_message": [
        ("digest", "one message in two rows", again("unreadable_message", MESSAGE_FACTS)),
        ("times_count", "a message that never came", "UPDATE unreadable_message SET times = 0"),
    ],
    "refund": [
        *cases_of_open_work("refund", f"state = 'failed', {DECIDED}, {CLOSED}"),
        ("stripe_refund_id", "one refund twice", again("refund", REFUND_FACTS, id="gen_random_uuid()")),
        ("amount_positive", "a refund of nothing", changed("refund", "amount_cents = 0")),
        ("minutes_not_negative", "minutes that come with a refund", changed("refund", "minutes = -1")),
        ("minutes_not_negative", "a debt of less than nothing", changed("refund", "minutes_short = -1")),
        ("currency_code", "no currency", changed("refund", "currency = 'EUR'")),
        (
            "external_is_at_stripe",
            "made elsewhere, but nowhere",
            changed("refund", "origin = 'external', stripe_refund_id = NULL"),
        ),
        (
            "succeeded_at_stripe",
            "succeeded without Stripe",
            changed("refund", f"state = 'succeeded', stripe_refund_id = NULL, {DECIDED}, {CLOSED}"),
        ),
        ("decided_once", "failed at no time", changed("refund", f"state = 'failed', {CLOSED}")),
        ("decided_once", "decided before it was", changed("refund", DECIDED)),
        ("decided_is_closed", "failed, and still worked", changed("refund", f"state = 'failed', {DECIDED}")),
        ("held_is_open", "held, but nobody would find it", changed("refund", CLOSED)),
        ("refundorigin", "made by nobody", changed("refund", "origin = 'wind'")),
        ("refundstate", "an unknown state", changed("refund", f"state = 'lost', {DECIDED}, {CLOSED}")),
    ],
    "dispute": [
        ("stripe_dispute_id", "one dispute twice", again("dispute", DISPUTE_FACTS, id="gen_random_uuid()")),
        ("amount_positive", "a dispute about nothing", changed("dispute", "amount_cents = 0")),
        ("loss_within_amount", "more lost than was disputed", changed("dispute", "lost_cents = amount_cents + 1")),
        ("loss_within_amount", "less than nothing lost", changed("dispute", "lost_cents = -1")),
        (
            "minutes_not_negative",
            "less than nothing frozen",
            changed("dispute", "minutes_frozen = -1, frozen_at = now()"),
        ),
        ("minutes_not_negative", "less than nothing taken", changed("dispute", "minutes_lost = -1")),
        ("minutes_not_negative", "a debt of less than nothing", changed("dispute", "minutes_short = -1")),
        ("frozen_since", "frozen at no time", changed("dispute", "minutes_frozen = 60")),
        ("decided_once", "won at no time", changed("dispute", "state = 'won'")),
        ("decided_once", "decided before it was", changed("dispute", DECIDED)),
        ("disputestate", "an unknown state", changed("dispute", f"state = 'forgotten', {DECIDED}")),
    ],
    "export": [
        *cases_of_open_work("export", f"{CLOSED}, gave_up_at = now()"),
        ("rows_not_negative", "fewer rows than none", changed("export", "rows = -1")),
        ("ready_once", "ready at no time", changed("export", f"state = 'ready', {CLOSED}")),
        ("ready_once", "ready while it is written", changed("export", "ready_at = now()")),
        ("ready_is_closed", "ready, and still worked", changed("export", "state = 'ready', ready_at = now()")),
        ("writing_is_open", "asked for, but nobody would find it", changed("export", CLOSED)),
        ("erased_once", "erased at no time", changed("export", f"state = 'erased', {WRITTEN}")),
        ("erased_once", "erased, and still there", changed("export", f"state = 'ready', {WRITTEN}, erased_at = now()")),
        (
            "downloaded_once_ready",
            "fetched before it was ready",
            changed("export", f"state = 'ready', {WRITTEN}, downloaded_at = now() - interval '1 s'"),
        ),
        ("exportstate", "an unknown state", changed("export", f"state = 'lost', {WRITTEN}")),
    ],
    "export_part": [
        ("counts", "part 0", changed("export_part", "number = 0")),
        ("counts", "a part of fewer rows than none", changed("export_part", "rows = -1")),
    ],
    "payment_watch": [
        *cases_of_open_work("payment_watch"),
        ("asks_count", "asked about less than never", changed("payment_watch", "asks = -1")),
    ],
    "stale_mark": [
        *cases_of_open_work("stale_mark"),
        ("subject_object_id", "one object in two rows", again("stale_mark", MARK_FACTS)),
        ("marks_count", "a mark that nobody made", changed("stale_mark", "marks = 0")),
        ("stalekind", "an unknown kind of object", changed("stale_mark", "subject = 'weather'")),
    ],
    "receipt": [
        *cases_of_open_work("receipt"),
        (
            "purchase_id",
            "two receipts of one purchase",
            again("receipt", f"{RECEIPT_FACTS}, purchase_id", id="gen_random_uuid()", serial="2"),
        ),
        (
            "year_serial",
            "one number twice",
            again("receipt", f"{RECEIPT_FACTS}, serial", id="gen_random_uuid()", purchase_id=f"'{PENDING}'"),
        ),
        ("serial_counts", "number 0", changed("receipt", "serial = 0")),
        *(
            ("issued_whole", f"issued without its {part}", changed("receipt", f"{part} = NULL"))
            for part in ("pdf", "serial", "year", "facts", "issued_at")
        ),
    ],
    "reconciliation_run": [
        *(
            ("counts_not_negative", f"fewer {count} than none", changed("reconciliation_run", f"{count} = -1"))
            for count in ("seen", "recorded", "found")
        ),
        ("counts_not_negative", "more news than was seen", changed("reconciliation_run", "recorded = 1")),
        (
            "window_has_length",
            "a time that ends first",
            changed("reconciliation_run", "until = since - interval '1 s'"),
        ),
        ("reconciliationscope", "an unknown scope", changed("reconciliation_run", "scope = 'weather'")),
    ],
    "finding": [
        ("kind_source", "one difference twice", again("finding", FINDING_FACTS, id="gen_random_uuid()")),
        ("closed_once", "closed at no time", changed("finding", "state = 'closed', closed_by = 'boss', note = 'any'")),
        ("closed_once", "a time of what is open", changed("finding", "closed_at = now()")),
        (
            "closed_by_somebody",
            "closed by nobody",
            changed("finding", "state = 'closed', closed_at = now(), note = 'any'"),
        ),
        ("closed_by_somebody", "somebody who closed nothing", changed("finding", "closed_by = 'boss'")),
        (
            "closed_with_a_note",
            "closed without a word",
            changed("finding", "state = 'closed', closed_at = now(), closed_by = 'boss'"),
        ),
        ("closed_with_a_note", "a note on what is open", changed("finding", "note = 'any'")),
        ("seen_after_opened", "seen before it was found", changed("finding", "seen_at = opened_at - interval '1 s'")),
        ("findingkind", "an unknown kind", changed("finding", "kind = 'weather'")),
        ("casestate", "an unknown state", changed("finding", "state = 'forgotten'")),
    ],
    "receipt_counter": [
        ("counts", "a year that begins before its first number", changed("receipt_counter", "last = 0")),
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
        ("currency_code", "a currency in capitals", changed("hour_lot", "currency = 'EUR'")),
        ("expiries_count", "swept less than never", changed("hour_lot", "times_expired = -1")),
        ("lotorigin", "a lot out of the air", lot(origin="'magic'")),
        ("source", "one source twice", lot(source="'first'")),
        ("purchase_id", "two lots of one purchase", lot(origin="'purchase'", purchase=f"'{PAID}'")),
    ],
    "subscription": [
        ("stripe_subscription_id", "one twice", again("subscription", SUBSCRIPTION_FACTS, id=RANDOM)),
        ("subscriptionstatus", "an unknown status", changed("subscription", "status = 'asleep'")),
        ("period_has_length", "a period of no length", changed("subscription", "period_end = period_start")),
        ("ended_once", "ended at no time", changed("subscription", "status = 'canceled'")),
        ("ended_once", "expired at no time", changed("subscription", "status = 'incomplete_expired'")),
        ("ended_once", "an end of what goes on", changed("subscription", "ended_at = now()")),
        ("invoice_is_whole", "an amount that is due for nothing", changed("subscription", "invoice_cents = 1")),
        ("invoice_is_whole", "an invoice without its amount", changed("subscription", "invoice_id = 'in_1'")),
        ("invoice_positive", "nothing is due", changed("subscription", "invoice_id = 'in_1', invoice_cents = 0")),
        ("secret_is_of_an_invoice", "a secret of no invoice", changed("subscription", "invoice_secret = 'x'")),
    ],
    "hour_entry": [
        ("minutes_not_zero", "an entry that moves nothing", entry(minutes=0)),
        ("entrykind", "an unknown kind of entry", entry(kind="'gift'")),
        ("source", "one effect twice", entry(source="'first'")),
    ],
    "hour_allocation": [
        ("minutes_not_zero", "a part of nothing", "INSERT INTO hour_allocation VALUES (1, 1, 0)"),
    ],
    "lot_end": [
        ("ends_later", "an end that does not move", lot_end()),
        ("lot_id_source", "one effect twice", lot_end("interval '1 d'", "interval '2 d'")),
    ],
    "stripe_customer": [
        ("id", "two students under one mark", CUSTOMER.format(id="customer.id", there="'cus_2'")),
        ("stripe_customer_id", "two students as one customer", CUSTOMER.format(id=RANDOM, there="'cus_1'")),
        ("attempt_counts", "a zeroth attempt", "UPDATE stripe_customer SET attempt = 0"),
        ("made_once", "a customer made at no time", "UPDATE stripe_customer SET made_at = NULL"),
    ],
    "payment_method": [
        ("stripe_payment_method_id", "the same card twice", CARD.format(card="pm_1", is_default="false")),
        ("default", "two default cards of a student", CARD.format(card="pm_2", is_default="true")),
        ("four_digits", "more of a card's number than is shown", "UPDATE payment_method SET last4 = '424'"),
        ("expiry_month", "a card of a thirteenth month", "UPDATE payment_method SET exp_month = 13"),
        ("expiry_year", "a card of a year with two digits", "UPDATE payment_method SET exp_year = 34"),
        ("default_is_attached", "a default card that was removed", "UPDATE payment_method SET detached_at = now()"),
    ],
    "stripe_price": [
        ("stripe_price_id", "a price of two versions", "INSERT INTO stripe_price VALUES (2, 'p', 'price_1', now())"),
    ],
    "staff_sign_in": [
        ("has_length", "a session of no length", changed("staff_sign_in", "until = signed_in_at")),
        (
            "ends_after_it_began",
            "signed out before anybody had signed in",
            changed("staff_sign_in", "signed_out_at = signed_in_at - interval '1 s'"),
        ),
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
    engine = connect(postgres.url("models"))
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


def test_the_body_of_an_event_lies_apart_from_its_row_and_nothing_else_does(engine: Engine, begin: db.Begin) -> None:
    """A row moves with each change of its state, and all are looked through where a list is narrowed."""
    ids = [new_id().hex for _ in range(80)]
    body = event_body("customer.subscription.pending_update_applied", {"ids": ids}, at=NOON)
    event = add_event(begin, body, at=NOON)
    apart = "SELECT {} FROM webhook_event WHERE id = :id".format(
        ", ".join(f"pg_column_toast_chunk_id({name}) IS NOT NULL" for name in ("body", "type", "stripe_event_id"))
    )
    with engine.connect() as connection:
        assert [*connection.execute(text(apart), {"id": event}).one()] == [True, False, False]


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
