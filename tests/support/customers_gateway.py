"""Customers, their cards, products and prices of the payment service in memory."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from billing.gateway import DeclinedError, InvalidRequestError
from billing.recurring import CardThere, CustomerThere, PriceThere, PriceWish, SetupThere
from tests.support.answers_by_key import AnswersByKey, known


class FakeCustomers(AnswersByKey):
    def __init__(self, now: datetime) -> None:
        super().__init__(now)
        self.customers: dict[str, CustomerThere] = {}
        self.cards: dict[str, CardThere] = {}
        self.setups: dict[str, SetupThere] = {}
        self.products: dict[str, str] = {}
        self.prices: dict[str, PriceThere] = {}
        """By their lookup key."""
        self.declines: list[DeclinedError] = []

    def create_customer(self, mark: str, key: str) -> CustomerThere:
        return self._once("create_customer", key, mark, lambda: self.add_customer(mark))

    def find_customer(self, mark: str, since: datetime, until: datetime) -> CustomerThere | None:
        self._look()
        found = [one for one in self.customers.values() if one.mark == mark and not one.is_deleted]
        return next((one for one in reversed(found) if one.created_at and since <= one.created_at <= until), None)

    def retrieve_customer(self, customer_id: str) -> CustomerThere:
        self._raise(self.troubles)
        return known(self.customers, customer_id)

    def list_cards(self, customer_id: str) -> Sequence[CardThere]:
        self._look()
        known(self.customers, customer_id)
        return [one for one in reversed(self.cards.values()) if one.customer_id == customer_id]

    def create_setup_intent(self, customer_id: str, mark: str, key: str) -> SetupThere:
        return self._once("create_setup_intent", key, (customer_id, mark), lambda: self._new_setup(customer_id))

    def attach_card(self, card_id: str, customer_id: str, key: str) -> CardThere:
        return self._once("attach_card", key, (card_id, customer_id), lambda: self._attach(card_id, customer_id))

    def detach_card(self, card_id: str, key: str) -> CardThere:
        return self._once("detach_card", key, card_id, lambda: self.take_off(card_id))

    def set_default_card(self, customer_id: str, card_id: str, key: str) -> CustomerThere:
        asked = (customer_id, card_id)
        return self._once("set_default_card", key, asked, lambda: self._set_default(customer_id, card_id))

    def ensure_product(self, product_id: str, name: str, key: str) -> None:
        self._once("ensure_product", key, (product_id, name), lambda: self.products.setdefault(product_id, name))

    def find_price(self, lookup_key: str) -> PriceThere | None:
        self._look()
        return self.prices.get(lookup_key)

    def create_price(self, wish: PriceWish, key: str) -> PriceThere:
        return self._once("create_price", key, wish, lambda: self._new_price(wish))

    def add_customer(self, mark: str | None = None) -> CustomerThere:
        """Without a mark, as the dashboard makes one."""
        made = CustomerThere(f"cus_{len(self.customers) + 1}", mark, None, is_deleted=False, created_at=self.now)
        self.customers[made.id] = made
        return made

    def delete_customer(self, customer_id: str) -> None:
        """In the dashboard. His cards are detached; nothing but his id is left."""
        self.customers[customer_id] = CustomerThere(customer_id, None, None, is_deleted=True, created_at=None)
        for card in [one for one in self.cards.values() if one.customer_id == customer_id]:
            self.cards[card.id] = replace(card, customer_id=None)

    def add_card(self, customer_id: str | None = None, *, is_default: bool = False, **facts: Any) -> CardThere:
        """A card as a browser makes one: attached where it was saved by a setup intent, which is what is usual."""
        name = f"pm_{len(self.cards) + 1}"
        card = CardThere(name, customer_id, "visa", "4242", exp_month=12, exp_year=2034, created_at=self.now)
        self.cards[name] = replace(card, **facts)
        if is_default and customer_id is not None:
            self._set_default(customer_id, name)
        return self.cards[name]

    def change_card(self, card_id: str, **facts: Any) -> None:
        """The card's network has news of it."""
        self.cards[card_id] = replace(self.cards[card_id], **facts)

    def take_off(self, card_id: str) -> CardThere:
        card = known(self.cards, card_id)
        if card.customer_id is None:
            raise InvalidRequestError("the card is attached to nobody")
        customer = self.customers[card.customer_id]
        if customer.default_card_id == card_id:
            self.customers[customer.id] = replace(customer, default_card_id=None)
        self.cards[card_id] = replace(card, customer_id=None)
        return self.cards[card_id]

    def decline_next(self, code: str = "card_declined", message: str = "Your card was declined.") -> None:
        """The next use of a saved card is refused; `authentication_required` is its bank asking for the owner."""
        self.declines.append(DeclinedError(message, code=code))

    def next_refusal(self, intent_id: str | None) -> DeclinedError | None:
        if not self.declines:
            return None
        refusal = self.declines.pop(0)
        return DeclinedError(refusal.message, code=refusal.code, intent_id=intent_id)

    def living_customer(self, customer_id: str) -> CustomerThere:
        customer = known(self.customers, customer_id)
        if customer.is_deleted:
            raise InvalidRequestError("there is no such customer any more", code="resource_missing")
        return customer

    def check_card(self, card_id: str, customer_id: str | None) -> None:
        """Raises InvalidRequestError for a card that is not the customer's."""
        owner = known(self.cards, card_id).customer_id
        if owner is None or owner != customer_id:
            raise InvalidRequestError("the card is not this customer's", code="resource_missing")

    def known_price(self, price_id: str) -> PriceThere:
        return known({one.id: one for one in self.prices.values()}, price_id)

    def _new_setup(self, customer_id: str) -> SetupThere:
        self.living_customer(customer_id)
        name = f"seti_{len(self.setups) + 1}"
        self.setups[name] = SetupThere(name, f"{name}_secret_x", "requires_payment_method")
        return self.setups[name]

    def _attach(self, card_id: str, customer_id: str) -> CardThere:
        self.living_customer(customer_id)
        card = known(self.cards, card_id)
        if card.customer_id not in (None, customer_id):
            raise InvalidRequestError("the card is attached to another customer")
        if refusal := self.next_refusal(None):
            raise refusal
        self.cards[card_id] = replace(card, customer_id=customer_id)
        return self.cards[card_id]

    def _set_default(self, customer_id: str, card_id: str) -> CustomerThere:
        customer = self.living_customer(customer_id)
        self.check_card(card_id, customer_id)
        self.customers[customer_id] = replace(customer, default_card_id=card_id)
        return self.customers[customer_id]

    def _new_price(self, wish: PriceWish) -> PriceThere:
        known(self.products, wish.product_id)
        if wish.lookup_key in self.prices:
            raise InvalidRequestError("a price already uses that lookup key")
        made = PriceThere(f"price_{len(self.prices) + 1}", wish.product_id, wish.amount_cents, wish.currency)
        self.prices[wish.lookup_key] = made
        return made
