"""Subscriptions and invoices of the payment service in memory: begun, renewed, paid, declined, ended."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from billing.deployment import MARK
from billing.gateway import DeclinedError, Intent, InvalidRequestError, StoredCall
from billing.recurring import Begun, InvoiceThere, SubscriptionChange, SubscriptionThere
from tests.support.answers_by_key import known
from tests.support.customers_gateway import FakeCustomers
from tests.support.subscription_shapes import month_after, new_intent, new_invoice, new_subscription

ENDED = ("canceled", "incomplete_expired")
AUTHENTICATION = "authentication_required"


class FakeRecurring(FakeCustomers):
    """Besides the calls: what time, banks and a dashboard do, as `renew`, `settle`, `end` and `change_*`."""

    def __init__(self, now: datetime) -> None:
        super().__init__(now)
        self.intents: dict[str, Intent] = {}
        """By the key of their create; those of invoices by their own id."""
        self.subscriptions: dict[str, SubscriptionThere] = {}
        self.invoices: dict[str, InvoiceThere] = {}

    def create_subscription(self, call: StoredCall) -> Begun:
        parameters = dict(call.parameters)
        return self._once("create_subscription", call.idempotency_key, parameters, lambda: self._begin(parameters))

    def find_subscription(self, customer_id: str, mark: str) -> Begun | None:
        self._look()
        theirs = [one for one in self.subscriptions.values() if (one.customer_id, one.mark) == (customer_id, mark)]
        return Begun(theirs[-1], self.invoices_of(theirs[-1].id)[-1]) if theirs else None

    def retrieve_subscription(self, subscription_id: str) -> SubscriptionThere:
        self._raise(self.troubles)
        return known(self.subscriptions, subscription_id)

    def list_invoices(self, subscription_id: str) -> Sequence[InvoiceThere]:
        self._look()
        return self.invoices_of(subscription_id)

    def change_subscription(self, subscription_id: str, change: SubscriptionChange, key: str) -> SubscriptionThere:
        asked = (subscription_id, change)
        return self._once("change_subscription", key, asked, lambda: self._change(subscription_id, change))

    def cancel_subscription(self, subscription_id: str, key: str) -> SubscriptionThere:
        """Stripe keeps no answers to this one: sent again, it finds nothing to cancel."""
        return self._each_time("cancel_subscription", key, lambda: self.end(subscription_id))

    def pay_invoice(self, invoice_id: str, key: str) -> InvoiceThere:
        return self._once("pay_invoice", key, invoice_id, lambda: self._pay(invoice_id))

    def invoices_of(self, subscription_id: str) -> list[InvoiceThere]:
        return [one for one in self.invoices.values() if one.subscription_id == subscription_id]

    def renew(self, subscription_id: str, paid: bool = True, declined: str = "card_declined") -> InvoiceThere | None:
        """The period has ended: the next one's invoice, or None where the subscription ends with it.

        The instants are those of the period; `now` stays. Of a paused one the invoice is void.
        """
        former = known(self.subscriptions, subscription_id)
        if former.status in ENDED:
            return None
        if former.cancel_at_period_end:
            self.end(subscription_id, at=former.period_end)
            return None
        start = former.period_end
        present = replace(former, period_start=start, period_end=month_after(start))
        self.subscriptions[subscription_id] = present
        invoice = self._bill(present)
        if present.is_paused:
            return self.change_invoice(invoice.id, status="void")
        if paid:
            return self.settle(invoice.id, at=start)
        refusal = DeclinedError("Your card was declined.", code=declined)
        return self._note_failure(invoice.id, refusal, next_attempt_at=start + timedelta(days=1))

    def settle(self, invoice_id: str, at: datetime | None = None, card_id: str | None = None) -> InvoiceThere:
        """It is paid, in a browser or by a later try; the subscription is active.

        A card that is named was used in the browser, and pays for the subscription from now on.
        """
        invoice, paid_at = self.invoices[invoice_id], at or self.now
        subscription = self.subscriptions[invoice.subscription_id or ""]
        if card_id is not None:
            self.change_card(card_id, customer_id=subscription.customer_id)
            self.change_subscription_there(subscription.id, default_card_id=card_id)
        paid = {"status": "succeeded", "amount_received_cents": invoice.due_cents, "paid_at": paid_at}
        self.change(invoice.payment_intent_id or "", **paid, error_type=None, error_message=None)
        if subscription.status in ("incomplete", "past_due"):
            self.change_subscription_there(subscription.id, status="active")
        attempts = max(1, invoice.attempts)
        facts = {"status": "paid", "paid_cents": invoice.due_cents, "attempts": attempts, "paid_at": paid_at}
        return self.change_invoice(invoice_id, next_attempt_at=None, **facts)

    def end(self, subscription_id: str, at: datetime | None = None) -> SubscriptionThere:
        """At once; one that never began has expired then, and its invoice is void."""
        subscription = known(self.subscriptions, subscription_id)
        if subscription.status in ENDED:
            raise InvalidRequestError("there is no such subscription any more", code="resource_missing")
        has_begun = subscription.status != "incomplete"
        for invoice in self.invoices_of(subscription_id):
            if invoice.status == "open":
                self.change_invoice(invoice.id, status="open" if has_begun else "void", next_attempt_at=None)
        status = "canceled" if has_begun else "incomplete_expired"
        return self.change_subscription_there(subscription_id, status=status, ended_at=at or self.now, is_paused=False)

    def change_subscription_there(self, subscription_id: str, **facts: Any) -> SubscriptionThere:
        self.subscriptions[subscription_id] = replace(self.subscriptions[subscription_id], **facts)
        return self.subscriptions[subscription_id]

    def change_invoice(self, invoice_id: str, **facts: Any) -> InvoiceThere:
        self.invoices[invoice_id] = replace(self.invoices[invoice_id], **facts)
        return self.invoices[invoice_id]

    def change(self, intent_id: str, **facts: Any) -> None:
        for key, intent in self.intents.items():
            if intent.id == intent_id:
                self.intents[key] = replace(intent, **facts)

    def refuse(self, intent_id: str, refusal: DeclinedError) -> None:
        """The bank said no: the intent waits for another card, or for its owner."""
        error_type = AUTHENTICATION if refusal.code == AUTHENTICATION else "card_error"
        status = "requires_payment_method"
        self.change(intent_id, status=status, error_type=error_type, error_message=refusal.message)

    def _begin(self, parameters: dict[str, Any]) -> Begun:
        (item,) = parameters["items"]
        customer, price = self.living_customer(parameters["customer"]), self.known_price(item["price"])
        if parameters.get("payment_behavior") != "default_incomplete":
            raise InvalidRequestError("only subscriptions whose first payment a browser confirms are served here")
        number, mark = len(self.subscriptions) + 1, parameters["metadata"].get(MARK)
        made = new_subscription(number, customer.id, price, mark, self.now)
        if card_id := parameters.get("default_payment_method"):
            self.check_card(card_id, customer.id)
            made = replace(made, default_card_id=card_id)
        self.subscriptions[made.id] = made
        return Begun(made, self._bill(made))

    def _bill(self, subscription: SubscriptionThere) -> InvoiceThere:
        price = self.known_price(subscription.price_id)
        facts = (price.amount_cents, price.currency, subscription.customer_id, None, subscription.period_start)
        intent = new_intent(len(self.intents) + 1, *facts)
        invoice = new_invoice(len(self.invoices) + 1, subscription, price, intent)
        self.intents[intent.id], self.invoices[invoice.id] = intent, invoice
        return invoice

    def _change(self, subscription_id: str, change: SubscriptionChange) -> SubscriptionThere:
        subscription = known(self.subscriptions, subscription_id)
        asked = {name: getattr(change, name) for name in ("cancel_at_period_end", "is_paused", "price_id")}
        asked |= {"default_card_id": change.default_card_id}
        given = {name: value for name, value in asked.items() if value is not None}
        if subscription.status in ENDED or (
            subscription.status == "incomplete" and given.keys() != {"default_card_id"}
        ):
            raise InvalidRequestError("the subscription cannot be changed so")
        if change.price_id is not None:
            self.known_price(change.price_id)
            if change.item_id != subscription.item_id:
                raise InvalidRequestError("there is no such item", code="resource_missing")
        if change.default_card_id is not None:
            self.check_card(change.default_card_id, subscription.customer_id)
        return self.change_subscription_there(subscription_id, **given)

    def _pay(self, invoice_id: str) -> InvoiceThere:
        invoice = known(self.invoices, invoice_id)
        subscription = self.subscriptions[invoice.subscription_id or ""]
        customer = self.customers[subscription.customer_id]
        if invoice.status != "open":
            raise InvalidRequestError("the invoice is paid, or can no longer be paid")
        if subscription.default_card_id is None and customer.default_card_id is None:
            raise InvalidRequestError("there is no card to pay it with", code="invoice_no_payment_method_types")
        if refusal := self.next_refusal(invoice.payment_intent_id):
            self._note_failure(invoice_id, refusal, invoice.next_attempt_at)
            raise refusal
        return self.settle(invoice_id)

    def _note_failure(self, invoice_id: str, refusal: DeclinedError, next_attempt_at: datetime | None) -> InvoiceThere:
        invoice = self.invoices[invoice_id]
        subscription = self.subscriptions[invoice.subscription_id or ""]
        if refusal.code == AUTHENTICATION:  # the intent of an invoice waits for the owner, off session too
            self.change(invoice.payment_intent_id or "", status="requires_action")
        else:
            self.refuse(invoice.payment_intent_id or "", refusal)
        if subscription.status == "active":
            self.change_subscription_there(subscription.id, status="past_due")
        attempts = max(1, invoice.attempts)
        return self.change_invoice(invoice_id, attempts=attempts, next_attempt_at=next_attempt_at)
