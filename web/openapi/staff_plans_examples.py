"""One answer of each kind about plans that are changed."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from billing.reads.plans import DETAILS
from web.openapi import staff_plans_answers as shapes
from web.staff.plan_bodies import PlanBody, PlanEditBody, PlansBody

SINCE, FROM = "2026-03-02T12:00:00.000Z", "2026-09-01T00:00:00.000Z"
REASON = "The prices of the new school year."

VERSION = {
    "version": 1,
    "status": "current",
    "name": "Standard Package",
    "description": "Ten hours of tutoring.",
    "plan_type": "package",
    "hours_included": "10.00",
    "minutes": 600,
    "price_eur": "140.00",
    "currency": "eur",
    "validity_days": 45,
    "rollover_minutes": None,
    "price_per_hour": "14.00",
    "effective_from": SINCE,
}
NEXT = {
    **VERSION,
    "version": 2,
    "status": "scheduled",
    "price_eur": "150.00",
    "price_per_hour": "15.00",
    "effective_from": FROM,
}
PLAN = {
    "id": 2,
    **{name: VERSION[name] for name in DETAILS},
    "code": "standard",
    "is_active": True,
    "is_featured": True,
    "display_order": 2,
    "created_at": SINCE,
    "newest_version": 2,
    "current_version": 1,
    "versions": [VERSION, NEXT],
}
LISTED = {
    "id": 2,
    "name": "Standard Package",
    "description": "Ten hours of tutoring.",
    "plan_type": "package",
    "hours_included": "10.00",
    "price_eur": "150.00",
    "validity_days": 45,
    "price_per_hour": "15.00",
    "plan_type_display": "Package",
    "display_order": 2,
    "is_featured": True,
    "currency": "eur",
}

STAFF_PLANS_EXAMPLES: Mapping[type[BaseModel], Mapping[str, Any]] = {
    PlanBody: {
        "name": "Summer Package",
        "description": "Eight hours for the holidays.",
        "plan_type": "package",
        "hours_included": "8.00",
        "price_eur": "112.00",
        "validity_days": 60,
        "reason": "The summer offer.",
    },
    PlanEditBody: {
        "price_eur": "150.00",
        "effective_from": "2026-09-01T00:00:00Z",
        "reason": REASON,
    },
    PlansBody: {"plan_ids": [3, 4], "is_active": False, "reason": "Nobody buys them."},
    shapes.StaffPlan: {"success": True, **PLAN},
    shapes.StaffPlanPage: {"count": 1, "next": None, "previous": None, "results": [PLAN]},
    shapes.StaffPlans: {"success": True, "plans": [{**PLAN, "is_active": False}]},
    shapes.PlanPreview: {"success": True, "at": FROM, "is_on_sale": True, "version": 2, "plan": LISTED},
}
