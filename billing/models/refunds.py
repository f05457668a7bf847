"""Money that goes back: refunds, disputes, and what Stripe has to be asked about anew."""

from datetime import datetime
from typing import ClassVar
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, Identity, Index, UniqueConstraint, text
from sqlmodel import Field, SQLModel

from billing.models.columns import Instant, OpenWork, open_work_constraints, values_of
from billing.states import DisputeState, RefundOrigin, RefundState, StaleKind


class Refund(OpenWork, table=True):
    """`id` is the staff act that asked for it, or a new one for a refund that was made elsewhere.

    `minutes` are those held for it, or taken by it; `minutes_short` were used already, and are owed since.
    """

    __table_args__ = (
        UniqueConstraint("stripe_refund_id"),
        Index("ix_refund_purchase", "purchase_id", "created_at"),
        CheckConstraint("amount_cents > 0", name="amount_positive"),
        CheckConstraint("minutes >= 0 AND minutes_short >= 0", name="minutes_not_negative"),
        CheckConstraint("currency ~ '^[a-z]{3}$'", name="currency_code"),
        CheckConstraint("origin = 'staff' OR stripe_refund_id IS NOT NULL", name="external_is_at_stripe"),
        CheckConstraint("state <> 'succeeded' OR stripe_refund_id IS NOT NULL", name="succeeded_at_stripe"),
        CheckConstraint("(state IN ('held', 'sent')) = (decided_at IS NULL)", name="decided_once"),
        CheckConstraint("state IN ('held', 'sent') OR due_at IS NULL", name="decided_is_closed"),
        CheckConstraint("state <> 'held' OR due_at IS NOT NULL OR gave_up_at IS NOT NULL", name="held_is_open"),
        *open_work_constraints("refund"),
    )
    kind: ClassVar[str] = "refund"

    id: UUID = Field(primary_key=True)
    purchase_id: UUID = Field(foreign_key="purchase.id")
    origin: RefundOrigin = Field(sa_type=values_of(RefundOrigin))
    amount_cents: int
    currency: str = Field(max_length=3)
    minutes: int
    minutes_short: int = Field(default=0, sa_column_kwargs={"server_default": text("0")})
    state: RefundState = Field(sa_type=values_of(RefundState))
    stripe_refund_id: str | None = Field(default=None, max_length=255)
    error_type: str | None = Field(default=None, max_length=40)
    error_message: str | None = Field(default=None, max_length=500)
    request_id: str = Field(max_length=64)
    created_at: datetime = Field(sa_type=Instant)
    decided_at: datetime | None = Field(default=None, sa_type=Instant)


class Dispute(SQLModel, table=True):
    """A dispute as Stripe said it is when it was asked last; `status` is Stripe's own word.

    `minutes_frozen` are those of the purchase's lot that nobody can spend while it is open. One that was lost took
    `lost_cents` and `minutes_lost`; `minutes_short` were not there any more, and are owed since.
    """

    __table_args__ = (
        UniqueConstraint("stripe_dispute_id"),
        Index("ix_dispute_purchase", "purchase_id"),
        Index("ix_dispute_due", "evidence_due_at", postgresql_where=text("state IN ('inquiry', 'open')")),
        CheckConstraint("amount_cents > 0", name="amount_positive"),
        CheckConstraint(
            "minutes_frozen >= 0 AND minutes_lost >= 0 AND minutes_short >= 0", name="minutes_not_negative"
        ),
        CheckConstraint("lost_cents BETWEEN 0 AND amount_cents", name="loss_within_amount"),
        CheckConstraint("minutes_frozen = 0 OR frozen_at IS NOT NULL", name="frozen_since"),
        CheckConstraint("(state IN ('inquiry', 'open')) = (decided_at IS NULL)", name="decided_once"),
    )

    id: UUID = Field(primary_key=True)
    stripe_dispute_id: str = Field(max_length=255)
    purchase_id: UUID = Field(foreign_key="purchase.id")
    amount_cents: int
    currency: str = Field(max_length=3)
    reason: str = Field(max_length=60)
    status: str = Field(max_length=40)
    state: DisputeState = Field(sa_type=values_of(DisputeState))
    withdrawn_cents: int = Field(default=0, sa_column_kwargs={"server_default": text("0")})
    """What the bank has taken and not given back, without fees."""
    lost_cents: int = Field(default=0, sa_column_kwargs={"server_default": text("0")})
    """What it took of the purchase's price, once it was lost."""
    minutes_frozen: int = Field(default=0, sa_column_kwargs={"server_default": text("0")})
    minutes_lost: int = Field(default=0, sa_column_kwargs={"server_default": text("0")})
    minutes_short: int = Field(default=0, sa_column_kwargs={"server_default": text("0")})
    frozen_at: datetime | None = Field(default=None, sa_type=Instant)
    evidence_due_at: datetime | None = Field(default=None, sa_type=Instant)
    opened_at: datetime = Field(sa_type=Instant)
    decided_at: datetime | None = Field(default=None, sa_type=Instant)


class StaleMark(OpenWork, table=True):
    """An object whose order of events matters: they only mark it, and one worker asks Stripe what is true.

    `marks` counts the events. A worker that finds more of them than it began with asks once more.
    """

    __tablename__ = "stale_mark"
    __table_args__ = (
        UniqueConstraint("subject", "object_id"),
        CheckConstraint("marks > 0", name="marks_count"),
        Index("ix_stale_mark_purchase", "purchase_id", postgresql_where=text("due_at IS NOT NULL")),
        *open_work_constraints("stale_mark"),
    )
    kind: ClassVar[str] = "stale_mark"

    id: int | None = Field(default=None, primary_key=True, sa_type=BigInteger, sa_column_args=[Identity()])
    subject: StaleKind = Field(sa_type=values_of(StaleKind))
    object_id: str = Field(max_length=255)
    purchase_id: UUID | None = Field(default=None, foreign_key="purchase.id")
    marks: int = Field(default=1)
    request_id: str = Field(max_length=64)
    marked_at: datetime = Field(sa_type=Instant)
