"""Receipts: confirmations of payment with a number per year that has no gaps."""

from datetime import datetime
from typing import Any, ClassVar
from uuid import UUID

from sqlalchemy import CheckConstraint, UniqueConstraint
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel

from billing.models.columns import Instant, OpenWork, open_work_constraints


class Receipt(OpenWork, table=True):
    """Asked for with the credit, made by a worker: it draws the number, freezes the facts and renders the PDF at once.

    `facts` are what is printed; only `invoice_ref` may be set later, which prints it anew from the same facts.
    """

    __table_args__ = (
        UniqueConstraint("purchase_id"),
        UniqueConstraint("year", "serial"),
        CheckConstraint("serial > 0", name="serial_counts"),
        CheckConstraint(
            "(issued_at IS NULL) = (pdf IS NULL) AND (issued_at IS NULL) = (serial IS NULL)"
            " AND (issued_at IS NULL) = (year IS NULL) AND (issued_at IS NULL) = (facts IS NULL)",
            name="issued_whole",
        ),
        *open_work_constraints("receipt"),
    )
    kind: ClassVar[str] = "receipt"

    id: UUID = Field(primary_key=True)
    purchase_id: UUID = Field(foreign_key="purchase.id")
    requested_at: datetime = Field(sa_type=Instant)
    year: int | None = Field(default=None)
    serial: int | None = Field(default=None)
    facts: dict[str, Any] | None = Field(default=None, sa_type=JSONB(none_as_null=True))
    pdf: bytes | None = Field(default=None)
    invoice_ref: str | None = Field(default=None, max_length=100)
    issued_at: datetime | None = Field(default=None, sa_type=Instant)


class ReceiptCounter(SQLModel, table=True):
    """The last number of each year, locked while the next one is drawn."""

    __tablename__ = "receipt_counter"
    __table_args__ = (CheckConstraint("last > 0", name="counts"),)

    year: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    last: int
