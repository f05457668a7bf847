"""Paid purchases become hours: state, timeline, lots, entries and balances of many purchases in a few statements."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlmodel import Session

from billing import cases, ledger, packages
from billing.deployment import Deployment
from billing.gateway import Intent
from billing.models import Purchase
from billing.purchases import changes
from billing.purchases.lifecycle import can_move
from billing.purchases.waking import wake_marks
from billing.reads.written import difference_told
from billing.receipts.ask import ask_for_receipts
from billing.stale.marks import mark
from billing.states import LotOrigin, PlanType, PurchaseState, StaleKind


@dataclass(frozen=True, slots=True)
class Sold:
    """The frozen facts of a purchase whose row we have locked."""

    id: UUID
    payment_intent_id: str
    state: PurchaseState
    student_id: int
    plan_type: PlanType
    price_cents: int
    currency: str
    minutes: int
    validity_days: int | None
    accepted_at: datetime


@dataclass(frozen=True, slots=True)
class Payment:
    """That a purchase was paid: when, as Stripe says, and by which event we know."""

    sold: Sold
    paid_at: datetime
    cause: str


LOCK = text("""
    SELECT id, payment_intent_id, state, student_id, plan_type, price_cents, currency, minutes, validity_days,
        accepted_at
    FROM purchase WHERE payment_intent_id = ANY(CAST(:intents AS text[])) ORDER BY id FOR UPDATE
""")

COMPLETE = text("""
    WITH paid AS (
        SELECT * FROM unnest(CAST(:ids AS uuid[]), CAST(:paid_at AS timestamptz[]), CAST(:causes AS text[]))
            AS paid (id, paid_at, cause)
    ), moved AS (
        UPDATE purchase SET state = 'completed', paid_at = paid.paid_at, client_secret = NULL, error_type = NULL,
            error_message = NULL, due_at = NULL, hint_at = NULL, lease_until = NULL, lease_token = NULL
        FROM paid WHERE purchase.id = paid.id
        RETURNING purchase.id
    ), unwatched AS (
        UPDATE payment_watch SET due_at = NULL, hint_at = NULL, lease_until = NULL, lease_token = NULL, hints = 0
        FROM moved WHERE payment_watch.id = moved.id AND payment_watch.due_at IS NOT NULL
    )
    INSERT INTO purchase_transition (purchase_id, step, state, cause, at)
    SELECT paid.id, step.name, 'completed', paid.cause, CASE step.name WHEN 'paid' THEN paid.paid_at ELSE :now END
    FROM moved JOIN paid USING (id)
    CROSS JOIN (VALUES (1, 'paid'), (2, 'credited')) AS step (place, name)
    WHERE step.name = 'paid' OR paid.id = ANY(CAST(:credited AS uuid[]))
    ORDER BY paid.id, step.place
""")


BEGUN = text("""
    SELECT purchase.id, purchase.request_id, subscription.stripe_subscription_id
    FROM purchase JOIN subscription ON subscription.id = purchase.subscription_id
    WHERE purchase.id = ANY(CAST(:ids AS uuid[])) ORDER BY subscription.stripe_subscription_id
""")


def lock_by_intent(session: Session, intents: Iterable[str]) -> Mapping[str, Sold]:
    """The purchases of these intents, locked in the order of their ids."""
    rows = session.execute(LOCK, {"intents": sorted(set(intents))}).mappings()
    return {row["payment_intent_id"]: _sold(row) for row in rows}


def lock_balances_of(session: Session, sold: Iterable[Sold]) -> None:
    ledger.lock_balances(session, (one.student_id for one in sold))


def complete(session: Session, payments: Sequence[Payment], deployment: Deployment, *, now: datetime) -> None:
    """Complete each purchase, whose row is locked and whose state allows it, credit packages, and ask for receipts.

    A subscription's first intent moves the state only: its hours come with its invoice lines, which are asked for.
    """
    paid = [payment.sold.id for payment in payments]
    credits_due = [_credit(payment, deployment, now) for payment in payments if _is_package(payment)]
    session.execute(
        COMPLETE,
        {
            "ids": paid,
            "paid_at": [_paid_at(payment, now) for payment in payments],
            "causes": [payment.cause for payment in payments],
            "credited": [credit.purchase_id for credit in credits_due],
            "now": now,
        },
    )
    ledger.credit(session, credits_due)
    ask_for_receipts(session, paid, now=now)
    wake_marks(session, paid)
    _ask_for_invoices(session, [payment.sold.id for payment in payments if not _is_package(payment)], now)
    changes.note(session, paid)


def _ask_for_invoices(session: Session, purchase_ids: Sequence[UUID], now: datetime) -> None:
    """Their own events may be lost, or come before this one."""
    if not purchase_ids:
        return
    for row in session.execute(BEGUN, {"ids": purchase_ids}):
        mark(
            session,
            StaleKind.SUBSCRIPTION,
            row.stripe_subscription_id,
            purchase_id=row.id,
            request_id=row.request_id,
            at=now,
        )


def complete_found(
    session: Session, purchase: Purchase, intent: Intent, deployment: Deployment, *, now: datetime
) -> None:
    """Complete a locked purchase where Stripe, asked by us, says that its intent was paid as it was sold."""
    if intent.status != "succeeded":
        return
    live = deployment.livemode  # the intent is of our own key, so of our own mode
    sold_for = (purchase.price_cents, purchase.currency, live)
    if detail := difference_told((intent.amount_received_cents, intent.currency, live), sold_for):
        cases.open_case(session, "payment_differs", intent.id, purchase_id=purchase.id, detail=detail, at=now)
        return
    session.flush()
    sold = lock_by_intent(session, [intent.id])[intent.id]
    if can_move(sold.state, PurchaseState.COMPLETED):
        complete(session, [Payment(sold, intent.paid_at or intent.created_at, intent.id)], deployment, now=now)


def complete_one(
    session: Session, purchase: Purchase, deployment: Deployment, *, paid_at: datetime, cause: str, now: datetime
) -> None:
    """Complete a locked purchase that is known by something else than its intent, and bring it up to date."""
    session.flush()
    sold = _sold({name: getattr(purchase, name) for name in Sold.__slots__})
    complete(session, [Payment(sold, paid_at, cause)], deployment, now=now)
    session.refresh(purchase)


def _sold(row: Mapping[Any, Any]) -> Sold:
    return Sold(**{**row, "state": PurchaseState(row["state"]), "plan_type": PlanType(row["plan_type"])})


def _is_package(payment: Payment) -> bool:
    return payment.sold.plan_type is PlanType.PACKAGE


def _paid_at(payment: Payment, now: datetime) -> datetime:
    """Stripe's word for it, but never before the purchase was accepted nor after now: clocks differ."""
    return max(payment.sold.accepted_at, min(payment.paid_at, now))


def _credit(payment: Payment, deployment: Deployment, now: datetime) -> ledger.Credit:
    sold, paid_at = payment.sold, _paid_at(payment, now)
    days = sold.validity_days
    return ledger.Credit(
        student_id=sold.student_id,
        origin=LotOrigin.PURCHASE,
        source=f"purchase:{sold.id}:paid",
        purchase_id=sold.id,
        minutes=sold.minutes,
        value_cents=sold.price_cents,
        currency=sold.currency,
        starts_at=paid_at,
        expires_at=None if days is None else packages.expires_at(paid_at, days, deployment.zone),
        at=now,
    )
