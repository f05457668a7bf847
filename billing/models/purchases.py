"""Who buys, what they bought, and every call that was made to Stripe for it."""

from datetime import datetime
from typing import Any, ClassVar
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, Identity, Index, SmallInteger, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel

from billing.models.columns import Instant, OpenWork, by_time, listed, open_work_constraints, values_of
from billing.states import SETTLED, CallState, PlanType, PurchaseChannel, PurchaseState, Step


class Purchase(OpenWork, table=True):
    """One purchase with the plan's facts frozen onto it. `id` is the task a buyer follows; `transaction_id` counts."""

    __table_args__ = (
        UniqueConstraint("transaction_id"),
        UniqueConstraint("scope", "idempotency_key"),
        UniqueConstraint("payment_intent_id"),
        UniqueConstraint("stripe_invoice_id"),
        Index("ix_purchase_student", "student_id", "transaction_id", postgresql_include=["caller_sub", "paid_at"]),
        Index("ix_purchase_caller", "caller_sub", "transaction_id", postgresql_where=text("caller_sub IS NOT NULL")),
        by_time("ix_purchase_accepted", "accepted_at"),
        Index("ix_purchase_unpaid", "accepted_at", postgresql_where=text("state IN ('pending', 'failed')")),
        CheckConstraint("(idempotency_key IS NULL) = (body_hash IS NULL)", name="key_has_body"),
        CheckConstraint("price_cents > 0", name="price_positive"),
        CheckConstraint("minutes > 0", name="minutes_positive"),
        CheckConstraint("currency ~ '^[a-z]{3}$'", name="currency_code"),
        CheckConstraint(
            "refunded_cents >= 0 AND refunding_cents >= 0 AND refunded_cents + refunding_cents <= price_cents",
            name="refunds_within_price",
        ),
        CheckConstraint(
            "state NOT IN ('completed', 'refunded') OR "
            "(paid_at IS NOT NULL AND student_id IS NOT NULL"
            " AND coalesce(payment_intent_id, stripe_invoice_id) IS NOT NULL)",
            name="completed_is_paid",
        ),
        CheckConstraint("(channel = 'topup') = (payment_method_id IS NOT NULL)", name="topups_have_a_card"),
        CheckConstraint("channel <> 'topup' OR plan_type = 'package'", name="topups_are_packages"),
        CheckConstraint(
            "channel <> 'renewal' OR (subscription_id IS NOT NULL AND stripe_invoice_id IS NOT NULL)",
            name="renewals_have_an_invoice",
        ),
        CheckConstraint("subscription_id IS NULL OR plan_type = 'subscription'", name="subscribed_by_its_plan"),
        Index(
            "uq_purchase_first_of_subscription",
            "subscription_id",
            unique=True,
            postgresql_where=text("channel = 'checkout'"),
        ),
        Index("ix_purchase_subscription", "subscription_id", postgresql_where=text("subscription_id IS NOT NULL")),
        CheckConstraint("paid_at >= accepted_at", name="paid_after_accepted"),
        CheckConstraint("state NOT IN ('pending', 'processing') OR payment_intent_id IS NOT NULL", name="has_intent"),
        CheckConstraint(f"state NOT IN ({listed(SETTLED)}) OR client_secret IS NULL", name="settled_has_no_secret"),
        CheckConstraint("state <> 'queued' OR due_at IS NOT NULL", name="queued_is_open"),
        *open_work_constraints("purchase"),
    )
    kind: ClassVar[str] = "purchase"

    id: UUID = Field(primary_key=True)
    transaction_id: int | None = Field(default=None, sa_type=BigInteger, nullable=False, sa_column_args=[Identity()])
    channel: PurchaseChannel = Field(
        default=PurchaseChannel.CHECKOUT,
        sa_type=values_of(PurchaseChannel),
        sa_column_kwargs={"server_default": text("'checkout'")},
    )
    scope: str = Field(max_length=300)
    idempotency_key: str | None = Field(default=None, max_length=255)
    body_hash: bytes | None = Field(default=None)
    request_id: str = Field(max_length=64)

    caller_sub: str | None = Field(default=None, max_length=255)
    caller_email: str | None = Field(default=None, max_length=254)
    caller_email_verified: bool = Field(default=False)
    buyer_name: str = Field(max_length=150)
    buyer_email: str = Field(max_length=254)
    student_id: int | None = Field(default=None, sa_type=BigInteger, foreign_key="student.id")

    plan_version_id: int = Field(foreign_key="pricing_plan_version.id")
    plan_type: PlanType = Field(sa_type=values_of(PlanType))
    price_cents: int
    currency: str = Field(max_length=3)
    minutes: int
    validity_days: int | None = Field(default=None)

    state: PurchaseState = Field(sa_type=values_of(PurchaseState))
    error_type: str | None = Field(default=None, max_length=40)
    error_message: str | None = Field(default=None, max_length=500)
    payment_intent_id: str | None = Field(default=None, max_length=255)
    client_secret: bytes | None = Field(default=None)
    payment_method_id: str | None = Field(default=None, max_length=255)
    """The saved card of a top-up, by Stripe's id."""
    subscription_id: UUID | None = Field(default=None, foreign_key="subscription.id")
    """What this purchase began, or paid another period of."""
    stripe_invoice_id: str | None = Field(default=None, max_length=255)
    refunded_cents: int = Field(default=0, sa_column_kwargs={"server_default": text("0")})
    """What went back by refunds and lost disputes."""
    refunding_cents: int = Field(default=0, sa_column_kwargs={"server_default": text("0")})
    """What refunds that are not decided yet would give back."""

    accepted_at: datetime = Field(sa_type=Instant)
    give_up_at: datetime = Field(sa_type=Instant)
    abandoned_at: datetime | None = Field(default=None, sa_type=Instant)
    """When nobody had paid it for so long that its intent is to be cancelled: then it ends as `expired`."""
    cancel_requested_at: datetime | None = Field(default=None, sa_type=Instant)
    paid_at: datetime | None = Field(default=None, sa_type=Instant)


class PaymentWatch(OpenWork, table=True):
    """A payment that was prepared: asked about when nothing is heard of it. `id` is its purchase, `asks` how often.

    A row of its own, so that the open work of a purchase stays what has to be done for it now.
    """

    __tablename__ = "payment_watch"
    __table_args__ = (
        CheckConstraint("asks >= 0", name="asks_count"),
        *open_work_constraints("payment_watch"),
    )
    kind: ClassVar[str] = "payment_watch"

    id: UUID = Field(primary_key=True, foreign_key="purchase.id")
    asks: int = Field(default=0, sa_type=SmallInteger)
    request_id: str = Field(max_length=64)
    began_at: datetime = Field(sa_type=Instant)


class PurchaseTransition(SQLModel, table=True):
    """A step of a purchase's timeline, with the state it left behind and what caused it."""

    __tablename__ = "purchase_transition"
    __table_args__ = (
        Index("ix_purchase_transition_purchase", "purchase_id", "id"),
        Index("ix_purchase_transition_cause", "cause"),
        Index("ix_purchase_transition_failed", "at", postgresql_where=text("step = 'payment_failed'")),
    )

    id: int | None = Field(default=None, primary_key=True, sa_type=BigInteger, sa_column_args=[Identity()])
    purchase_id: UUID = Field(foreign_key="purchase.id")
    step: Step = Field(sa_type=values_of(Step))
    state: PurchaseState = Field(sa_type=values_of(PurchaseState))
    cause: str = Field(max_length=255)
    at: datetime = Field(sa_type=Instant)


OF_ITS_SUBJECT = text("coalesce(refund_id, purchase_id)")


class StripeCall(SQLModel, table=True):
    """A call that may change something at Stripe, written before it is made: for a refund, or else for a purchase.

    A resend uses these parameters and this version, whatever the code has become since.
    """

    __tablename__ = "stripe_call"
    __table_args__ = (
        UniqueConstraint("idempotency_key"),
        Index("uq_stripe_call_attempt", OF_ITS_SUBJECT, "operation", "attempt", unique=True),
        Index("uq_stripe_call_open", OF_ITS_SUBJECT, "operation", unique=True, postgresql_where=text("state = 'open'")),
        CheckConstraint("attempt > 0", name="attempt_counts"),
        CheckConstraint("state <> 'answered' OR object_id IS NOT NULL", name="answer_names_object"),
    )

    id: UUID = Field(primary_key=True)
    operation: str = Field(max_length=40)
    purchase_id: UUID = Field(foreign_key="purchase.id")
    refund_id: UUID | None = Field(default=None, foreign_key="refund.id")
    attempt: int
    idempotency_key: str = Field(max_length=255)
    parameters: dict[str, Any] = Field(sa_type=JSONB)
    api_version: str = Field(max_length=40)
    state: CallState = Field(sa_type=values_of(CallState))
    sends: int = Field(default=0)
    looks: int = Field(default=0)
    object_id: str | None = Field(default=None, max_length=255)
    error_type: str | None = Field(default=None, max_length=40)
    prepared_at: datetime = Field(sa_type=Instant)
    answered_at: datetime | None = Field(default=None, sa_type=Instant)


class StaffCase(SQLModel, table=True):
    """Something a person has to look at: the same finding opens one case."""

    __tablename__ = "staff_case"
    __table_args__ = (
        UniqueConstraint("reason", "source"),
        CheckConstraint("state IN ('open', 'closed')", name="known_state"),
        CheckConstraint("(state = 'closed') = (closed_at IS NOT NULL)", name="closed_once"),
        CheckConstraint("(state = 'closed') = (closed_by IS NOT NULL)", name="closed_by_somebody"),
        CheckConstraint("(state = 'closed') = (note IS NOT NULL)", name="closed_with_a_note"),
    )

    id: int | None = Field(default=None, primary_key=True, sa_type=BigInteger, sa_column_args=[Identity()])
    reason: str = Field(max_length=40)
    source: str = Field(max_length=255)
    purchase_id: UUID | None = Field(default=None, foreign_key="purchase.id")
    detail: str = Field(max_length=1000)
    state: str = Field(default="open", max_length=20)
    opened_at: datetime = Field(sa_type=Instant)
    closed_at: datetime | None = Field(default=None, sa_type=Instant)
    closed_by: str | None = Field(default=None, max_length=255)
    note: str | None = Field(default=None, max_length=500)
