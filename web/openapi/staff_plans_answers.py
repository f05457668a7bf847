"""What answers to staff look like where plans are changed."""

from typing import Literal

from pydantic import Field

from billing.reads.plans import VersionStatus
from billing.states import PlanType
from web.openapi.answers import Euros, Hours, Instant, PageOf, PlanOnSale, Shape


class PlanVersion(Shape):
    """What the plan says from `effective_from` on. Whoever bought it keeps the version that he bought."""

    version: int
    status: VersionStatus = Field(
        description="`over`: another one counts instead, or will at the same instant; `current`: what would be bought "
        "now, where the plan is active."
    )
    name: str
    description: str
    plan_type: PlanType
    hours_included: Hours
    minutes: int
    price_eur: Euros
    currency: str
    validity_days: int | None
    rollover_minutes: int | None
    price_per_hour: Euros
    effective_from: Instant


class StaffPlanRow(Shape):
    """What it says as its buyers are told: by its current version, or, where that is still to come, by the newest."""

    id: int
    name: str | None = Field(description="Null, like all that versions say, where the plan has none.")
    description: str | None
    plan_type: PlanType | None
    hours_included: Hours | None
    price_eur: Euros | None
    validity_days: int | None
    price_per_hour: Euros | None
    code: str
    is_active: bool
    is_featured: bool
    display_order: int
    created_at: Instant
    newest_version: int | None = Field(description="What an edit may name as its `expected_version`.")
    current_version: int | None = Field(description="Null where the first one is still to come.")
    versions: list[PlanVersion] = Field(description="From the first to the newest.")


class StaffPlan(StaffPlanRow):
    success: Literal[True]


class StaffPlanPage(PageOf):
    results: list[StaffPlanRow]


class StaffPlans(Shape):
    success: Literal[True]
    plans: list[StaffPlanRow]


class PlanPreview(Shape):
    """`is_on_sale` goes by whether the plan is active now."""

    success: Literal[True]
    at: Instant
    is_on_sale: bool
    version: int | None = Field(description="Null where no version counts at that instant.")
    plan: PlanOnSale | None = Field(description="As in the list of plans.")
