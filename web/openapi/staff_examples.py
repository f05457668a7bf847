"""One answer of each kind to staff."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from web.openapi import staff_answers as shapes
from web.openapi.staff_money_examples import STAFF_MONEY_EXAMPLES
from web.openapi.staff_payments_examples import STAFF_PAYMENTS_EXAMPLES
from web.openapi.staff_plans_examples import STAFF_PLANS_EXAMPLES
from web.openapi.staff_system_examples import STAFF_SYSTEM_EXAMPLES
from web.openapi.staff_webhooks_examples import STAFF_WEBHOOKS_EXAMPLES
from web.staff.bodies import BulkExtendBody, ExtendBody, ProcessExpiredBody

ACT_ID = "5a0f8f5c-64f5-4d0c-8f0b-3b2d5c1c9e77"
EXPIRED_AT, EXTENDED_TO = "2026-04-16T23:00:00.000Z", "2026-05-16T23:00:00.000Z"
ASKED_AT = "2026-04-20T09:30:00.000Z"

PACKAGE = {
    "transaction_id": 41,
    "plan_name": "Standard Package",
    "hours_included": "10.00",
    "hours_consumed": "1.50",
    "hours_remaining": "8.50",
    "expires_at": EXTENDED_TO,
    "days_until_expiry": 26,
    "is_expired": False,
}
EXPIRED = {
    **PACKAGE,
    "hours_remaining": "0.00",
    "expires_at": EXPIRED_AT,
    "days_until_expiry": 0,
    "is_expired": True,
}
STUDENT = {"id": 7, "name": "Ana Lúcia", "email": "ana@example.com"}
REASON = "Ana was ill for four weeks."
SWEPT = {
    "success": True,
    "dry_run": False,
    "grace_hours": 24,
    "cutoff": "2026-04-19T09:30:00.000Z",
    "students": 1,
    "packages": 1,
    "hours": "8.50",
    "minutes": 510,
    "run": {"id": 12, "status": "finished", "started_at": ASKED_AT, "finished_at": ASKED_AT},
}
ACT = {
    "id": ACT_ID,
    "action": "extend",
    "actor": "staff-3",
    "reason": REASON,
    "target": "purchase:41",
    "before": {"transaction_id": 41, "expires_at": EXPIRED_AT, "minutes_left": 0, "minutes_expired": 510},
    "after": {"transaction_id": 41, "expires_at": EXTENDED_TO, "minutes_left": 510, "minutes_expired": 0},
    "address": "192.0.2.7",
    "status": "done",
    "success": True,
    "error_type": None,
    "error_message": None,
    "at": ASKED_AT,
    "decided_at": ASKED_AT,
}


def _page(row: Mapping[str, Any]) -> dict[str, Any]:
    return {"count": 1, "next": None, "previous": None, "results": [row]}


STAFF_EXAMPLES: Mapping[type[BaseModel], Mapping[str, Any]] = {
    ExtendBody: {"extension_days": 30, "reason": REASON},
    BulkExtendBody: {"transaction_ids": [41, 42], "extension_days": 7, "reason": "The office was closed for a week."},
    ProcessExpiredBody: {"grace_hours": 24, "reason": "The night's sweep was missed."},
    shapes.StaffActAccepted: {
        "success": True,
        "id": ACT_ID,
        "status": "requested",
        "status_url": f"/api/finances/api/admin/payments/audit-log/{ACT_ID}/",
    },
    shapes.ExtendedPackage: {"success": True, **PACKAGE},
    shapes.ExtendedPackages: {"success": True, "packages": [PACKAGE]},
    shapes.ExpiringPackagePage: _page({**PACKAGE, "student": STUDENT}),
    shapes.ExpiredPackagePage: _page({**EXPIRED, "student": STUDENT, "hours_expired": "8.50", "is_swept": True}),
    shapes.ProcessedExpired: SWEPT,
    shapes.StaffActRow: ACT,
    shapes.StaffActPage: _page(ACT),
    **STAFF_MONEY_EXAMPLES,
    **STAFF_PAYMENTS_EXAMPLES,
    **STAFF_PLANS_EXAMPLES,
    **STAFF_WEBHOOKS_EXAMPLES,
    **STAFF_SYSTEM_EXAMPLES,
}
