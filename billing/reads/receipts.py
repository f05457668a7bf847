"""Receipts of a student, and the page of one."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Self
from uuid import UUID

from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from billing.reads.pages import Page, Slice, page_of
from billing.reads.whose import Whose
from billing.receipts.numbers import written

# Whose hours were bought has the receipt, and so has the caller who bought them for somebody else: both see the
# purchase in their histories. Who may see everything asks without a caller.
VISIBLE = """
    receipt.issued_at IS NOT NULL
    AND (purchase.student_id = (SELECT id FROM who) OR purchase.caller_sub = CAST(:caller AS text))
"""
RECEIPTS = f"""
    WITH who AS ({{who}}), visible AS (
        SELECT receipt.id FROM purchase JOIN receipt ON receipt.purchase_id = purchase.id WHERE {VISIBLE}
    )
    SELECT (SELECT id FROM who) AS student_id, total.count, shown.*
    FROM (SELECT count(*) AS count FROM visible) AS total
    LEFT JOIN LATERAL (
        SELECT receipt.id AS row_id, receipt.year, receipt.serial, receipt.invoice_ref, receipt.issued_at,
            purchase.transaction_id, purchase.price_cents
        FROM visible
        JOIN receipt USING (id)
        JOIN purchase ON purchase.id = receipt.purchase_id
        ORDER BY receipt.year DESC, receipt.serial DESC LIMIT :size OFFSET :skipped
    ) AS shown ON true
    ORDER BY shown.year DESC, shown.serial DESC
"""  # noqa: S608  # our own words
PRINTED = f"""
    WITH who AS ({{who}})
    SELECT receipt.year, receipt.serial, receipt.pdf
    FROM receipt JOIN purchase ON purchase.id = receipt.purchase_id
    WHERE receipt.id = :receipt_id AND {VISIBLE}
"""  # noqa: S608


@dataclass(frozen=True, slots=True)
class ReceiptView:
    id: UUID
    number: str
    transaction_id: int
    amount_cents: int
    invoice_ref: str | None
    issued_at: datetime

    @classmethod
    def of(cls, row: RowMapping) -> Self:
        return cls(
            id=row["row_id"],
            number=written(row["year"], row["serial"]),
            transaction_id=row["transaction_id"],
            amount_cents=row["price_cents"],
            invoice_ref=row["invoice_ref"],
            issued_at=row["issued_at"].astimezone(UTC),
        )


@dataclass(frozen=True, slots=True)
class PrintedReceipt:
    number: str
    pdf: bytes


async def receipts_of(connection: AsyncConnection, whose: Whose, part: Slice) -> Page[ReceiptView]:
    """The newest number first."""
    return await page_of(connection, whose, RECEIPTS, ReceiptView.of, caller=whose.caller, **part.bounds)


async def printed_receipt(connection: AsyncConnection, whose: Whose, receipt_id: UUID) -> PrintedReceipt | None:
    """None where there is none, or it is somebody else's."""
    values = whose.values(caller=whose.caller, receipt_id=receipt_id)
    row = (await connection.execute(whose.statement(PRINTED), values)).mappings().one_or_none()
    return None if row is None else PrintedReceipt(written(row["year"], row["serial"]), bytes(row["pdf"]))
