"""What a buyer sees of a plan, and a purchase keeps."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import RowMapping

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

    @classmethod
    def of(cls, row: RowMapping) -> "PlanOnSale":
        """From a row with the columns of the view `plan_facts`."""
        facts: dict[str, Any] = {name: row[name] for name in cls.__slots__}
        return cls(**{**facts, "plan_type": PlanType(facts["plan_type"])})
