"""Subscriptions as Stripe has them, and the prices by which they are charged."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, Index, UniqueConstraint, text
from sqlmodel import Field, SQLModel

from billing.models.columns import Instant, listed, values_of
from billing.states import ENDED_SUBSCRIPTIONS, LIVE_SUBSCRIPTIONS, SubscriptionStatus


class StripePrice(SQLModel, table=True):
    """What a version of a plan is called at Stripe: a product for each plan, a price for each version."""

    __tablename__ = "stripe_price"
    __table_args__ = (UniqueConstraint("stripe_price_id"),)

    plan_version_id: int = Field(foreign_key="pricing_plan_version.id", primary_key=True)
    stripe_product_id: str = Field(max_length=255)
    stripe_price_id: str = Field(max_length=255)
    made_at: datetime = Field(sa_type=Instant)


class Subscription(SQLModel, table=True):
    """A subscription as Stripe said it is when it was asked last; the periods are those of its item.

    `plan_version_id` is what the next period is charged by; None where its price is none of ours.
    `cancel_requested_at` is the fence: nothing that could charge is asked of Stripe from then on.
    `invoice_*` are of an invoice that is due and not paid; its secret is sealed.
    """

    __table_args__ = (
        UniqueConstraint("stripe_subscription_id"),
        Index("ix_subscription_student", "student_id", "began_at"),
        Index("ix_subscription_live", "student_id", postgresql_where=text(f"status IN ({listed(LIVE_SUBSCRIPTIONS)})")),
        CheckConstraint("period_end > period_start", name="period_has_length"),
        CheckConstraint(f"(status IN ({listed(ENDED_SUBSCRIPTIONS)})) = (ended_at IS NOT NULL)", name="ended_once"),
        CheckConstraint("(invoice_id IS NULL) = (invoice_cents IS NULL)", name="invoice_is_whole"),
        CheckConstraint("invoice_id IS NOT NULL OR invoice_secret IS NULL", name="secret_is_of_an_invoice"),
        CheckConstraint("invoice_cents > 0", name="invoice_positive"),
    )

    id: UUID = Field(primary_key=True)
    student_id: int = Field(sa_type=BigInteger, foreign_key="student.id")
    stripe_subscription_id: str = Field(max_length=255)
    stripe_customer_id: str = Field(max_length=255)
    plan_version_id: int | None = Field(default=None, foreign_key="pricing_plan_version.id")
    status: SubscriptionStatus = Field(sa_type=values_of(SubscriptionStatus))
    period_start: datetime = Field(sa_type=Instant)
    period_end: datetime = Field(sa_type=Instant)
    cancel_at_period_end: bool = Field(default=False)
    cancel_requested_at: datetime | None = Field(default=None, sa_type=Instant)
    is_paused: bool = Field(default=False)
    invoice_id: str | None = Field(default=None, max_length=255)
    invoice_cents: int | None = Field(default=None)
    invoice_attempts: int = Field(default=0)
    next_attempt_at: datetime | None = Field(default=None, sa_type=Instant)
    invoice_secret: bytes | None = Field(default=None)
    began_at: datetime = Field(sa_type=Instant)
    ended_at: datetime | None = Field(default=None, sa_type=Instant)
