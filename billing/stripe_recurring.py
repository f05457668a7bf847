"""Customers, cards, subscriptions and invoices: asked of Stripe, answered in our words."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, TypeVar

from billing import invoice_answers, recurring_answers, stripe_answers
from billing.deployment import CUSTOMER_MARK
from billing.gateway import AUTHENTICATION_REQUIRED, DeclinedError, InvalidRequestError, OutcomeUnknownError, StoredCall
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
from billing.recurring_answers import Page
from billing.stripe_line import StripeLine

T = TypeVar("T")
P = TypeVar("P", bound=Page[Any])

PAGE = 100
LOOK_SECONDS = 15.0
"""No page of a list is asked for after this, so that a look ends within its claim."""
BEGUN = ("latest_invoice.confirmation_secret", "latest_invoice.payments")
"""What a subscription's answer has to be expanded by for `create_subscription` to read it."""
ALREADY_THERE = "resource_already_exists"
OWNER_IS_ASKED = "invoice_payment_intent_requires_action"
VOIDED = {"behavior": "void"}
"""Invoices of a pause are void: nobody is charged for it afterwards (Stripe, "Pause payment collection")."""


class StripeRecurring:
    """The half of the gateway that is about who pays again."""

    def __init__(self, line: StripeLine) -> None:
        self._line = line

    def create_customer(self, mark: str, key: str) -> CustomerThere:
        parameters = {"metadata": {CUSTOMER_MARK: mark}}
        return self._line.asked(recurring_answers.customer, self._line.v1.customers.create, parameters, _once(key))

    def find_customer(self, mark: str, since: datetime, until: datetime) -> CustomerThere | None:
        """Lists rather than searches: Stripe's search is a minute behind, and a miss has to be certain."""
        window = {"gte": int(since.timestamp()), "lte": int(until.timestamp())}
        listed = self._each(recurring_answers.customers, self._line.v1.customers.list, {"created": window})
        return next((one for one in listed if one.mark == mark), None)

    def retrieve_customer(self, customer_id: str) -> CustomerThere:
        return self._line.asked(recurring_answers.customer, self._line.v1.customers.retrieve, customer_id)

    def list_cards(self, customer_id: str) -> Sequence[CardThere]:
        calls = self._line.v1.customers.payment_methods
        return [*self._each(recurring_answers.cards, calls.list, {"type": "card"}, customer_id)]

    def create_setup_intent(self, customer_id: str, mark: str, key: str) -> SetupThere:
        """For cards, which are what is listed and charged afterwards."""
        parameters: dict[str, Any] = {"customer": customer_id, "usage": "off_session"}
        parameters |= {"allowed_payment_method_types": ["card"], "metadata": {CUSTOMER_MARK: mark}}
        return self._line.asked(recurring_answers.setup, self._line.v1.setup_intents.create, parameters, _once(key))

    def attach_card(self, card_id: str, customer_id: str, key: str) -> CardThere:
        attach, parameters = self._line.v1.payment_methods.attach, {"customer": customer_id}
        return self._line.asked(recurring_answers.card, attach, card_id, parameters, _once(key))

    def detach_card(self, card_id: str, key: str) -> CardThere:
        detach = self._line.v1.payment_methods.detach
        return self._line.asked(recurring_answers.card, detach, card_id, {}, _once(key))

    def set_default_card(self, customer_id: str, card_id: str, key: str) -> CustomerThere:
        parameters = {"invoice_settings": {"default_payment_method": card_id}}
        update = self._line.v1.customers.update
        return self._line.asked(recurring_answers.customer, update, customer_id, parameters, _once(key))

    def ensure_product(self, product_id: str, name: str, key: str) -> None:
        parameters = {"id": product_id, "name": name}
        try:
            self._line.asked(recurring_answers.product_id, self._line.v1.products.create, parameters, _once(key))
        except InvalidRequestError as error:
            if error.code != ALREADY_THERE:
                raise

    def find_price(self, lookup_key: str) -> PriceThere | None:
        parameters = {"lookup_keys": [lookup_key], "active": True, "limit": 1}
        return self._line.asked(recurring_answers.first_price, self._line.v1.prices.list, parameters)

    def create_price(self, wish: PriceWish, key: str) -> PriceThere:
        parameters = {
            "product": wish.product_id,
            "lookup_key": wish.lookup_key,
            "unit_amount": wish.amount_cents,
            "currency": wish.currency,
            "recurring": {"interval": "month"},
        }
        return self._line.asked(recurring_answers.price, self._line.v1.prices.create, parameters, _once(key))

    def create_subscription(self, call: StoredCall) -> Begun:
        options = {**_once(call.idempotency_key), "stripe_version": call.api_version}
        create, parameters = self._line.v1.subscriptions.create, dict(call.parameters)
        return self._line.asked(invoice_answers.begun, create, parameters, options)

    def find_subscription(self, customer_id: str, mark: str) -> Begun | None:
        asked = {"customer": customer_id, "status": "all"}
        listed = self._each(invoice_answers.subscriptions, self._line.v1.subscriptions.list, asked)
        found = next((one for one in listed if one.mark == mark), None)
        if found is None:
            return None
        retrieve, parameters = self._line.v1.subscriptions.retrieve, {"expand": [*BEGUN]}
        return self._line.asked(invoice_answers.begun, retrieve, found.id, parameters)

    def retrieve_subscription(self, subscription_id: str) -> SubscriptionThere:
        retrieve = self._line.v1.subscriptions.retrieve
        return self._line.asked(invoice_answers.subscription, retrieve, subscription_id)

    def list_invoices(self, subscription_id: str) -> Sequence[InvoiceThere]:
        expand = ["data.payments", "data.confirmation_secret"]
        asked = {"subscription": subscription_id, "expand": expand}
        pages = self._each_page(invoice_answers.invoices, self._line.v1.invoices.list, asked)
        found = [self._whole(one) if one.id in page.cut_short else one for page in pages for one in page.found]
        return found[::-1]  # it lists the newest first

    def change_subscription(self, subscription_id: str, change: SubscriptionChange, key: str) -> SubscriptionThere:
        update, parameters = self._line.v1.subscriptions.update, _parameters(change)
        return self._line.asked(invoice_answers.subscription, update, subscription_id, parameters, _once(key))

    def cancel_subscription(self, subscription_id: str, key: str) -> SubscriptionThere:
        """A key has no effect with this method of HTTP (Stripe, "Idempotent requests"): whoever sends it again, after
        an answer that was lost, is told that there is nothing to cancel.
        """
        cancel = self._line.v1.subscriptions.cancel
        return self._line.asked(invoice_answers.subscription, cancel, subscription_id, {}, _once(key))

    def pay_invoice(self, invoice_id: str, key: str) -> InvoiceThere:
        """Where the bank asks for the card's owner the code is `authentication_required`, as it is for other payments,
        whether Stripe calls that a refusal or leaves the invoice open.
        """
        pay, parameters = self._line.v1.invoices.pay, {"expand": ["payments", "confirmation_secret"]}
        try:
            invoice = self._line.asked(invoice_answers.invoice, pay, invoice_id, parameters, _once(key))
        except DeclinedError as error:
            if error.code != OWNER_IS_ASKED:
                raise
            raise _owner_is_asked(error.intent_id) from None
        if invoice.status == "open" and invoice.payment_intent_id is not None:
            retrieve = self._line.v1.payment_intents.retrieve
            intent = self._line.asked(stripe_answers.intent, retrieve, invoice.payment_intent_id)
            if intent.status == "requires_action":
                raise _owner_is_asked(intent.id)
        return invoice

    def _whole(self, invoice: InvoiceThere) -> InvoiceThere:
        calls = self._line.v1.invoices.line_items
        return replace(invoice, lines=[*self._each(invoice_answers.lines, calls.list, {}, invoice.id)])

    def _each(
        self, read: Callable[[Any], Page[T]], call: Callable[..., object], parameters: dict[str, Any], *of: str
    ) -> Iterator[T]:
        for page in self._each_page(read, call, parameters, *of):
            yield from page.found

    def _each_page(
        self, read: Callable[[Any], P], call: Callable[..., object], parameters: dict[str, Any], *of: str
    ) -> Iterator[P]:
        """As many as there are. `of` is the object whose list it is, where the address names one."""
        deadline = time.monotonic() + LOOK_SECONDS
        after: dict[str, str] = {}
        while time.monotonic() < deadline:
            page = self._line.asked(read, call, *of, {**parameters, "limit": PAGE, **after})
            yield page
            if page.last_id is None:
                return
            after = {"starting_after": page.last_id}
        raise OutcomeUnknownError("The payment service has too much to look through; we go on trying.")


def _owner_is_asked(intent_id: str | None) -> DeclinedError:
    message = "The bank wants the owner of the card to confirm this payment."
    return DeclinedError(message, code=AUTHENTICATION_REQUIRED, intent_id=intent_id)


def _once(key: str) -> dict[str, Any]:
    return {"idempotency_key": key}


def _parameters(change: SubscriptionChange) -> dict[str, Any]:
    """Parameters of "Update a subscription": what is None is not said, and stays."""
    given: dict[str, Any] = {}
    if change.cancel_at_period_end is not None:
        given["cancel_at_period_end"] = change.cancel_at_period_end
    if change.is_paused is not None:
        given["pause_collection"] = VOIDED if change.is_paused else ""
    if change.price_id is not None:
        given["items"] = [{"id": change.item_id, "price": change.price_id}]
        given["proration_behavior"] = "none"
    if change.default_card_id is not None:
        given["default_payment_method"] = change.default_card_id
    return given
