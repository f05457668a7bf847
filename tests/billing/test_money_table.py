"""Every event that is applied, on a purchase of every state, the first time, again, and late: one table of effects."""

from datetime import datetime, timedelta
from typing import Any, NamedTuple

import pytest

from billing.db import Begin
from billing.deployment import Deployment
from billing.ids import installation_mark
from billing.models import Purchase
from billing.secrets import Vault
from billing.states import PurchaseState
from billing.webhooks.handlers import HANDLERS
from tests.support.factories import add_purchase, add_student, intent_body
from tests.support.office import Returns, intent_of

S = PurchaseState


class Effect(NamedTuple):
    """Outcomes of the first event and of those after it, the state left behind, and where the minutes are."""

    first: str
    again: str
    state: PurchaseState
    minutes: dict[str, int] | None = None
    case: str | None = None


CREDITED, TAKEN = {"left": 600}, {"refunded": 600}
UNTOUCHED: dict[PurchaseState, Effect] = {
    S.QUEUED: Effect("wait", "wait", S.QUEUED),
    S.PENDING: Effect("late", "late", S.PENDING),
    S.PROCESSING: Effect("late", "late", S.PROCESSING),
    S.COMPLETED: Effect("late", "late", S.COMPLETED, CREDITED),
    S.FAILED: Effect("late", "late", S.FAILED),
    S.CANCELLED: Effect("late", "late", S.CANCELLED),
    S.EXPIRED: Effect("late", "late", S.EXPIRED),
    S.REFUNDED: Effect("late", "late", S.REFUNDED, TAKEN),
}
PAID = Effect("applied", "late", S.COMPLETED, CREDITED)
PAID_LATE = PAID._replace(case="paid_after_end")
MARKED: dict[PurchaseState, Effect] = {
    **{state: Effect("applied", "applied", state) for state in S},
    S.QUEUED: Effect("foreign", "foreign", S.QUEUED),
    S.REFUNDED: Effect("applied", "applied", S.REFUNDED, TAKEN),
}
"""Stripe is asked; what it says of a payment that is not known here yet waits."""
REFUNDED_IN_PART = {**MARKED, S.COMPLETED: Effect("applied", "applied", S.COMPLETED, {"left": 450, "refunded": 150})}
DISPUTED = {
    **MARKED,
    S.COMPLETED: Effect("applied", "applied", S.COMPLETED, {"frozen": 600}, "dispute_opened"),
    S.REFUNDED: Effect("applied", "applied", S.REFUNDED, TAKEN, "dispute_opened"),
}
WARNED = {
    **{state: effect._replace(case="early_fraud_warning") for state, effect in MARKED.items()},
    S.QUEUED: MARKED[S.QUEUED],
    S.COMPLETED: Effect("applied", "applied", S.COMPLETED, CREDITED, "early_fraud_warning"),
}
TABLE: dict[str, dict[PurchaseState, Effect]] = {
    "payment_intent.succeeded": {
        **UNTOUCHED,
        S.PENDING: PAID,
        S.PROCESSING: PAID,
        S.FAILED: PAID,
        S.CANCELLED: PAID_LATE,
        S.EXPIRED: PAID_LATE,
    },
    "payment_intent.payment_failed": {
        **UNTOUCHED,
        S.PENDING: Effect("applied", "late", S.FAILED),
        S.PROCESSING: Effect("applied", "late", S.FAILED),
    },
    "payment_intent.canceled": {
        **UNTOUCHED,
        S.PENDING: Effect("applied", "late", S.CANCELLED),
        S.PROCESSING: Effect("applied", "late", S.CANCELLED),
        S.FAILED: Effect("applied", "late", S.CANCELLED),
    },
    "payment_intent.processing": {**UNTOUCHED, S.PENDING: Effect("applied", "late", S.PROCESSING)},
    "payment_intent.requires_action": {
        **UNTOUCHED,
        S.PENDING: Effect("applied", "applied", S.PENDING),
        S.PROCESSING: Effect("applied", "applied", S.PROCESSING),
        S.FAILED: Effect("applied", "applied", S.FAILED),
    },
    "charge.refunded": REFUNDED_IN_PART,
    "refund.created": REFUNDED_IN_PART,
    "refund.updated": REFUNDED_IN_PART,
    "refund.failed": REFUNDED_IN_PART,
    "charge.dispute.created": DISPUTED,
    "charge.dispute.updated": DISPUTED,
    "charge.dispute.closed": DISPUTED,
    "charge.dispute.funds_withdrawn": DISPUTED,
    "charge.dispute.funds_reinstated": DISPUTED,
    "radar.early_fraud_warning.created": WARNED,
}
STATUSES = {
    "payment_intent.succeeded": "succeeded",
    "payment_intent.payment_failed": "requires_payment_method",
    "payment_intent.canceled": "canceled",
    "payment_intent.processing": "processing",
    "payment_intent.requires_action": "requires_action",
}


@pytest.fixture
def returns(begin: Begin, deployment: Deployment, vault: Vault, now: datetime) -> Returns:
    return Returns(begin, deployment, vault, now)


def bought_in(returns: Returns, state: PurchaseState) -> Purchase:
    if state is S.COMPLETED:
        return returns.sold()
    if state is S.REFUNDED:
        purchase = returns.sold()
        returns.refunded(purchase)
        return returns.load(purchase)
    begin, now, email = returns.desk.begin, returns.desk.now, f"{state}@example.com"
    purchase = add_purchase(begin, at=now, state=state, email=email, student_id=add_student(begin, email, at=now))
    if state is not S.QUEUED:
        mark = installation_mark(returns.desk.deployment.installation, purchase.id)
        returns.gateway.add_paid(intent_of(purchase), 14_000, mark)
    return purchase


def subject_of(returns: Returns, kind: str, purchase: Purchase) -> dict[str, Any]:
    """What the event carries, and what Stripe has to say of it when it is asked."""
    intent_id = purchase.payment_intent_id or "pi_of_a_queued_one"
    if kind in STATUSES:
        return {**intent_body(purchase, returns.desk.deployment, status=STATUSES[kind]), "id": intent_id}
    if kind.startswith("charge.dispute."):
        return {"id": returns.gateway.raise_dispute(intent_id, 14_000).id, "payment_intent": intent_id}
    if "refund" in kind and returns.gateway.refundable_cents(intent_id):
        returns.gateway.refund_elsewhere(intent_id, 3_500)
    return {"id": f"obj_{purchase.id.hex}", "payment_intent": intent_id}


def test_the_table_has_every_event_and_every_state() -> None:
    """What is added to the handlers is decided here for each state, or it is not decided.

    What is said of subscriptions, their invoices and customers has no purchase of its own to change: see
    `test_subscriptions_orders.py`.
    """
    recurring = {kind for kind in HANDLERS if kind.startswith(("customer", "invoice.", "payment_method."))}
    assert set(TABLE) == set(HANDLERS) - recurring
    assert len(recurring) == 13
    assert all(set(row) == set(S) for row in TABLE.values())


@pytest.mark.parametrize("kind", TABLE)
def test_an_event_does_what_the_table_says(returns: Returns, kind: str) -> None:
    """Once, whatever the number of events; what comes an hour late finds everything done."""
    for state, expected in TABLE[kind].items():
        purchase = bought_in(returns, state)
        subject = subject_of(returns, kind, purchase)
        outcomes = []
        for delay in (timedelta(), timedelta(), timedelta(hours=1)):
            outcomes.append(returns.hear(kind, subject, created_at=returns.desk.now - delay))
            returns.ask()
            assert _standing(returns, purchase) == (expected.state, expected.minutes), state
        assert outcomes == [expected.first, expected.again, expected.again], state
        assert returns.cases(purchase) == ([expected.case] if expected.case else []), state


def _standing(returns: Returns, purchase: Purchase) -> tuple[PurchaseState, dict[str, int] | None]:
    found = returns.load(purchase)
    has_hours = found.state in (S.COMPLETED, S.REFUNDED)
    return found.state, returns.minutes(purchase) if has_hours else None
