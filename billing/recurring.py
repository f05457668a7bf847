"""Customers, cards, subscriptions and invoices as Stripe has them, and what we ask of it for them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from billing.gateway import StoredCall


@dataclass(frozen=True, slots=True)
class CustomerThere:
    """`mark` names our row of it. One that was deleted has nothing but its id."""

    id: str
    mark: str | None
    default_card_id: str | None
    is_deleted: bool
    created_at: datetime | None


@dataclass(frozen=True, slots=True)
class CardThere:
    """`customer_id` is None for one that is attached to nobody, or to nobody any more."""

    id: str
    customer_id: str | None
    brand: str
    last4: str
    exp_month: int
    exp_year: int
    created_at: datetime


@dataclass(frozen=True, slots=True)
class SetupThere:
    """A setup intent: by its secret a browser saves a card."""

    id: str
    client_secret: str
    status: str

    def __repr__(self) -> str:
        return f"SetupThere({self.id}, {self.status})"


@dataclass(frozen=True, slots=True)
class PriceWish:
    """What a version of a plan costs each month. `lookup_key` is the same for the same version in every process."""

    product_id: str
    lookup_key: str
    amount_cents: int
    currency: str


@dataclass(frozen=True, slots=True)
class PriceThere:
    id: str
    product_id: str
    amount_cents: int
    currency: str


@dataclass(frozen=True, slots=True)
class SubscriptionThere:
    """A subscription as it is now, with its one item. `mark` is the purchase that began it, as it says itself."""

    id: str
    customer_id: str
    status: str
    mark: str | None
    item_id: str
    price_id: str
    period_start: datetime
    period_end: datetime
    cancel_at_period_end: bool
    is_paused: bool
    default_card_id: str | None
    livemode: bool
    created_at: datetime
    ended_at: datetime | None


@dataclass(frozen=True, slots=True)
class InvoiceLine:
    """What was charged for one period of one price. A proration is a part of one, and none of ours."""

    id: str
    price_id: str | None
    amount_cents: int
    quantity: int
    is_proration: bool
    period_start: datetime
    period_end: datetime


@dataclass(frozen=True, slots=True)
class InvoiceThere:
    """An invoice of a subscription as it is now; the secret is that of the intent by which it can be paid."""

    id: str
    subscription_id: str | None
    status: str
    billing_reason: str
    due_cents: int
    paid_cents: int
    currency: str
    payment_intent_id: str | None
    client_secret: str | None
    attempts: int
    next_attempt_at: datetime | None
    livemode: bool
    created_at: datetime
    paid_at: datetime | None
    lines: Sequence[InvoiceLine]

    def __repr__(self) -> str:
        return f"InvoiceThere({self.id}, {self.status})"


@dataclass(frozen=True, slots=True)
class Begun:
    """A subscription with the invoice by which it begins."""

    subscription: SubscriptionThere
    invoice: InvoiceThere


@dataclass(frozen=True, slots=True)
class SubscriptionChange:
    """What is to be different; None leaves a thing as it is. A new price counts from the next period on."""

    cancel_at_period_end: bool | None = None
    is_paused: bool | None = None
    item_id: str | None = None
    price_id: str | None = None
    default_card_id: str | None = None


class RecurringGateway(Protocol):
    """The half of `PaymentGateway` that is about who pays again; every method raises a `GatewayError`, or answers."""

    def create_customer(self, mark: str, key: str) -> CustomerThere: ...

    def find_customer(self, mark: str, since: datetime, until: datetime) -> CustomerThere | None:
        """The newest with this mark of those made between the two; None is the certainty that there is none."""

    def retrieve_customer(self, customer_id: str) -> CustomerThere: ...

    def list_cards(self, customer_id: str) -> Sequence[CardThere]:
        """All of them, the newest first."""

    def create_setup_intent(self, customer_id: str, mark: str, key: str) -> SetupThere: ...

    def attach_card(self, card_id: str, customer_id: str, key: str) -> CardThere: ...

    def detach_card(self, card_id: str, key: str) -> CardThere: ...

    def set_default_card(self, customer_id: str, card_id: str, key: str) -> CustomerThere: ...

    def ensure_product(self, product_id: str, name: str, key: str) -> None:
        """Make it, unless it is there."""

    def find_price(self, lookup_key: str) -> PriceThere | None: ...

    def create_price(self, wish: PriceWish, key: str) -> PriceThere: ...

    def create_subscription(self, call: "StoredCall") -> Begun: ...

    def find_subscription(self, customer_id: str, mark: str) -> Begun | None:
        """The one with this mark of the customer's, ended ones too."""

    def retrieve_subscription(self, subscription_id: str) -> SubscriptionThere: ...

    def list_invoices(self, subscription_id: str) -> Sequence[InvoiceThere]:
        """All of them, the oldest first."""

    def change_subscription(self, subscription_id: str, change: SubscriptionChange, key: str) -> SubscriptionThere: ...

    def cancel_subscription(self, subscription_id: str, key: str) -> SubscriptionThere:
        """At once. One that has ended already raises InvalidRequestError."""

    def pay_invoice(self, invoice_id: str, key: str) -> InvoiceThere:
        """Try the payment now, with the card of now; raises DeclinedError where the bank does not want to."""
