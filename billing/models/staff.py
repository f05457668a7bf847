"""What staff did and why: the wish is the audit row, a worker does it and writes down what it changed."""

from datetime import datetime
from typing import Any, ClassVar
from uuid import UUID

from sqlalchemy import CheckConstraint, Index, String, text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlmodel import Field, SQLModel

from billing.models.columns import Instant, OpenWork, open_work_constraints, values_of
from billing.states import ActState, StaffAction


class StaffAct(OpenWork, table=True):
    """`target` names what it is about (`purchase:12`, `student:5`); `before` and `after` are what it changed there."""

    __tablename__ = "staff_act"
    __table_args__ = (
        Index("uq_staff_act_key", "actor", "idempotency_key", unique=True, postgresql_where=text("state <> 'refused'")),
        Index("ix_staff_act_target", "target", "requested_at"),
        Index("ix_staff_act_requested", "requested_at", "id"),
        CheckConstraint("reason = btrim(reason) AND reason <> ''", name="has_reason"),
        CheckConstraint("(idempotency_key IS NULL) = (body_hash IS NULL)", name="key_has_body"),
        CheckConstraint("(state = 'requested') = (decided_at IS NULL)", name="decided_once"),
        CheckConstraint("(state = 'refused') = (error_type IS NOT NULL)", name="refusal_says_why"),
        CheckConstraint("state = 'requested' OR due_at IS NULL", name="decided_is_closed"),
        CheckConstraint(
            "state <> 'requested' OR due_at IS NOT NULL OR gave_up_at IS NOT NULL", name="requested_is_open"
        ),
        *open_work_constraints("staff_act"),
    )
    kind: ClassVar[str] = "staff_act"

    id: UUID = Field(primary_key=True)
    action: StaffAction = Field(sa_type=values_of(StaffAction))
    target: str = Field(max_length=255)
    parameters: dict[str, Any] = Field(sa_type=JSONB)
    reason: str = Field(max_length=500)
    actor: str = Field(max_length=255)
    address: str | None = Field(default=None, max_length=64)
    idempotency_key: str | None = Field(default=None, max_length=255)
    body_hash: bytes | None = Field(default=None)
    request_id: str = Field(max_length=64)
    state: ActState = Field(sa_type=values_of(ActState))
    error_type: str | None = Field(default=None, max_length=40)
    error_message: str | None = Field(default=None, max_length=500)
    before: dict[str, Any] | None = Field(default=None, sa_type=JSONB(none_as_null=True))
    after: dict[str, Any] | None = Field(default=None, sa_type=JSONB(none_as_null=True))
    requested_at: datetime = Field(sa_type=Instant)
    decided_at: datetime | None = Field(default=None, sa_type=Instant)


class StaffSignIn(SQLModel, table=True):
    """A session of the admin: who signed in, as what, and until when. A cookie only names it."""

    __tablename__ = "staff_sign_in"
    __table_args__ = (
        Index("ix_staff_sign_in_until", "until"),
        CheckConstraint("until > signed_in_at", name="has_length"),
        CheckConstraint("signed_out_at >= signed_in_at", name="ends_after_it_began"),
    )

    id: UUID = Field(primary_key=True)
    sub: str = Field(max_length=255)
    name: str = Field(max_length=150)
    roles: list[str] = Field(sa_type=ARRAY(String(20)))
    signed_in_at: datetime = Field(sa_type=Instant)
    until: datetime = Field(sa_type=Instant)
    signed_out_at: datetime | None = Field(default=None, sa_type=Instant)
