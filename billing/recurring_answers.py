"""Stripe's answers about customers, cards and prices: the fields that we read.

An answer without them is no answer and raises ValueError.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, Literal, Protocol, Self, TypeVar

from pydantic import BaseModel, model_validator

from billing.deployment import CUSTOMER_MARK
from billing.recurring import CardThere, CustomerThere, PriceThere, SetupThere

T_co = TypeVar("T_co", covariant=True)
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """A part of a list; the next one begins after `last_id`, and there is none where it is None."""

    found: Sequence[T]
    last_id: str | None


class Answer(Protocol[T_co]):
    @property
    def id(self) -> str: ...

    def in_our_words(self) -> T_co: ...


class _InvoiceSettings(BaseModel):
    default_payment_method: str | None = None


class _Customer(BaseModel):
    """Stripe, "The Customer object"; of a deleted one there is an id, and that it is deleted."""

    object: Literal["customer"]
    id: str
    deleted: bool = False
    created: datetime | None = None
    metadata: dict[str, str] = {}
    invoice_settings: _InvoiceSettings = _InvoiceSettings()

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if self.created is None and not self.deleted:
            raise ValueError("a customer without the time of its making")
        return self

    def in_our_words(self) -> CustomerThere:
        return CustomerThere(
            id=self.id,
            mark=self.metadata.get(CUSTOMER_MARK),
            default_card_id=self.invoice_settings.default_payment_method,
            is_deleted=self.deleted,
            created_at=self.created,
        )


class _CardFacts(BaseModel):
    brand: str
    last4: str
    exp_month: int
    exp_year: int


class _Card(BaseModel):
    """Stripe, "The PaymentMethod object", of type `card`."""

    object: Literal["payment_method"]
    id: str
    customer: str | None = None
    created: datetime
    card: _CardFacts

    def in_our_words(self) -> CardThere:
        return CardThere(
            id=self.id,
            customer_id=self.customer,
            brand=self.card.brand,
            last4=self.card.last4,
            exp_month=self.card.exp_month,
            exp_year=self.card.exp_year,
            created_at=self.created,
        )


class _Setup(BaseModel):
    """Stripe, "The SetupIntent object"."""

    object: Literal["setup_intent"]
    id: str
    client_secret: str
    status: str


class _Product(BaseModel):
    object: Literal["product"]
    id: str


class _Interval(BaseModel):
    interval: Literal["month"]
    interval_count: Literal[1]


class _Price(BaseModel):
    """Stripe, "The Price object"; one that is not due every month is none of ours."""

    object: Literal["price"]
    id: str
    product: str
    unit_amount: int
    currency: str
    recurring: _Interval

    def in_our_words(self) -> PriceThere:
        return PriceThere(self.id, self.product, self.unit_amount, self.currency)


class _Customers(BaseModel):
    object: Literal["list"]
    data: list[_Customer]
    has_more: bool


class _Cards(BaseModel):
    object: Literal["list"]
    data: list[_Card]
    has_more: bool


class _Prices(BaseModel):
    object: Literal["list"]
    data: list[_Price]


def page_of(data: Sequence[Answer[T]], *, has_more: bool) -> Page[T]:
    return Page([one.in_our_words() for one in data], data[-1].id if has_more and data else None)


def customer(answer: object) -> CustomerThere:
    return _Customer.model_validate(answer).in_our_words()


def customers(answer: object) -> Page[CustomerThere]:
    found = _Customers.model_validate(answer)
    return page_of(found.data, has_more=found.has_more)


def card(answer: object) -> CardThere:
    return _Card.model_validate(answer).in_our_words()


def cards(answer: object) -> Page[CardThere]:
    found = _Cards.model_validate(answer)
    return page_of(found.data, has_more=found.has_more)


def setup(answer: object) -> SetupThere:
    found = _Setup.model_validate(answer)
    return SetupThere(found.id, found.client_secret, found.status)


def product_id(answer: object) -> str:
    return _Product.model_validate(answer).id


def price(answer: object) -> PriceThere:
    return _Price.model_validate(answer).in_our_words()


def first_price(answer: object) -> PriceThere | None:
    found = _Prices.model_validate(answer).data
    return found[0].in_our_words() if found else None
