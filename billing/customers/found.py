"""A customer's cards as Stripe has them, written down."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlmodel import Session

from billing.gateway import PaymentGateway
from billing.models import StaleMark
from billing.purchases.news import Context
from billing.recurring import CardThere, CustomerThere


@dataclass(frozen=True, slots=True)
class CustomerFound:
    """All that is asked of Stripe when a customer may have changed."""

    customer: CustomerThere
    cards: Sequence[CardThere]


def ask_customer(gateway: PaymentGateway, customer_id: str) -> CustomerFound:
    raise NotImplementedError


def apply_customer(session: Session, mark: StaleMark, found: CustomerFound, context: Context) -> bool:
    raise NotImplementedError
