"""A plan of the month, a customer with a card, and time that passes."""

from dataclasses import dataclass
from typing import Any

import stripe

from tests.sandbox.running import Sandbox, until

HOUR, DAY = 3600, 86_400


@dataclass(frozen=True)
class Plan:
    """One price of 99.00 EUR a month."""

    sandbox: Sandbox
    price: str

    @classmethod
    def of(cls, sandbox: Sandbox, unit_amount: int = 9900) -> "Plan":
        product = sandbox.v1.products.create({"name": "Ten hours a month"})
        order: Any = {"currency": "eur", "unit_amount": unit_amount, "recurring": {"interval": "month"}}
        order["product"] = product.id
        return cls(sandbox, sandbox.v1.prices.create(order).id)

    def customer(self, method: str | None = "pm_card_visa") -> str:
        customer = self.sandbox.v1.customers.create({"email": "ana@example.com", "name": "Ana"}).id
        if method is not None:
            use(self.sandbox, customer, method)
        return customer

    def subscribe(self, customer: str | None = None, **params: Any) -> stripe.Subscription:
        order: Any = {"customer": customer or self.customer(), "items": [{"price": self.price}], **params}
        return self.sandbox.v1.subscriptions.create(order)

    def begin(self, **params: Any) -> stripe.Subscription:
        """Not paid yet: a browser confirms the first payment."""
        expand = ["latest_invoice.confirmation_secret", "latest_invoice.payments"]
        customer = params.pop("customer", None) or self.customer(None)
        return self.subscribe(customer, payment_behavior="default_incomplete", expand=expand, **params)


def use(sandbox: Sandbox, customer: str, method: str) -> str:
    """The method that invoices are paid with from now on."""
    attached = sandbox.v1.payment_methods.attach(method, {"customer": customer}).id
    sandbox.v1.customers.update(customer, {"invoice_settings": {"default_payment_method": attached}})
    return attached


def intent_of(sandbox: Sandbox, invoice: str) -> str:
    [payment] = sandbox.v1.invoice_payments.list({"invoice": invoice}).data
    return str(payment.payment.payment_intent)


def latest_invoice(sandbox: Sandbox, subscription: str) -> stripe.Invoice:
    found = sandbox.v1.subscriptions.retrieve(subscription, {"expand": ["latest_invoice"]}).latest_invoice
    assert isinstance(found, stripe.Invoice)
    return found


def status_of(sandbox: Sandbox, subscription: str) -> str:
    return sandbox.v1.subscriptions.retrieve(subscription).status


def period_of(subscription: stripe.Subscription) -> tuple[int, int]:
    item = subscription["items"].data[0]
    return item.current_period_start, item.current_period_end


def pass_time(sandbox: Sandbox, seconds: int) -> None:
    """Also what it brings is done, and its news have arrived."""
    sandbox.tell("clock", {"advance_seconds": seconds})
    until(lambda: not sandbox.ask("clock")["has_work"], "what the time brought is done")


def pass_to(sandbox: Sandbox, instant: int) -> None:
    pass_time(sandbox, max(0, instant - sandbox.ask("clock")["now"]))


def types_since(sandbox: Sandbox, event_id: str) -> list[str]:
    events = sandbox.v1.events.list({"limit": 100, "ending_before": event_id}).data
    return [event.type for event in reversed(events)]


def newest_event(sandbox: Sandbox) -> str:
    return sandbox.v1.events.list({"limit": 1}).data[0].id
