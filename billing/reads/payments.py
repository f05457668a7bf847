"""The payment behind a purchase, for whoever speaks to the payment service about it."""

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

PAYMENT = text("""
    SELECT id, transaction_id, state, payment_intent_id FROM purchase
    WHERE id = CAST(:id AS uuid) OR transaction_id = CAST(:transaction_id AS bigint)
""")


@dataclass(frozen=True, slots=True)
class PaymentView:
    id: UUID
    transaction_id: int
    state: str
    payment_intent_id: str | None


async def find_payment(connection: AsyncConnection, given: str) -> PaymentView | None:
    """By a purchase's id, or by the number that its buyer knows it by."""
    number = int(given) if given.isascii() and given.isdigit() and len(given) < 19 else None
    asked = {"id": None if number is not None else _uuid(given), "transaction_id": number}
    row = (await connection.execute(PAYMENT, asked)).mappings().one_or_none()
    return None if row is None else PaymentView(**row)


def _uuid(given: str) -> UUID | None:
    try:
        return UUID(given)
    except ValueError:
        return None
