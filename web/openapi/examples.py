"""One answer of each kind, as a caller would meet it."""

import json
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from web.openapi import answers as shapes
from web.openapi.accounts_examples import ACCOUNT_EXAMPLES
from web.openapi.hour_examples import HOUR_EXAMPLES
from web.openapi.receipts import RECEIPT_EXAMPLES
from web.openapi.staff_examples import STAFF_EXAMPLES
from web.schemas import PurchaseBody

TASK_ID = "7f0c6ad4-3d0e-4b52-9a37-6a1f4c0f5b1e"
PURCHASE = f"/api/finances/api/purchase/{TASK_ID}/"
BOUGHT_AT, EXPIRES_AT = "2026-03-02T12:00:00.000Z", "2026-04-16T23:00:00.000Z"

PLAN = {
    "id": 2,
    "name": "Standard Package",
    "description": "Ten hours of tutoring.",
    "plan_type": "package",
    "hours_included": "10.00",
    "price_eur": "140.00",
    "validity_days": 45,
    "price_per_hour": "14.00",
}
PACKAGE = {
    "transaction_id": 41,
    "plan_name": "Standard Package",
    "hours_included": "10.00",
    "hours_consumed": "1.50",
    "hours_remaining": "8.50",
    "expires_at": EXPIRES_AT,
    "days_until_expiry": 45,
    "is_expired": False,
}
TAKEN = {"id": 97, "at": BOUGHT_AT, "kind": "consume", "hours": "-1.50", "minutes": -90, "source": "session:2026-114"}
ENTRY = {**TAKEN, "transaction_id": 41, "balance_after": "8.50"}
TRANSACTION = {
    "transaction_id": 41,
    "task_id": TASK_ID,
    "transaction_type": "package",
    "plan_name": "Standard Package",
    "amount": "140.00",
    "refunded_eur": "0.00",
    "payment_status": "completed",
    "expires_at": EXPIRES_AT,
    "created_at": BOUGHT_AT,
    "paid_at": BOUGHT_AT,
}
EXPLANATION = {
    "at": "2026-03-02T23:59:59.999Z",
    "minutes_by_kind": {"credit": 600, "consume": -90},
    "minutes": 510,
    "hours": "8.50",
    "minutes_expired_unwritten": 0,
    "minutes_remaining": 510,
    "remaining_hours": "8.50",
}
SUMS = {
    "hours_purchased": "10.00",
    "hours_consumed": "1.50",
    "hours_expired": "0.00",
    "hours_held": "0.00",
    "hours_refunded": "0.00",
    "hours_frozen": "0.00",
    "remaining_hours": "8.50",
    "balance_amount": "140.00",
}

ACCEPTED = {
    "success": True,
    "task_id": TASK_ID,
    "status": "queued",
    "status_url": PURCHASE,
    "events_url": f"{PURCHASE}events/",
    "access_token": "fwyLAmtYxW4y3dHq2Zk0mA0e1u9Qx8",
    "plan_details": PLAN,
    "message": "Your purchase is accepted; its payment is being prepared.",
}
PENDING = {
    "success": True,
    "task_id": TASK_ID,
    "status": "pending",
    "client_secret": "pi_3Q_secret_9f",
    "payment_intent_id": "pi_3Q",
    "transaction_id": 41,
    "publishable_key": "pk_test_4eC39HqLyjWDarjtT1zdp7dc",
    "plan_details": PLAN,
    "refunded_eur": "0.00",
    "message": "The payment can be made now.",
    "timeline": [{"step": "accepted", "at": BOUGHT_AT}, {"step": "intent_created", "at": BOUGHT_AT}],
}
CHANGING = {"success": True, "id": TASK_ID, "status": "pending", "status_url": PURCHASE}
BALANCE = {
    "student_info": {"id": 7, "name": "Ana Lúcia", "email": "ana@example.com"},
    "balance_summary": SUMS,
    "package_status": {"active_packages": [PACKAGE], "expired_packages": []},
    "upcoming_expirations": [],
    "subscription_info": {
        "is_active": False,
        "status": None,
        "plan_name": None,
        "current_period_end": None,
        "cancel_at_period_end": False,
        "is_paused": False,
        "next_charge_eur": None,
    },
}
BOOKING = {
    "can_book": False,
    "hours_required": "9.00",
    "hours_available": "8.50",
    "hours_remaining_after": "8.50",
    "reason": "insufficient_balance",
}
LISTED = {**PLAN, "plan_type_display": "Package", "display_order": 2, "is_featured": True, "currency": "eur"}
ON_STRIPE = {
    "public_key": "pk_test_4eC39HqLyjWDarjtT1zdp7dc",
    "js_url": "https://js.stripe.com/v3/",
    "success": True,
}
WISH = {
    "plan_id": 2,
    "student_info": {"name": "Ana Lúcia", "email": "ana@example.com"},
    "expected_price_eur": "140.00",
}
METRICS = """\
# HELP billing_open_work Rows that want a worker, now or later.
# TYPE billing_open_work gauge
billing_open_work{kind="purchase"} 2
"""
STREAM = f"retry: 2000\n\nid: 12\ndata: {json.dumps(PENDING)}\n\n"


def _page(row: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    return {"count": 1, "next": None, "previous": None, "results": [row], **more}


EXAMPLES: Mapping[type[BaseModel], Mapping[str, Any]] = {
    PurchaseBody: WISH,
    shapes.PurchaseAccepted: ACCEPTED,
    shapes.Purchase: PENDING,
    shapes.ChangeAccepted: CHANGING,
    shapes.PlanOnSale: LISTED,
    shapes.StripeConfig: ON_STRIPE,
    shapes.Balance: BALANCE,
    shapes.TransactionPage: _page(TRANSACTION),
    shapes.PackagePage: _page({**PACKAGE, "consumption": [TAKEN]}),
    shapes.EntryPage: _page(ENTRY, explanation=EXPLANATION),
    shapes.BookingCheck: BOOKING,
    **RECEIPT_EXAMPLES,
    **ACCOUNT_EXAMPLES,
    **HOUR_EXAMPLES,
    **STAFF_EXAMPLES,
    shapes.WebhookReceived: {"received": True},
    shapes.Live: {"status": "live"},
    shapes.Ready: {"status": "ready"},
}
