"""Receipts: for the student whose hours were paid, for the caller who paid, and for staff."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from pydantic import BaseModel, Field

from web.openapi import parameters as given
from web.openapi.answers import Euros, Instant, PageOf, Path, Shape
from web.openapi.operation import TOKEN, USER, Answer, Operation, Operations
from web.openapi.parameters import TEXT, told
from web.paths import PREFIX

LISTED = f"{PREFIX}student-balance/receipts/"
ID = "5b0c4be1-0c4e-4a63-9f43-1d6f6cf7f0aa"


class Receipt(Shape):
    """A confirmation of payment, which is no invoice."""

    id: UUID
    receipt_number: str = Field(pattern="^R-[0-9]{4}-[0-9]{6,}$", description="Without gaps within a year.")
    transaction_id: int
    amount: Euros
    invoice_ref: str | None = Field(description="The invoice in the system that makes those, where it is known.")
    issued_at: Instant
    download_url: Path


class ReceiptPage(PageOf):
    results: list[Receipt]


RECEIPT_ID: given.Parameter = {
    "name": "receipt_id",
    "in": "path",
    "description": "The `id` of a receipt.",
    "schema": {"type": "string", "format": "uuid"},
    "required": True,
}
AS_A_FILE = told(
    "Content-Disposition",
    Content_Disposition={"description": "An attachment that is named after the receipt's number.", "schema": TEXT},
)
PDF: Mapping[str, Any] = {
    "application/pdf": {
        "schema": {"type": "string", "contentMediaType": "application/pdf"},
        "examples": {"answer": {"value": "%PDF-1.4 …"}},
    }
}
OF_SOMEBODY = (*TOKEN, "permission_denied", "not_found")

RECEIPTS: Operations = {
    ("GET", LISTED): Operation(
        "listReceipts",
        "What was paid, as receipts",
        "The newest first. A receipt is issued within seconds of the payment, keeps its number, and stays when the "
        "money goes back.",
        {200: Answer("A page.", ReceiptPage)},
        OF_SOMEBODY,
        "balance",
        USER,
        (given.EMAIL, *given.LIST_PAGES),
    ),
    ("GET", f"{LISTED}{{receipt_id}}/download/"): Operation(
        "downloadReceipt",
        "A receipt as a PDF",
        "For the student whose hours were paid, and for the caller who paid.",
        {200: Answer("One page of A4.", "application/pdf", AS_A_FILE)},
        OF_SOMEBODY,
        "balance",
        USER,
        (RECEIPT_ID, given.EMAIL),
    ),
}

RECEIPT_EXAMPLES: Mapping[type[BaseModel], Mapping[str, Any]] = {
    ReceiptPage: {
        "count": 1,
        "next": None,
        "previous": None,
        "results": [
            {
                "id": ID,
                "receipt_number": "R-2026-000123",
                "transaction_id": 41,
                "amount": "140.00",
                "invoice_ref": None,
                "issued_at": "2026-03-02T12:00:00.000Z",
                "download_url": f"{LISTED}{ID}/download/",
            }
        ],
    }
}
