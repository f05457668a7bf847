"""What Stripe's events say of refunds: that it has to be asked. Their order and number cannot matter then."""

from uuid import UUID

from sqlmodel import Session, select

from billing.models import Purchase
from billing.purchases.news import Context
from billing.stale.marks import mark
from billing.states import Outcome, StaleKind
from billing.webhooks.events import StripeEvent


def note_refunds(session: Session, event: StripeEvent, context: Context) -> Outcome:
    """A refund, or a charge that was refunded: all refunds of its payment intent are asked for."""
    intent_id = event.subject.get("payment_intent")
    purchase_id = purchase_of(session, intent_id)
    if purchase_id is None or not isinstance(intent_id, str):
        return Outcome.FOREIGN
    mark(
        session,
        StaleKind.REFUNDS,
        intent_id,
        purchase_id=purchase_id,
        request_id=event.request_id,
        at=context.now,
    )
    return Outcome.APPLIED


def purchase_of(session: Session, intent_id: object) -> UUID | None:
    """A payment that was made was ours to make: its intent is in our row before anybody can pay it."""
    if not isinstance(intent_id, str):
        return None
    return session.exec(select(Purchase.id).where(Purchase.payment_intent_id == intent_id)).first()
