"""What Stripe's events say of subscriptions, their invoices, and customers with their cards: that it has to be asked.

Nothing that an event says of amounts, states or periods is believed: their order and number cannot matter then.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlmodel import Session, select

from billing.deployment import MARK
from billing.ids import marked_subject
from billing.models import PaymentMethod, Purchase, StripeCustomer, Subscription
from billing.purchases.news import Context
from billing.stale.marks import mark
from billing.states import Outcome, PurchaseChannel, StaleKind
from billing.webhooks.events import StripeEvent


@dataclass(frozen=True, slots=True)
class SubscriptionNews:
    """Which subscription an event is about, and what it says of whose it is."""

    subscription_id: str | None
    mark: str | None
    customer_id: str | None


def note_subscription(session: Session, event: StripeEvent, context: Context) -> Outcome:
    """Whatever happened to it: it is asked for, and its present state applied."""
    news = SubscriptionNews(event.subject["id"], _mark_in(event.subject), _id_in(event.subject.get("customer")))
    return _note(session, event, news, context)


def note_invoice(session: Session, event: StripeEvent, context: Context) -> Outcome:
    """An invoice of a subscription: the subscription is asked for, with all its invoices."""
    return _note(session, event, read_invoice(event.subject), context)


def note_customer(session: Session, event: StripeEvent, context: Context) -> Outcome:
    """A customer who was deleted; what is left of him and of his cards is asked for."""
    return _note_customer(session, event, event.subject["id"], context)


def note_card(session: Session, event: StripeEvent, context: Context) -> Outcome:
    """A card of a customer, or one that was taken from him: his cards are asked for."""
    return _note_customer(session, event, _customer_of_card(session, event), context)


def read_invoice(invoice: Mapping[str, Any]) -> SubscriptionNews:
    """Of today's shape (Stripe, "The Invoice object", attribute `parent.subscription_details`), or of one before
    2025-03-31, which named the subscription in the invoice itself."""
    parent = _object_in(invoice.get("parent"))
    details = _object_in(parent.get("subscription_details")) or _object_in(invoice.get("subscription_details"))
    subscription = details.get("subscription") or invoice.get("subscription")
    return SubscriptionNews(_id_in(subscription), _mark_in(details), _id_in(invoice.get("customer")))


def _note(session: Session, event: StripeEvent, news: SubscriptionNews, context: Context) -> Outcome:
    if news.subscription_id is None:
        return Outcome.FOREIGN
    purchase_id = _begun_by(session, news.subscription_id)
    if purchase_id is None:
        purchase_id = marked_subject(context.deployment.installation, news.mark)
    if purchase_id is not None and not _is_kept(session, purchase_id):
        return Outcome.WAIT
    if purchase_id is None and not _is_customer_of_ours(session, news.customer_id):
        return Outcome.FOREIGN
    _mark(session, StaleKind.SUBSCRIPTION, news.subscription_id, event, context, purchase_id=purchase_id)
    return Outcome.APPLIED


def _note_customer(session: Session, event: StripeEvent, customer_id: str | None, context: Context) -> Outcome:
    if customer_id is None or not _is_customer_of_ours(session, customer_id):
        return Outcome.FOREIGN
    _mark(session, StaleKind.CUSTOMER, customer_id, event, context, purchase_id=None)
    return Outcome.APPLIED


def _mark(
    session: Session, kind: StaleKind, object_id: str, event: StripeEvent, context: Context, *, purchase_id: UUID | None
) -> None:
    mark(session, kind, object_id, purchase_id=purchase_id, request_id=event.request_id, at=context.now)


def _begun_by(session: Session, subscription_id: str) -> UUID | None:
    """The purchase that began a subscription which we know."""
    begun = select(Purchase.id).join(Subscription).where(Subscription.stripe_subscription_id == subscription_id)
    return session.exec(begun.where(Purchase.channel == PurchaseChannel.CHECKOUT)).first()


def _is_kept(session: Session, purchase_id: UUID) -> bool:
    """Locked as a new mark's reference locks it, and before the mark: whoever has the purchase may mark it himself."""
    kept = select(Purchase.id).where(Purchase.id == purchase_id)
    return session.exec(kept.with_for_update(read=True, key_share=True)).first() is not None


def _is_customer_of_ours(session: Session, customer_id: str | None) -> bool:
    known = select(StripeCustomer.id).where(StripeCustomer.stripe_customer_id == customer_id)
    return customer_id is not None and session.exec(known).first() is not None


def _customer_of_card(session: Session, event: StripeEvent) -> str | None:
    """A card that was detached is nobody's any more: the event says whose it was, or our row does."""
    named = _id_in(event.subject.get("customer")) or _id_in(event.previous.get("customer"))
    if named is not None:
        return named
    owner = select(StripeCustomer.stripe_customer_id).join(
        PaymentMethod,
        StripeCustomer.student_id == PaymentMethod.student_id,  # type: ignore[arg-type]  # a column
    )
    return session.exec(owner.where(PaymentMethod.stripe_payment_method_id == event.subject["id"])).first()


def _object_in(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _id_in(value: object) -> str | None:
    """An id, or that of an object in its place."""
    found = value.get("id") if isinstance(value, dict) else value
    return found if isinstance(found, str) and found else None


def _mark_in(subject: Mapping[str, Any]) -> str | None:
    found = _object_in(subject.get("metadata")).get(MARK)
    return found if isinstance(found, str) else None
