"""Which plans are for sale, at what price, for how many minutes."""

from dataclasses import dataclass

from billing.states import PlanType


@dataclass(frozen=True, slots=True)
class PlanOnSale:
    """The facts of one version of a plan, as a buyer sees them and a purchase keeps them."""

    plan_id: int
    version_id: int
    name: str
    description: str
    plan_type: PlanType
    minutes: int
    price_cents: int
    currency: str
    validity_days: int | None
    display_order: int
    is_featured: bool
