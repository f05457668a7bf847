"""What the owner of an account asks to be done with cards and with a subscription."""

from datetime import datetime
from typing import Any, ClassVar
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, Identity, Index, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field

from billing.models.columns import Instant, OpenWork, open_work_constraints, values_of
from billing.states import AccountAction, ActState


class AccountAct(OpenWork, table=True):
    """A wish as it was accepted, and what became of it. `serial` is the order in which those of a caller are worked.

    `result` is what is shown of its outcome once it is done, and before that what is being called; `client_secret` is
    sealed, and erased once it has nothing left to do.
    """

    __tablename__ = "account_act"
    __table_args__ = (
        UniqueConstraint("serial"),
        Index(
            "uq_account_act_key",
            "caller_sub",
            "idempotency_key",
            unique=True,
            postgresql_where=text("state <> 'refused'"),
        ),
        Index("ix_account_act_waiting", "caller_sub", "serial", postgresql_where=text("due_at IS NOT NULL")),
        CheckConstraint("(idempotency_key IS NULL) = (body_hash IS NULL)", name="key_has_body"),
        CheckConstraint("(state = 'requested') = (decided_at IS NULL)", name="decided_once"),
        CheckConstraint("(state = 'refused') = (error_type IS NOT NULL)", name="refusal_says_why"),
        CheckConstraint("state = 'requested' OR due_at IS NULL", name="decided_is_closed"),
        CheckConstraint(
            "state <> 'requested' OR due_at IS NOT NULL OR gave_up_at IS NOT NULL", name="requested_is_open"
        ),
        *open_work_constraints("account_act"),
    )
    kind: ClassVar[str] = "account_act"

    id: UUID = Field(primary_key=True)
    serial: int | None = Field(default=None, sa_type=BigInteger, nullable=False, sa_column_args=[Identity()])
    action: AccountAction = Field(sa_type=values_of(AccountAction))
    parameters: dict[str, Any] = Field(sa_type=JSONB)
    caller_sub: str = Field(max_length=255)
    caller_email: str | None = Field(default=None, max_length=254)
    caller_email_verified: bool = Field(default=False)
    caller_name: str | None = Field(default=None, max_length=150)
    student_id: int | None = Field(default=None, sa_type=BigInteger, foreign_key="student.id")
    idempotency_key: str | None = Field(default=None, max_length=255)
    body_hash: bytes | None = Field(default=None)
    request_id: str = Field(max_length=64)
    state: ActState = Field(sa_type=values_of(ActState))
    error_type: str | None = Field(default=None, max_length=40)
    error_message: str | None = Field(default=None, max_length=500)
    result: dict[str, Any] | None = Field(default=None, sa_type=JSONB(none_as_null=True))
    client_secret: bytes | None = Field(default=None)
    requested_at: datetime = Field(sa_type=Instant)
    decided_at: datetime | None = Field(default=None, sa_type=Instant)
