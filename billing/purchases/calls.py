"""Calls to Stripe, written down before they are made."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlmodel import Session, col, func, select

from billing.deployment import MARK, REFUND_MARK, Deployment
from billing.errors import NoPaymentMethodError
from billing.gateway import StoredCall
from billing.ids import installation_mark, new_id, stripe_key
from billing.models import PricingPlanVersion, Purchase, Refund, StripeCall, StripeCustomer
from billing.states import CallState, PurchaseChannel

CREATE_INTENT = "payment_intent.create"
CREATE_REFUND = "refund.create"
CREATE_SUBSCRIPTION = "subscription.create"
KEY_LIFE = timedelta(hours=23)
"""Stripe forgets a key after a day at the earliest; an hour before that we no longer trust it
(Stripe, "Idempotent requests")."""
SENDS_A_LOOK = 5
"""After so many sends without an answer the object is looked for before the call is sent once more."""


@dataclass(frozen=True, slots=True)
class SubscriptionTerms:
    """Who subscribes, and to which price, by Stripe's ids."""

    customer_id: str
    price_id: str


@dataclass(frozen=True, slots=True)
class Version:
    """Where and when a call is written down, and for which version of Stripe's API."""

    deployment: Deployment
    api_version: str
    at: datetime


def open_call(session: Session, purchase: Purchase) -> StripeCall | None:
    """The create that may have been sent and was never answered."""
    opened = select(StripeCall).where(
        StripeCall.purchase_id == purchase.id,
        col(StripeCall.operation).in_((CREATE_INTENT, CREATE_SUBSCRIPTION)),
        StripeCall.state == CallState.OPEN,
    )
    return session.exec(opened).first()


def open_refund_call(session: Session, refund: Refund) -> StripeCall | None:
    opened = select(StripeCall).where(StripeCall.refund_id == refund.id, StripeCall.state == CallState.OPEN)
    return session.exec(opened).first()


def write_call(
    session: Session, purchase: Purchase, deployment: Deployment, *, api_version: str, at: datetime
) -> StripeCall:
    """The create of its payment intent, with the next attempt number.

    Raises NoPaymentMethodError for a top-up whose card is nobody's any more.
    """
    parameters = _intent_parameters(session, purchase, deployment)
    if purchase.channel is PurchaseChannel.TOPUP:
        parameters |= _card_parameters(session, purchase)
    version = Version(deployment, api_version, at)
    return _written(session, CREATE_INTENT, purchase.id, parameters, version, purchase_id=purchase.id)


def write_subscription_call(
    session: Session,
    purchase: Purchase,
    terms: SubscriptionTerms,
    deployment: Deployment,
    *,
    api_version: str,
    at: datetime,
) -> StripeCall:
    parameters = _subscription_parameters(purchase, terms, deployment)
    version = Version(deployment, api_version, at)
    return _written(session, CREATE_SUBSCRIPTION, purchase.id, parameters, version, purchase_id=purchase.id)


def write_refund_call(
    session: Session, refund: Refund, purchase: Purchase, deployment: Deployment, *, api_version: str, at: datetime
) -> StripeCall:
    parameters = _refund_parameters(refund, purchase, deployment)
    version = Version(deployment, api_version, at)
    return _written(
        session, CREATE_REFUND, refund.id, parameters, version, purchase_id=purchase.id, refund_id=refund.id
    )


def stored(call: StripeCall) -> StoredCall:
    return StoredCall(call.parameters, call.idempotency_key, call.api_version)


def is_too_old(call: StripeCall, at: datetime) -> bool:
    return at - call.prepared_at >= KEY_LIFE


def is_doubtful(call: StripeCall, at: datetime) -> bool:
    """Whether it is time to look for the object at Stripe rather than to send the call once more."""
    return call.sends > 0 and (is_too_old(call, at) or call.sends >= SENDS_A_LOOK * (call.looks + 1))


def uncount(call: StripeCall, *, is_look: bool) -> None:
    """A try of which nothing reached Stripe was none."""
    call.looks -= is_look
    call.sends -= not is_look


def close_call(call: StripeCall, state: CallState, *, at: datetime, object_id: str | None = None) -> None:
    call.state, call.object_id, call.answered_at = state, object_id, at


def _written(
    session: Session,
    operation: str,
    subject: UUID,
    parameters: dict[str, Any],
    version: Version,
    *,
    purchase_id: UUID,
    refund_id: UUID | None = None,
) -> StripeCall:
    """With the next attempt number of its subject: its key, its exact parameters, the version they are meant for."""
    of_its_subject = func.coalesce(col(StripeCall.refund_id), col(StripeCall.purchase_id)) == subject
    last = select(func.max(StripeCall.attempt)).where(of_its_subject, col(StripeCall.operation) == operation)
    attempt = (session.exec(last).one() or 0) + 1
    call = StripeCall(
        id=new_id(),
        operation=operation,
        purchase_id=purchase_id,
        refund_id=refund_id,
        attempt=attempt,
        idempotency_key=stripe_key(version.deployment.installation, operation, subject, attempt),
        parameters=parameters,
        api_version=version.api_version,
        state=CallState.OPEN,
        prepared_at=version.at,
    )
    session.add(call)
    return call


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


def _card_parameters(session: Session, purchase: Purchase) -> dict[str, Any]:
    """The owner of the card need not be there; no bank may send him to another page ("Charge a saved card")."""
    theirs = select(StripeCustomer.stripe_customer_id).where(StripeCustomer.student_id == purchase.student_id)
    customer_id = session.exec(theirs).first()
    if customer_id is None:
        raise NoPaymentMethodError("there is no saved card to pay with any more")
    return {
        "automatic_payment_methods": {"enabled": True, "allow_redirects": "never"},
        "customer": customer_id,
        "payment_method": purchase.payment_method_id,
        "off_session": True,
        "confirm": True,
    }


def _subscription_parameters(purchase: Purchase, terms: SubscriptionTerms, deployment: Deployment) -> dict[str, Any]:
    """Parameters of "Create a subscription": the buyer's browser confirms the first payment, which saves the card."""
    return {
        "customer": terms.customer_id,
        "items": [{"price": terms.price_id}],
        "payment_behavior": "default_incomplete",
        "payment_settings": {"save_default_payment_method": "on_subscription"},
        "metadata": {
            MARK: installation_mark(deployment.installation, purchase.id),
            "request_id": purchase.request_id,
        },
        "expand": ["latest_invoice.confirmation_secret", "latest_invoice.payments"],
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
