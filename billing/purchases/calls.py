"""Calls to Stripe, written down before they are made."""

from datetime import datetime, timedelta
from typing import Any

from sqlmodel import Session, col, func, select

from billing.deployment import MARK, REFUND_MARK, Deployment
from billing.gateway import StoredCall
from billing.ids import installation_mark, new_id, stripe_key
from billing.models import PricingPlanVersion, Purchase, Refund, StripeCall
from billing.states import CallState

CREATE_INTENT = "payment_intent.create"
CREATE_REFUND = "refund.create"
KEY_LIFE = timedelta(hours=23)
"""Stripe forgets a key after a day at the earliest; an hour before that we no longer trust it
(Stripe, "Idempotent requests")."""
SENDS_A_LOOK = 5
"""After so many sends without an answer the object is looked for before the call is sent once more."""


def open_call(session: Session, purchase: Purchase) -> StripeCall | None:
    """The create that may have been sent and was never answered."""
    opened = select(StripeCall).where(
        StripeCall.purchase_id == purchase.id, StripeCall.operation == CREATE_INTENT, StripeCall.state == CallState.OPEN
    )
    return session.exec(opened).first()


def open_refund_call(session: Session, refund: Refund) -> StripeCall | None:
    opened = select(StripeCall).where(StripeCall.refund_id == refund.id, StripeCall.state == CallState.OPEN)
    return session.exec(opened).first()


def write_call(
    session: Session, purchase: Purchase, deployment: Deployment, *, api_version: str, at: datetime
) -> StripeCall:
    """A create with the next attempt number: its key, its exact parameters, and the version they are meant for."""
    last = select(func.max(StripeCall.attempt)).where(
        col(StripeCall.purchase_id) == purchase.id, col(StripeCall.operation) == CREATE_INTENT
    )
    attempt = (session.exec(last).one() or 0) + 1
    call = StripeCall(
        id=new_id(),
        operation=CREATE_INTENT,
        purchase_id=purchase.id,
        attempt=attempt,
        idempotency_key=stripe_key(deployment.installation, CREATE_INTENT, purchase.id, attempt),
        parameters=_intent_parameters(session, purchase, deployment),
        api_version=api_version,
        state=CallState.OPEN,
        prepared_at=at,
    )
    session.add(call)
    return call


def write_refund_call(
    session: Session, refund: Refund, purchase: Purchase, deployment: Deployment, *, api_version: str, at: datetime
) -> StripeCall:
    last = select(func.max(StripeCall.attempt)).where(col(StripeCall.refund_id) == refund.id)
    attempt = (session.exec(last).one() or 0) + 1
    call = StripeCall(
        id=new_id(),
        operation=CREATE_REFUND,
        purchase_id=purchase.id,
        refund_id=refund.id,
        attempt=attempt,
        idempotency_key=stripe_key(deployment.installation, CREATE_REFUND, refund.id, attempt),
        parameters=_refund_parameters(refund, purchase, deployment),
        api_version=api_version,
        state=CallState.OPEN,
        prepared_at=at,
    )
    session.add(call)
    return call


def stored(call: StripeCall) -> StoredCall:
    return StoredCall(call.parameters, call.idempotency_key, call.api_version)


def is_too_old(call: StripeCall, at: datetime) -> bool:
    return at - call.prepared_at >= KEY_LIFE


def is_doubtful(call: StripeCall, at: datetime) -> bool:
    """Whether it is time to look for the object at Stripe rather than to send the call once more."""
    return call.sends > 0 and (is_too_old(call, at) or call.sends >= SENDS_A_LOOK * (call.looks + 1))


def close_call(call: StripeCall, state: CallState, *, at: datetime, object_id: str | None = None) -> None:
    call.state, call.object_id, call.answered_at = state, object_id, at


def _intent_parameters(session: Session, purchase: Purchase, deployment: Deployment) -> dict[str, Any]:
    """Parameters of "Create a PaymentIntent": everything from the row, nothing personal."""
    name = session.exec(select(PricingPlanVersion.name).where(PricingPlanVersion.id == purchase.plan_version_id)).one()
    return {
        "amount": purchase.price_cents,
        "currency": purchase.currency,
        "automatic_payment_methods": {"enabled": True},
        "description": name,
        "metadata": {
            MARK: installation_mark(deployment.installation, purchase.id),
            "request_id": purchase.request_id,
        },
    }


def _refund_parameters(refund: Refund, purchase: Purchase, deployment: Deployment) -> dict[str, Any]:
    """Parameters of "Create a refund"."""
    return {
        "payment_intent": purchase.payment_intent_id,
        "amount": refund.amount_cents,
        "metadata": {
            REFUND_MARK: installation_mark(deployment.installation, refund.id),
            "request_id": refund.request_id,
        },
    }
