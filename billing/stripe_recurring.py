"""Customers, cards, subscriptions and invoices: asked of Stripe, answered in our words."""

from collections.abc import Sequence
from datetime import datetime

from billing.gateway import StoredCall
from billing.recurring import (
    Begun,
    CardThere,
    CustomerThere,
    InvoiceThere,
    PriceThere,
    PriceWish,
    SetupThere,
    SubscriptionChange,
    SubscriptionThere,
)
from billing.stripe_line import StripeLine


class StripeRecurring:
    """The half of the gateway that is about who pays again."""

    def __init__(self, line: StripeLine) -> None:
        self._line = line

    def create_customer(self, mark: str, key: str) -> CustomerThere:
        raise NotImplementedError

    def find_customer(self, mark: str, since: datetime, until: datetime) -> CustomerThere | None:
        raise NotImplementedError

    def retrieve_customer(self, customer_id: str) -> CustomerThere:
        raise NotImplementedError

    def list_cards(self, customer_id: str) -> Sequence[CardThere]:
        raise NotImplementedError

    def create_setup_intent(self, customer_id: str, mark: str, key: str) -> SetupThere:
        raise NotImplementedError

    def attach_card(self, card_id: str, customer_id: str, key: str) -> CardThere:
        raise NotImplementedError

    def detach_card(self, card_id: str, key: str) -> CardThere:
        raise NotImplementedError

    def set_default_card(self, customer_id: str, card_id: str, key: str) -> CustomerThere:
        raise NotImplementedError

    def ensure_product(self, product_id: str, name: str, key: str) -> None:
        raise NotImplementedError

    def find_price(self, lookup_key: str) -> PriceThere | None:
        raise NotImplementedError

    def create_price(self, wish: PriceWish, key: str) -> PriceThere:
        raise NotImplementedError

    def create_subscription(self, call: StoredCall) -> Begun:
        raise NotImplementedError

    def find_subscription(self, customer_id: str, mark: str) -> Begun | None:
        raise NotImplementedError

    def retrieve_subscription(self, subscription_id: str) -> SubscriptionThere:
        raise NotImplementedError

    def list_invoices(self, subscription_id: str) -> Sequence[InvoiceThere]:
        raise NotImplementedError

    def change_subscription(self, subscription_id: str, change: SubscriptionChange, key: str) -> SubscriptionThere:
        raise NotImplementedError

    def cancel_subscription(self, subscription_id: str, key: str) -> SubscriptionThere:
        raise NotImplementedError

    def pay_invoice(self, invoice_id: str, key: str) -> InvoiceThere:
        raise NotImplementedError
