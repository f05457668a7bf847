"""Lessons that are paid with hours: what each took or holds, and everything that was asked about it."""

from datetime import datetime
from typing import ClassVar
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, Index, text
from sqlmodel import Field, SQLModel

from billing.models.columns import Instant, OpenWork, open_work_constraints, values_of
from billing.states import ActState, ConsumptionActKind, ConsumptionMode, ConsumptionState

IS_REMEMBERED = text("state <> 'refused'")
"""What was refused is not remembered: the same may be asked again."""


class Consumption(SQLModel, table=True):
    """The hours of one student for one session. Those booked together share `group_id`; one alone is its own group.

    Which lots they came from is in the allocations of its ledger entries.
    """

    __table_args__ = (
        Index("uq_consumption_session", "student_id", "session_id", unique=True, postgresql_where=IS_REMEMBERED),
        Index("ix_consumption_group", "group_id"),
        Index("ix_consumption_requested", "requested_at", "id"),
        Index("ix_consumption_student", "student_id", "requested_at"),
        Index("ix_consumption_session_id", "session_id"),
        Index("ix_consumption_lapse", "ends_at", "id", postgresql_where=text("state = 'held'")),
        CheckConstraint("minutes > 0", name="minutes_positive"),
        CheckConstraint(
            "minutes_held >= 0 AND minutes_consumed >= 0 AND minutes_returned >= 0", name="minutes_not_negative"
        ),
        CheckConstraint("(state = 'held') = (minutes_held > 0)", name="held_holds"),
        CheckConstraint("(state = 'consumed') = (minutes_consumed > 0)", name="consumed_takes"),
        CheckConstraint("(mode = 'hold') = (ends_at IS NOT NULL)", name="holds_end"),
        CheckConstraint("(state = 'refused') = (error_type IS NOT NULL)", name="refusal_says_why"),
        CheckConstraint("(state = 'requested') = (decided_at IS NULL)", name="decided_once"),
    )

    id: UUID = Field(primary_key=True)
    group_id: UUID
    student_id: int = Field(sa_type=BigInteger, foreign_key="student.id")
    session_id: str = Field(max_length=200)
    mode: ConsumptionMode = Field(sa_type=values_of(ConsumptionMode))
    minutes: int
    ends_at: datetime | None = Field(default=None, sa_type=Instant)
    state: ConsumptionState = Field(sa_type=values_of(ConsumptionState))
    minutes_held: int = Field(default=0, sa_column_kwargs={"server_default": text("0")})
    minutes_consumed: int = Field(default=0, sa_column_kwargs={"server_default": text("0")})
    minutes_returned: int = Field(default=0, sa_column_kwargs={"server_default": text("0")})
    error_type: str | None = Field(default=None, max_length=40)
    caller_sub: str = Field(max_length=255)
    requested_at: datetime = Field(sa_type=Instant)
    decided_at: datetime | None = Field(default=None, sa_type=Instant)


class ConsumptionAct(OpenWork, table=True):
    """Something the platform asked to be done with a group of consumptions, or with one of them.

    `minutes` is None where the whole is meant. What is asked again under the same key is the same act.
    """

    __tablename__ = "consumption_act"
    __table_args__ = (
        Index("uq_consumption_act_key", "scope", "idempotency_key", unique=True, postgresql_where=IS_REMEMBERED),
        Index("ix_consumption_act_group", "group_id", "requested_at"),
        CheckConstraint("minutes > 0", name="minutes_positive"),
        CheckConstraint("(idempotency_key IS NULL) = (body_hash IS NULL)", name="key_has_body"),
        CheckConstraint("(state = 'requested') = (decided_at IS NULL)", name="decided_once"),
        CheckConstraint("(state = 'refused') = (error_type IS NOT NULL)", name="refusal_says_why"),
        CheckConstraint("state = 'requested' OR due_at IS NULL", name="decided_is_closed"),
        CheckConstraint(
            "state <> 'requested' OR due_at IS NOT NULL OR gave_up_at IS NOT NULL", name="requested_is_open"
        ),
        CheckConstraint("act = 'refund' OR reason IS NULL", name="refunds_have_reasons"),
        *open_work_constraints("consumption_act"),
    )
    kind: ClassVar[str] = "consumption_act"

    id: UUID = Field(primary_key=True)
    act: ConsumptionActKind = Field(sa_type=values_of(ConsumptionActKind))
    group_id: UUID
    consumption_id: UUID | None = Field(default=None, foreign_key="consumption.id")
    minutes: int | None = Field(default=None)
    reason: str | None = Field(default=None, max_length=500)
    scope: str = Field(max_length=300)
    idempotency_key: str | None = Field(default=None, max_length=255)
    body_hash: bytes | None = Field(default=None)
    request_id: str = Field(max_length=64)
    state: ActState = Field(sa_type=values_of(ActState))
    error_type: str | None = Field(default=None, max_length=40)
    requested_at: datetime = Field(sa_type=Instant)
    decided_at: datetime | None = Field(default=None, sa_type=Instant)
