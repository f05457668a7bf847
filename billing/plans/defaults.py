"""The plans with which an installation begins."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import cast

from sqlmodel import Session, select

from billing.db import Begin
from billing.models import PricingPlan, PricingPlanVersion
from billing.plans.versions import lock_plans
from billing.states import PlanType


@dataclass(frozen=True, slots=True)
class DefaultPlan:
    code: str
    name: str
    description: str
    hours: int
    price_euros: int
    validity_days: int | None
    is_featured: bool = False


DEFAULT_PLANS: Sequence[DefaultPlan] = (
    DefaultPlan("basic", "Basic Package", "Five hours to try things out.", 5, 75, 30),
    DefaultPlan("standard", "Standard Package", "Ten hours for a steady month and a half.", 10, 140, 45, True),
    DefaultPlan("premium", "Premium Package", "Twenty hours for two busy months.", 20, 260, 60),
    DefaultPlan("intensive", "Intensive Package", "Forty hours towards an exam.", 40, 480, 90),
    DefaultPlan("monthly", "Monthly Unlimited", "Thirty hours, new each month.", 30, 199, None, True),
    DefaultPlan("student", "Student Subscription", "Fifteen hours, new each month.", 15, 119, None),
    DefaultPlan("family", "Family Subscription", "Fifty hours to share, new each month.", 50, 299, None),
)


def load_defaults(begin: Begin, *, force: bool, now: datetime) -> list[str]:
    """Add the default plans to an empty table; with `force` also those that are missing from a used one.

    A plan that is there is left as it is, however it was edited. Returns the codes that were added.
    """
    with begin() as session:
        lock_plans(session)
        present = set(session.exec(select(PricingPlan.code)))
        if present and not force:
            return []
        missing = [(order, plan) for order, plan in enumerate(DEFAULT_PLANS, 1) if plan.code not in present]
        for order, plan in missing:
            _add(session, plan, order, now)
        return [plan.code for _, plan in missing]


def _add(session: Session, default: DefaultPlan, order: int, now: datetime) -> None:
    plan = PricingPlan(code=default.code, is_featured=default.is_featured, display_order=order, created_at=now)
    session.add(plan)
    session.flush()
    session.add(
        PricingPlanVersion(
            plan_id=cast("int", plan.id),  # flushed
            version=1,
            name=default.name,
            description=default.description,
            plan_type=PlanType.PACKAGE if default.validity_days else PlanType.SUBSCRIPTION,
            minutes=default.hours * 60,
            price_cents=default.price_euros * 100,
            validity_days=default.validity_days,
            effective_from=now,
        )
    )
