"""What Stripe says of a subscription, as our row keeps it."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import structlog
from sqlmodel import Session, select

from billing import cases
from billing.models import AccountAct, StripePrice, Subscription
from billing.purchases.news import Context
from billing.recurring import InvoiceThere, SubscriptionThere
from billing.states import ENDED_SUBSCRIPTIONS, AccountAction, ActState, SubscriptionStatus

log = structlog.get_logger(__name__)
STATUSES = {status.value: status for status in SubscriptionStatus}


def facts_of(session: Session, there: SubscriptionThere, before: SubscriptionStatus) -> dict[str, Any]:
    """Values of the row's columns. A status that is no word of ours leaves it what it was `before`."""
    status = STATUSES.get(there.status)
    if status is None:
        log.error("subscription_status_unknown", subscription_id=there.id, status=there.status)
    status = status or before
    return {
        "plan_version_id": version_of(session, there.price_id),
        "status": status,
        "period_start": there.period_start,
        "period_end": there.period_end,
        "cancel_at_period_end": there.cancel_at_period_end,
        "is_paused": there.is_paused,
        "ended_at": _ended_at(there) if status in ENDED_SUBSCRIPTIONS else None,
    }


def version_of(session: Session, price_id: str | None) -> int | None:
    """The version of a plan that has this price; None where it is none of ours."""
    return session.exec(select(StripePrice.plan_version_id).where(StripePrice.stripe_price_id == price_id)).first()


def write(session: Session, row: Subscription, there: SubscriptionThere) -> None:
    """Bring a locked row to what Stripe says."""
    for name, value in facts_of(session, there, row.status).items():
        setattr(row, name, value)


def write_invoice(row: Subscription, invoices: Sequence[InvoiceThere], context: Context) -> None:
    """What is due: the newest invoice that waits to be paid. Its secret is kept where there is a vault for it."""
    invoice = max((one for one in invoices if _is_due(one)), key=_age, default=None)
    row.invoice_id = invoice.id if invoice else None
    row.invoice_cents = invoice.due_cents if invoice else None
    row.invoice_attempts = invoice.attempts if invoice else 0
    row.next_attempt_at = invoice.next_attempt_at if invoice else None
    secret = invoice.client_secret if invoice else None
    row.invoice_secret = context.vault.seal(secret) if secret and context.vault else None


def report_price(session: Session, row: Subscription, there: SubscriptionThere, context: Context) -> None:
    """Whoever changed the price at Stripe changed it to something that brings no hours."""
    if row.plan_version_id is None:
        source, detail = f"{there.id}:{there.price_id}", f"it is charged by {there.price_id}, which is no price of ours"
        cases.open_case(session, "unknown_price", source, purchase_id=None, detail=detail, at=context.now)


def lower_fence(session: Session, row: Subscription) -> None:
    """Nothing is to end any more, here or there: what could charge may be asked again.

    A wish to cancel is accepted in the transaction that raises the fence, under this row's lock.
    """
    is_ending = row.cancel_at_period_end or row.status in ENDED_SUBSCRIPTIONS
    if row.cancel_requested_at is not None and not is_ending and not _is_cancel_undecided(session, row.student_id):
        row.cancel_requested_at = None


def _is_cancel_undecided(session: Session, student_id: int) -> bool:
    """One that was given up is not decided either: a person has to see to it first."""
    wish = select(AccountAct.id).where(
        AccountAct.student_id == student_id,
        AccountAct.action == AccountAction.CANCEL,
        AccountAct.state == ActState.REQUESTED,
    )
    return session.exec(wish).first() is not None


def _is_due(invoice: InvoiceThere) -> bool:
    return invoice.status == "open" and invoice.due_cents > 0


def _age(invoice: InvoiceThere) -> tuple[datetime, str]:
    return invoice.created_at, invoice.id


def _ended_at(there: SubscriptionThere) -> datetime:
    """Stripe says when; should it not, an instant that is the same whenever it is asked."""
    return there.ended_at or there.period_end
