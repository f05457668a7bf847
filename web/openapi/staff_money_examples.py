"""One answer of each kind about money that goes back."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from web.openapi import staff_money_answers as shapes
from web.staff.bodies import InvoiceBody, RefundPurchaseBody

REFUND_ID = "0193d5a1-c5f0-7b6b-9a4c-1a2b3c4d5e6f"
DISPUTE_ID = "0193d5a1-c5f0-7b6b-9a4c-0a1b2c3d4e5f"
BOOKING_ID = "0193d5a1-c5f0-7b6b-9a4c-2b3c4d5e6f70"
RECEIPT_ID = "5b0c4be1-0c4e-4a63-9f43-1d6f6cf7f0aa"
ASKED_AT, DECIDED_AT = "2026-04-20T09:30:00.000Z", "2026-04-20T09:30:01.250Z"
REASON = "Ana moves away."

REFUND = {
    "id": REFUND_ID,
    "status": "succeeded",
    "transaction_id": 41,
    "amount": "70.00",
    "minutes": 300,
    "hours": "5.00",
    "minutes_short": 0,
    "origin": "staff",
    "reason": REASON,
    "requested_by": "admin-1",
    "stripe_refund_id": "re_3Q",
    "requested_at": ASKED_AT,
    "decided_at": DECIDED_AT,
}
DISPUTE = {
    "id": DISPUTE_ID,
    "stripe_dispute_id": "dp_1Q",
    "transaction_id": 41,
    "amount": "140.00",
    "currency": "eur",
    "reason": "fraudulent",
    "status": "needs_response",
    "state": "open",
    "withdrawn": "140.00",
    "minutes_frozen": 510,
    "minutes_lost": 0,
    "minutes_short": 0,
    "evidence_due_at": "2026-04-29T23:59:59.000Z",
    "opened_at": ASKED_AT,
    "decided_at": None,
    "student": {"id": 7, "name": "Ana Lúcia", "email": "ana@example.com"},
}
BOOKED = {
    "id": BOOKING_ID,
    "session_id": "lesson-2026-04-22-ana",
    "ends_at": "2026-04-22T17:00:00.000Z",
    "hours": "1.50",
    "minutes": 90,
}


def _page(row: Mapping[str, Any]) -> dict[str, Any]:
    return {"count": 1, "next": None, "previous": None, "results": [row]}


STAFF_MONEY_EXAMPLES: Mapping[type[BaseModel], Mapping[str, Any]] = {
    RefundPurchaseBody: {"transaction_id": 41, "refund_amount": "70.00", "reason": REASON},
    InvoiceBody: {"invoice_ref": "FT 2026/117", "reason": "Invoiced by the accountant."},
    shapes.RefundQuote: {
        "success": True,
        "transaction_id": 41,
        "refundable_amount": "119.00",
        "unused_hours": "8.50",
        "unused_minutes": 510,
        "price": "140.00",
        "refunded_eur": "0.00",
        "fee": "0.00",
        "formula": "min(14000 x 510 / 600 - 0 fee, 11900 not given back) = 11900 cents",
    },
    shapes.RefundAccepted: {
        "success": True,
        "id": REFUND_ID,
        "status": "requested",
        "status_url": f"/api/finances/api/admin/payments/refunds/{REFUND_ID}/",
    },
    shapes.Refund: {"success": True, **REFUND},
    shapes.RefundPage: _page(REFUND),
    shapes.DisputePage: _page(DISPUTE),
    shapes.Dispute: {"success": True, **DISPUTE, "booked_sessions": [BOOKED]},
    shapes.NamedInvoice: {"success": True, "receipt_id": RECEIPT_ID, "invoice_ref": "FT 2026/117"},
}
