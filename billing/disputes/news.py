"""What Stripe's events say of disputes and of warnings before them."""

from sqlmodel import Session

from billing import cases
from billing.purchases.news import Context
from billing.refunds.news import purchase_of
from billing.stale.marks import mark
from billing.states import Outcome, StaleKind
from billing.webhooks.events import StripeEvent


def note_dispute(session: Session, event: StripeEvent, context: Context) -> Outcome:
    """Whatever happened to it: it is asked for, and its present state applied."""
    purchase_id = purchase_of(session, event.subject.get("payment_intent"))
    if purchase_id is None:
        return Outcome.FOREIGN
    mark(
        session,
        StaleKind.DISPUTE,
        event.subject["id"],
        purchase_id=purchase_id,
        request_id=event.request_id,
        at=context.now,
    )
    return Outcome.APPLIED


def note_fraud_warning(session: Session, event: StripeEvent, context: Context) -> Outcome:
    """A bank suspects fraud: giving the money back now is cheaper than the dispute that may follow."""
    purchase_id = purchase_of(session, event.subject.get("payment_intent"))
    if purchase_id is None:
        return Outcome.FOREIGN
    kind = str(event.subject.get("fraud_type"))[:60]
    detail = f"a bank warns of {kind}: a refund now is cheaper than a dispute"
    cases.open_case(
        session, "early_fraud_warning", event.subject["id"], purchase_id=purchase_id, detail=detail, at=context.now
    )
    return Outcome.APPLIED
