"""What was compared with Stripe, up to where, and every difference that was found."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, Identity, Index, UniqueConstraint, text
from sqlmodel import Field, SQLModel

from billing.models.columns import Instant, values_of
from billing.states import CaseState, FindingKind, ReconciliationScope


class Cursor(SQLModel, table=True):
    """How far something was read. It only goes forward."""

    name: str = Field(primary_key=True, max_length=50)
    at: datetime = Field(sa_type=Instant)


class ReconciliationRun(SQLModel, table=True):
    """One reading of Stripe's side: what it saw, what of it was news, and how it ended."""

    __tablename__ = "reconciliation_run"
    __table_args__ = (
        Index("ix_reconciliation_run_started", "scope", "started_at"),
        CheckConstraint("seen >= 0 AND recorded >= 0 AND found >= 0 AND recorded <= seen", name="counts_not_negative"),
        CheckConstraint("until >= since", name="window_has_length"),
    )

    id: int | None = Field(default=None, primary_key=True, sa_type=BigInteger, sa_column_args=[Identity()])
    scope: ReconciliationScope = Field(sa_type=values_of(ReconciliationScope))
    since: datetime = Field(sa_type=Instant)
    until: datetime = Field(sa_type=Instant)
    seen: int = Field(default=0)
    recorded: int = Field(default=0)
    found: int = Field(default=0)
    error: str | None = Field(default=None, max_length=500)
    started_at: datetime = Field(sa_type=Instant)
    finished_at: datetime | None = Field(default=None, sa_type=Instant)


class Finding(SQLModel, table=True):
    """A difference between Stripe and us: open until somebody closes it with a note. The same one is one row."""

    __table_args__ = (
        UniqueConstraint("kind", "source"),
        Index("ix_finding_open", "opened_at", postgresql_where=text("state = 'open'")),
        CheckConstraint("(state = 'closed') = (closed_at IS NOT NULL)", name="closed_once"),
        CheckConstraint("(state = 'closed') = (closed_by IS NOT NULL)", name="closed_by_somebody"),
        CheckConstraint("(state = 'closed') = (note IS NOT NULL)", name="closed_with_a_note"),
        CheckConstraint("seen_at >= opened_at", name="seen_after_opened"),
    )

    id: UUID = Field(primary_key=True)
    kind: FindingKind = Field(sa_type=values_of(FindingKind))
    source: str = Field(max_length=255)
    """The object at Stripe, or of ours, that differs."""
    purchase_id: UUID | None = Field(default=None, foreign_key="purchase.id")
    detail: str = Field(max_length=1000)
    ours_cents: int | None = Field(default=None)
    theirs_cents: int | None = Field(default=None)
    owner: str | None = Field(default=None, max_length=255)
    state: CaseState = Field(sa_type=values_of(CaseState))
    opened_at: datetime = Field(sa_type=Instant)
    seen_at: datetime = Field(sa_type=Instant)
    """When it was found last."""
    closed_at: datetime | None = Field(default=None, sa_type=Instant)
    closed_by: str | None = Field(default=None, max_length=255)
    note: str | None = Field(default=None, max_length=500)
