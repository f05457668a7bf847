"""One answer of each kind about everybody's purchases."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from web.openapi import staff_payments_answers as shapes

ACCEPTED_AT, PAID_AT = "2026-04-20T09:30:00.000Z", "2026-04-20T09:31:12.000Z"

TRANSACTION = {
    "transaction_id": 41,
    "task_id": "7f0c6ad4-3d0e-4b52-9a37-6a1f4c0f5b1e",
    "transaction_type": "package",
    "plan_name": "Standard Package",
    "amount": "140.00",
    "refunded_eur": "0.00",
    "payment_status": "completed",
    "expires_at": "2026-06-04T23:00:00.000Z",
    "created_at": ACCEPTED_AT,
    "paid_at": PAID_AT,
    "student": {"id": 7, "name": "Ana Lúcia", "email": "ana@example.com"},
    "buyer_name": "Ana Lúcia",
    "buyer_email": "ana@example.com",
    "payment_intent_id": "pi_3Q",
    "error_type": None,
}
METRICS = {
    "success": True,
    "window": {"from": "2026-04-19T12:00:00.000Z", "to": "2026-04-20T12:00:00.000Z", "hours": 24},
    "purchases": {"accepted": 24, "completed": 19, "failed": 1, "cancelled": 1, "expired": 1, "pending": 2},
    "revenue": {"gross_eur": "2660.00", "refunded_eur": "70.00", "disputed_eur": "140.00", "net_eur": "2450.00"},
    "hours": {
        "credited": "190.00",
        "consumed": "61.50",
        "expired": "8.50",
        "refunded": "15.00",
        "outstanding": "2310.25",
    },
    "refunds": {"count": 1, "amount_eur": "70.00", "failed": 0},
    "disputes": {"opened": 0, "won": 0, "lost": 1, "open": 2},
    "success_rate": "0.86",
    "webhooks": {"received": 83, "applied": 61, "ignored": 21, "parked": 0, "dead": 0},
    "by_plan": [{"plan_name": "Standard Package", "count": 19, "amount_eur": "2660.00"}],
}

STAFF_PAYMENTS_EXAMPLES: Mapping[type[BaseModel], Mapping[str, Any]] = {
    shapes.StaffTransactionPage: {"count": 1, "next": None, "previous": None, "results": [TRANSACTION]},
    shapes.PaymentMetrics: METRICS,
}
