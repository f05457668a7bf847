"""What students are told, each fact once."""

from datetime import datetime
from typing import Any, ClassVar
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, Index, UniqueConstraint
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field

from billing.models.columns import Instant, OpenWork, open_work_constraints, values_of
from billing.states import NotificationKind, NotificationState


class Notification(OpenWork, table=True):
    """`subject` is the fact (`lot:5:until:…`), told to a student once ever; `facts` are the figures it is told with."""

    __table_args__ = (
        UniqueConstraint("topic", "subject", "student_id"),
        Index("ix_notification_student", "student_id", "created_at"),
        CheckConstraint("(state = 'waiting') = (decided_at IS NULL)", name="decided_once"),
        CheckConstraint("state = 'waiting' OR due_at IS NULL", name="decided_is_closed"),
        CheckConstraint("state <> 'waiting' OR due_at IS NOT NULL OR gave_up_at IS NOT NULL", name="waiting_is_open"),
        *open_work_constraints("notification"),
    )
    kind: ClassVar[str] = "notification"

    id: UUID = Field(primary_key=True)
    topic: NotificationKind = Field(sa_type=values_of(NotificationKind))
    subject: str = Field(max_length=255)
    student_id: int = Field(sa_type=BigInteger, foreign_key="student.id")
    facts: dict[str, Any] = Field(sa_type=JSONB)
    state: NotificationState = Field(sa_type=values_of(NotificationState))
    created_at: datetime = Field(sa_type=Instant)
    decided_at: datetime | None = Field(default=None, sa_type=Instant)
