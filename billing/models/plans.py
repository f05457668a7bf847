"""What is for sale. An edit is a new version; a purchase keeps the version it was made with."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, Identity, Index, UniqueConstraint, text
from sqlmodel import Field, SQLModel

from billing.models.columns import Instant, values_of
from billing.states import PlanType


class Installation(SQLModel, table=True):
    """One row, drawn at the first migration: what tells our objects at Stripe from those of others."""

    __table_args__ = (CheckConstraint("is_only", name="one_row"),)

    is_only: bool = Field(default=True, primary_key=True)
    id: UUID
    created_at: datetime = Field(sa_type=Instant)


class PricingPlan(SQLModel, table=True):
    __tablename__ = "pricing_plan"
    __table_args__ = (UniqueConstraint("code"),)

    id: int | None = Field(default=None, primary_key=True, sa_column_args=[Identity()])
    code: str = Field(max_length=50)
    is_active: bool = Field(default=True)
    is_featured: bool = Field(default=False)
    display_order: int = Field(default=0)
    created_at: datetime = Field(sa_type=Instant)


class PricingPlanVersion(SQLModel, table=True):
    """Immutable facts of a plan from `effective_from` on, until a later version is effective."""

    __tablename__ = "pricing_plan_version"
    __table_args__ = (
        UniqueConstraint("plan_id", "version"),
        Index("ix_pricing_plan_version_effective", "plan_id", text("effective_from DESC"), text("version DESC")),
        CheckConstraint("version > 0", name="version_counts"),
        CheckConstraint("minutes > 0", name="minutes_positive"),
        CheckConstraint("price_cents > 0", name="price_positive"),
        CheckConstraint("currency ~ '^[a-z]{3}$'", name="currency_code"),
        CheckConstraint("(validity_days IS NULL) = (plan_type = 'subscription')", name="packages_expire"),
        CheckConstraint("validity_days > 0", name="validity_positive"),
        CheckConstraint(
            "rollover_minutes IS NULL OR (rollover_minutes > 0 AND plan_type = 'subscription')",
            name="periods_roll_over",
        ),
    )

    id: int | None = Field(default=None, primary_key=True, sa_column_args=[Identity()])
    plan_id: int = Field(foreign_key="pricing_plan.id")
    version: int
    name: str = Field(max_length=100)
    description: str = Field(default="", max_length=500)
    plan_type: PlanType = Field(sa_type=values_of(PlanType))
    minutes: int
    price_cents: int
    currency: str = Field(default="eur", max_length=3)
    validity_days: int | None = Field(default=None)
    rollover_minutes: int | None = Field(default=None)
    """How much of what a period left unused lives on in the next one; nothing where it is None."""
    effective_from: datetime = Field(sa_type=Instant)
