"""Which plans are for sale, at what price, for how many minutes; an edit is a new version."""

from billing.plans.defaults import DEFAULT_PLANS, DefaultPlan, load_defaults
from billing.plans.on_sale import PlanOnSale

__all__ = ["DEFAULT_PLANS", "DefaultPlan", "PlanOnSale", "load_defaults"]
