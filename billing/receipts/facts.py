"""What a receipt says: taken from the purchase and the settings once, and printed from this ever after."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, Self
from uuid import UUID
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict
from sqlalchemy import RowMapping, text
from sqlmodel import Session

from billing.config import Settings

PAID = text("""
    SELECT receipt.id AS receipt_id, purchase.transaction_id, purchase.payment_intent_id, purchase.buyer_name,
        purchase.buyer_email, purchase.minutes, purchase.price_cents, purchase.currency, purchase.paid_at,
        version.name AS plan_name
    FROM receipt
    JOIN purchase ON purchase.id = receipt.purchase_id
    JOIN pricing_plan_version AS version ON version.id = purchase.plan_version_id
    WHERE receipt.id = ANY(CAST(:ids AS uuid[]))
    ORDER BY purchase.paid_at, purchase.id
""")


class Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Seller(Frozen):
    name: str
    address: str
    vat_number: str


class Facts(Frozen):
    """Days are those of the business. `vat_cents` is contained in the price; None: no rate was set."""

    seller: Seller
    vat_rate_percent: Decimal | None
    vat_cents: int | None
    buyer_name: str
    buyer_email: str
    plan_name: str
    minutes: int
    price_cents: int
    currency: str
    paid_at: datetime
    paid_on: date
    issued_on: date
    transaction_id: int
    payment_intent_id: str

    def kept(self) -> dict[str, Any]:
        """As the row keeps them."""
        return self.model_dump(mode="json")


@dataclass(frozen=True, slots=True)
class Issuer:
    """Who issues receipts, and where its days and years begin."""

    seller: Seller
    vat_rate_percent: Decimal | None
    zone: ZoneInfo

    @classmethod
    def of(cls, settings: Settings) -> Self:
        seller = Seller(
            name=settings.seller_name, address=settings.seller_address, vat_number=settings.seller_vat_number
        )
        return cls(seller, settings.vat_rate_percent, settings.zone)

    def day_of(self, at: datetime) -> date:
        return at.astimezone(self.zone).date()

    def year_of(self, at: datetime) -> int:
        return self.day_of(at).year

    def facts_of(self, row: RowMapping, issued_at: datetime) -> Facts:
        rate = self.vat_rate_percent
        bought = {name: row[name] for name in Facts.model_fields if name in row}
        return Facts(
            **{**bought, "paid_at": row["paid_at"].astimezone(UTC)},
            seller=self.seller,
            vat_rate_percent=rate,
            vat_cents=None if rate is None else contained_vat(row["price_cents"], rate),
            paid_on=self.day_of(row["paid_at"]),
            issued_on=self.day_of(issued_at),
        )


def contained_vat(cents: int, rate_percent: Decimal) -> int:
    """The part of a price that is its tax, half up: price x rate / (100 + rate)."""
    rate = int(rate_percent * 100)
    return (2 * cents * rate + 10_000 + rate) // (2 * (10_000 + rate))


def in_order_of_payment(
    session: Session, receipt_ids: Sequence[UUID], issuer: Issuer, *, issued_at: datetime
) -> Sequence[tuple[UUID, Facts]]:
    """The facts of each of these receipts, those first that were paid first."""
    rows = session.execute(PAID, {"ids": list(receipt_ids)}).mappings()
    return [(row["receipt_id"], issuer.facts_of(row, issued_at)) for row in rows]
