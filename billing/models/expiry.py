"""Each run that wrote off expired hours."""

from datetime import datetime
from typing import ClassVar
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, Identity, Index, text
from sqlmodel import Field

from billing.models.columns import Instant, OpenWork, open_work_constraints, values_of
from billing.states import SweepState, SweepTrigger


class SweepRun(OpenWork, table=True):
    """A sweep of every lot that expired at `cutoff` or before; open while there may be some left.

    `student_id` is whose lots alone are swept, None for everybody's. The counts grow with each chunk.
    """

    __tablename__ = "sweep_run"
    __table_args__ = (
        CheckConstraint("grace_hours >= 0", name="grace_not_negative"),
        CheckConstraint("chunks >= 0 AND students >= 0 AND lots >= 0 AND minutes >= 0", name="counts_not_negative"),
        CheckConstraint("(state = 'running') = (finished_at IS NULL)", name="finished_once"),
        CheckConstraint("(state = 'undone') = (undone_at IS NOT NULL)", name="undone_once"),
        CheckConstraint("state = 'running' OR due_at IS NULL", name="finished_is_closed"),
        Index("ix_sweep_run_started", "started_at"),
        *open_work_constraints("sweep_run"),
    )
    kind: ClassVar[str] = "sweep_run"

    id: int | None = Field(default=None, primary_key=True, sa_type=BigInteger, sa_column_args=[Identity()])
    trigger: SweepTrigger = Field(sa_type=values_of(SweepTrigger))
    cutoff: datetime = Field(sa_type=Instant)
    grace_hours: int
    student_id: int | None = Field(default=None, sa_type=BigInteger, foreign_key="student.id")
    is_told: bool = Field(default=False, sa_column_kwargs={"server_default": text("false")})
    """Whether the students are told by mail what they lost."""
    act_id: UUID | None = Field(default=None, foreign_key="staff_act.id")
    state: SweepState = Field(sa_type=values_of(SweepState))
    chunks: int = Field(default=0, sa_column_kwargs={"server_default": text("0")})
    students: int = Field(default=0, sa_column_kwargs={"server_default": text("0")})
    lots: int = Field(default=0, sa_column_kwargs={"server_default": text("0")})
    minutes: int = Field(default=0, sa_type=BigInteger, sa_column_kwargs={"server_default": text("0")})
    started_at: datetime = Field(sa_type=Instant)
    finished_at: datetime | None = Field(default=None, sa_type=Instant)
    undone_at: datetime | None = Field(default=None, sa_type=Instant)
