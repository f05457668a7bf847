"""The payment service in memory and the sandbox behind the real gateway, with the same things happening at both."""

from abc import ABC, abstractmethod
from datetime import timedelta
from typing import Any

import stripe

from billing.deployment import MARK
from billing.gateway import PaymentGateway, StoredCall
from billing.recurring import Begun, InvoiceThere, PriceThere, PriceWish, SubscriptionThere
from billing.stripe_gateway import StripeGateway
from tests.sandbox.running import Sandbox
from tests.sandbox.subscribing import HOUR, pass_time, pass_to
from tests.support.gateway import FakeGateway

CARDS = {"good": "pm_card_visa", "declined": "pm_card_chargeCustomerFail", "asks": "pm_card_authenticationRequired"}
REFUSALS = {"declined": "card_declined", "asks": "authentication_required"}


class Both(ABC):
    """`card` is one of CARDS: it pays, is declined when it is charged, or its bank asks for its owner each time."""

    gateway: PaymentGateway
    keys = 0

    def key(self) -> str:
        self.keys += 1
        return f"installation:key:{self.keys}"

    def customer(self, mark: str = "installation:customer") -> str:
        return self.gateway.create_customer(mark, self.key()).id

    @abstractmethod
    def new_card(self, **card: Any) -> str:
        """A good one that belongs to nobody yet."""

    @abstractmethod
    def saved(self, customer_id: str, card: str = "good") -> str:
        """In the fake the next payment goes as the card says."""

    @abstractmethod
    def pay(self, begun: Begun) -> None:
        """In a browser, with a good card that is saved for the subscription."""

    @abstractmethod
    def renew(self, subscription: SubscriptionThere, *, is_paid: bool = True) -> None:
        """Its period ends, and the next invoice has been tried."""

    @abstractmethod
    def delete(self, customer_id: str) -> None: ...

    @abstractmethod
    def tick(self) -> None:
        """So that what is made next is newer."""

    def price(self, cents: int = 9_900, key: str = "installation:1") -> PriceThere:
        self.gateway.ensure_product("plan_1", "Ten hours a month", f"{key}:product")
        return self.gateway.create_price(PriceWish("plan_1", key, cents, "eur"), f"{key}:price")

    def begin(self, customer_id: str | None = None, mark: str = "installation:1", key: str | None = None) -> Begun:
        price = self.gateway.find_price("installation:1") or self.price()
        call = subscribing(customer_id or self.customer(), price.id, mark, key or self.key())
        return self.gateway.create_subscription(call)

    def begun(self, customer_id: str | None = None) -> SubscriptionThere:
        """Paid for the first month."""
        begun = self.begin(customer_id)
        self.pay(begun)
        return self.gateway.retrieve_subscription(begun.subscription.id)

    def latest(self, subscription_id: str) -> InvoiceThere:
        return self.gateway.list_invoices(subscription_id)[-1]


class InMemory(Both):
    def __init__(self, fake: FakeGateway) -> None:
        self.gateway = self.fake = fake

    def new_card(self, **card: Any) -> str:
        return self.fake.add_card(**card).id

    def saved(self, customer_id: str, card: str = "good") -> str:
        if card in REFUSALS:
            self.fake.decline_next(REFUSALS[card])
        return self.fake.add_card(customer_id).id

    def pay(self, begun: Begun) -> None:
        self.fake.settle(begun.invoice.id, card_id=self.new_card())

    def renew(self, subscription: SubscriptionThere, *, is_paid: bool = True) -> None:
        self.fake.renew(subscription.id, paid=is_paid)

    def delete(self, customer_id: str) -> None:
        self.fake.delete_customer(customer_id)

    def tick(self) -> None:
        self.fake.now += timedelta(seconds=2)


class AtStripe(Both):
    def __init__(self, gateway: StripeGateway, sandbox: Sandbox) -> None:
        self.gateway, self.sandbox = gateway, sandbox

    def new_card(self, **card: Any) -> str:
        order: Any = {"type": "card", "card": {"number": "4242424242424242", "exp_month": 12, "exp_year": 2034, **card}}
        return self.sandbox.v1.payment_methods.create(order).id

    def saved(self, customer_id: str, card: str = "good") -> str:
        return self.sandbox.v1.payment_methods.attach(CARDS[card], {"customer": customer_id}).id

    def pay(self, begun: Begun) -> None:
        self.sandbox.v1.payment_intents.confirm(
            begun.invoice.payment_intent_id or "", {"payment_method": "pm_card_visa"}
        )

    def renew(self, subscription: SubscriptionThere, *, is_paid: bool = True) -> None:
        if not is_paid:
            card_id = self.saved(subscription.customer_id, "declined")
            self.sandbox.v1.subscriptions.update(subscription.id, {"default_payment_method": card_id})
        pass_to(self.sandbox, int(subscription.period_end.timestamp()))
        pass_time(self.sandbox, HOUR)

    def delete(self, customer_id: str) -> None:
        self.sandbox.v1.customers.delete(customer_id)

    def tick(self) -> None:
        pass_time(self.sandbox, 2)


def subscribing(customer_id: str, price_id: str, mark: str, key: str) -> StoredCall:
    given = {
        "customer": customer_id,
        "items": [{"price": price_id}],
        "payment_behavior": "default_incomplete",
        "payment_settings": {"save_default_payment_method": "on_subscription"},
        "metadata": {MARK: mark, "request_id": "r1"},
        "expand": ["latest_invoice.confirmation_secret", "latest_invoice.payments"],
    }
    return StoredCall(given, key, stripe.api_version)


def topping_up(customer_id: str, card_id: str, key: str) -> StoredCall:
    given = {
        "amount": 14_000,
        "currency": "eur",
        "automatic_payment_methods": {"enabled": True, "allow_redirects": "never"},
        "customer": customer_id,
        "payment_method": card_id,
        "off_session": True,
        "confirm": True,
        "metadata": {MARK: "installation:1", "request_id": "r1"},
    }
    return StoredCall(given, key, stripe.api_version)
