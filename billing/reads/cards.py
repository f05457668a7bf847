"""Saved cards, as their owner sees them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from billing.reads.whose import Whose

CARDS = """
    WITH who AS ({who})
    SELECT card.stripe_payment_method_id AS id, card.brand, card.last4, card.exp_month, card.exp_year, card.is_default
    FROM who JOIN payment_method AS card ON card.student_id = who.id AND card.detached_at IS NULL
    ORDER BY card.is_default DESC, card.attached_at DESC, card.id
"""
IS_OWN = """
    WITH who AS ({who})
    SELECT EXISTS (
        SELECT FROM who JOIN payment_method AS card ON card.student_id = who.id
        WHERE card.stripe_payment_method_id = :card_id
    )
"""


@dataclass(frozen=True, slots=True)
class CardView:
    """`id` is Stripe's. Of the number there are the last four digits."""

    id: str
    brand: str
    last4: str
    exp_month: int
    exp_year: int
    is_default: bool

    def has_expired(self, *, now: datetime) -> bool:
        return has_expired(self.exp_year, self.exp_month, now=now)


def has_expired(exp_year: int, exp_month: int, *, now: datetime) -> bool:
    """A card is good to the end of the month that is printed on it."""
    return (exp_year, exp_month) < (now.year, now.month)


async def cards_of(connection: AsyncConnection, whose: Whose) -> Sequence[CardView]:
    """Those that are attached: the default one first, then the newest."""
    return [CardView(**row) for row in (await connection.execute(whose.statement(CARDS), whose.given)).mappings()]


async def is_own_card(connection: AsyncConnection, whose: Whose, card_id: str) -> bool:
    """Whether it is one of the student's, or was: what was removed is no secret from its owner."""
    given = whose.values(card_id=card_id)
    return bool((await connection.execute(whose.statement(IS_OWN), given)).scalar_one())
