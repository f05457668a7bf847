"""Stripe's answers about subscriptions and invoices: the fields that we read.

An answer without them is no answer and raises ValueError. Shapes are those of the API version that the library is
pinned to: an invoice names its subscription in `parent`, a period is that of the item.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, Field

from billing.deployment import MARK
from billing.recurring import Begun, InvoiceLine, InvoiceThere, SubscriptionThere
from billing.recurring_answers import Page, page_of


class _Named(BaseModel):
    id: str


class _Item(BaseModel):
    id: str
    current_period_start: datetime
    current_period_end: datetime
    price: _Named


class _Items(BaseModel):
    data: list[_Item] = Field(min_length=1)


class _Subscription(BaseModel):
    """Stripe, "The Subscription object"."""

    object: Literal["subscription"]
    id: str
    customer: str
    status: str
    metadata: dict[str, str] = {}
    items: _Items
    cancel_at: datetime | None = None
    cancel_at_period_end: bool
    pause_collection: dict[str, Any] | None = None
    default_payment_method: str | None = None
    livemode: bool
    created: datetime
    ended_at: datetime | None = None

    def in_our_words(self) -> SubscriptionThere:
        item = self.items.data[0]
        # Stripe's own pages for customers plan the same end by its instant.
        ends_then = self.cancel_at is not None and self.cancel_at <= item.current_period_end
        return SubscriptionThere(
            id=self.id,
            customer_id=self.customer,
            status=self.status,
            mark=self.metadata.get(MARK),
            item_id=item.id,
            price_id=item.price.id,
            period_start=item.current_period_start,
            period_end=item.current_period_end,
            cancel_at_period_end=self.cancel_at_period_end or ends_then,
            is_paused=self.pause_collection is not None,
            default_card_id=self.default_payment_method,
            livemode=self.livemode,
            created_at=self.created,
            ended_at=self.ended_at,
        )


class _Period(BaseModel):
    start: datetime
    end: datetime


class _PriceDetails(BaseModel):
    price: str | None = None


class _Pricing(BaseModel):
    price_details: _PriceDetails | None = None


class _LineOrigin(BaseModel):
    proration: bool = False


class _LineParent(BaseModel):
    invoice_item_details: _LineOrigin | None = None
    subscription_item_details: _LineOrigin | None = None


class _Line(BaseModel):
    """Stripe, "The Invoice Line Item object"."""

    id: str
    amount: int
    quantity: int | None = None
    period: _Period
    pricing: _Pricing | None = None
    parent: _LineParent | None = None

    def in_our_words(self) -> InvoiceLine:
        details = self.pricing and self.pricing.price_details
        parent = self.parent or _LineParent()
        origins = (parent.invoice_item_details, parent.subscription_item_details)
        return InvoiceLine(
            id=self.id,
            price_id=details.price if details else None,
            amount_cents=self.amount,
            quantity=1 if self.quantity is None else self.quantity,
            is_proration=any(origin is not None and origin.proration for origin in origins),
            period_start=self.period.start,
            period_end=self.period.end,
        )


class _Lines(BaseModel):
    """Of many lines an invoice shows the first ones."""

    object: Literal["list"]
    data: list[_Line]
    has_more: bool


class _SubscriptionDetails(BaseModel):
    subscription: str


class _InvoiceParent(BaseModel):
    subscription_details: _SubscriptionDetails | None = None


class _Secret(BaseModel):
    client_secret: str


class _PaidBy(BaseModel):
    payment_intent: str | None = None


class _Payment(BaseModel):
    is_default: bool = False
    payment: _PaidBy


class _Payments(BaseModel):
    data: list[_Payment]

    def intent_id(self) -> str | None:
        """That of the intent which collects the whole; others were made by hand, for parts."""
        by_default_first = sorted(self.data, key=lambda one: not one.is_default)
        return next((one.payment.payment_intent for one in by_default_first if one.payment.payment_intent), None)


class _Transitions(BaseModel):
    paid_at: datetime | None = None


class _Invoice(BaseModel):
    """Stripe, "The Invoice object", with `payments` and, where it is still to be paid, `confirmation_secret`."""

    object: Literal["invoice"]
    id: str
    parent: _InvoiceParent | None = None
    status: str
    billing_reason: str
    amount_due: int
    amount_paid: int
    currency: str
    payments: _Payments
    confirmation_secret: _Secret | None = None
    attempt_count: int
    next_payment_attempt: datetime | None = None
    livemode: bool
    created: datetime
    status_transitions: _Transitions
    lines: _Lines

    def in_our_words(self) -> InvoiceThere:
        details = self.parent and self.parent.subscription_details
        return InvoiceThere(
            id=self.id,
            subscription_id=details.subscription if details else None,
            status=self.status,
            billing_reason=self.billing_reason,
            due_cents=self.amount_due,
            paid_cents=self.amount_paid,
            currency=self.currency,
            payment_intent_id=self.payments.intent_id(),
            client_secret=self.confirmation_secret.client_secret if self.confirmation_secret else None,
            attempts=self.attempt_count,
            next_attempt_at=self.next_payment_attempt,
            livemode=self.livemode,
            created_at=self.created,
            paid_at=self.status_transitions.paid_at,
            lines=[line.in_our_words() for line in self.lines.data],
        )


class _Begun(_Subscription):
    latest_invoice: _Invoice

    def begun(self) -> Begun:
        return Begun(self.in_our_words(), self.latest_invoice.in_our_words())


class _Subscriptions(BaseModel):
    object: Literal["list"]
    data: list[_Subscription]
    has_more: bool


class _Invoices(BaseModel):
    object: Literal["list"]
    data: list[_Invoice]
    has_more: bool


@dataclass(frozen=True, slots=True)
class InvoicesPage(Page[InvoiceThere]):
    """`cut_short` are the ids of those that have more lines than are shown here."""

    cut_short: frozenset[str]


def subscription(answer: object) -> SubscriptionThere:
    return _Subscription.model_validate(answer).in_our_words()


def subscriptions(answer: object) -> Page[SubscriptionThere]:
    found = _Subscriptions.model_validate(answer)
    return page_of(found.data, has_more=found.has_more)


def begun(answer: object) -> Begun:
    """Of a subscription whose `latest_invoice` is expanded, with `confirmation_secret` and `payments`."""
    return _Begun.model_validate(answer).begun()


def invoice(answer: object) -> InvoiceThere:
    return _Invoice.model_validate(answer).in_our_words()


def invoices(answer: object) -> InvoicesPage:
    found = _Invoices.model_validate(answer)
    page = page_of(found.data, has_more=found.has_more)
    cut_short = frozenset(one.id for one in found.data if one.lines.has_more)
    return InvoicesPage(page.found, page.last_id, cut_short)


def lines(answer: object) -> Page[InvoiceLine]:
    found = _Lines.model_validate(answer)
    return page_of(found.data, has_more=found.has_more)
