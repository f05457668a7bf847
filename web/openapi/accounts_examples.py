"""One answer of each kind to the owner of an account."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from web.accounts.bodies import CancelBody, CardBody, ChangePlanBody, TopUpBody
from web.openapi import accounts_answers as shapes

ACT_ID = "3b1f7f2e-9a54-4f0e-8a7c-1d2c3b4a5f60"
ASKED_AT, DECIDED_AT = "2026-04-20T09:30:00.000Z", "2026-04-20T09:30:00.640Z"

CARD = {
    "id": "pm_1Q",
    "brand": "visa",
    "last4": "4242",
    "exp_month": 8,
    "exp_year": 2029,
    "is_default": True,
    "is_expired": False,
}
MONTHLY = {
    "id": 5,
    "name": "Monthly Unlimited",
    "description": "Thirty hours, new each month.",
    "plan_type": "subscription",
    "hours_included": "30.00",
    "price_eur": "199.00",
    "validity_days": None,
    "price_per_hour": "6.63",
}
ACT = {
    "success": True,
    "id": ACT_ID,
    "action": "cancel",
    "status": "done",
    "error_type": None,
    "message": None,
    "result": None,
    "client_secret": None,
    "requested_at": ASKED_AT,
    "decided_at": DECIDED_AT,
}
SUBSCRIPTION = {
    "plan": MONTHLY,
    "next_plan": None,
    "status": "past_due",
    "current_period_start": "2026-04-02T12:00:00.000Z",
    "current_period_end": "2026-05-02T12:00:00.000Z",
    "cancel_at_period_end": False,
    "is_paused": False,
    "hours_this_period": None,
    "dunning": {
        "amount_due": "199.00",
        "attempts": 1,
        "next_attempt_at": "2026-04-05T12:00:00.000Z",
        "client_secret": "pi_3R_secret_7d",
    },
    "ended_at": None,
    "payments": [41],
}

ACCOUNT_EXAMPLES: Mapping[type[BaseModel], Mapping[str, Any]] = {
    CardBody: {"payment_method_id": "pm_1Q"},
    CancelBody: {"at_period_end": True},
    ChangePlanBody: {"plan_id": 6},
    TopUpBody: {"plan_id": 2, "expected_price_eur": "140.00"},
    shapes.Cards: {"success": True, "payment_methods": [CARD]},
    shapes.AccountActAccepted: {
        "success": True,
        "id": ACT_ID,
        "status": "requested",
        "status_url": f"/api/finances/api/account-acts/{ACT_ID}/",
    },
    shapes.AccountAct: ACT,
    shapes.CardSetup: {
        **ACT,
        "action": "add_card",
        "result": {"setup_intent_id": "seti_1Q"},
        "client_secret": "seti_1Q_secret_2f",
        "setup_intent_id": "seti_1Q",
        "publishable_key": "pk_test_4eC39HqLyjWDarjtT1zdp7dc",
    },
    shapes.OwnSubscription: {"success": True, "subscription": SUBSCRIPTION},
}
