"""Students, and the wishes of accounts to have what guests bought for their address."""

from datetime import datetime
from typing import ClassVar
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, Identity, Index, UniqueConstraint, text
from sqlmodel import Field, SQLModel

from billing.models.columns import Instant, OpenWork, open_work_constraints


class Student(SQLModel, table=True):
    """Whose hours they are: known to the platform by `external_id`, or a guest known by an address."""

    __table_args__ = (
        UniqueConstraint("external_id"),
        Index("uq_student_guest_email", "email", unique=True, postgresql_where=text("external_id IS NULL")),
        Index("uq_student_verified_email", "email", unique=True, postgresql_where=text("email_verified")),
        CheckConstraint("email = lower(btrim(email))", name="email_normalised"),
        CheckConstraint("external_id IS NOT NULL OR NOT email_verified", name="guests_are_unverified"),
    )

    id: int | None = Field(default=None, primary_key=True, sa_type=BigInteger, sa_column_args=[Identity()])
    external_id: str | None = Field(default=None, max_length=255)
    email: str = Field(max_length=254)
    email_verified: bool = Field(default=False)
    name: str = Field(max_length=150)
    is_warned: bool = Field(default=True, sa_column_kwargs={"server_default": text("true")})
    """Whether mail about hours that expire or run out is wanted."""
    created_at: datetime = Field(sa_type=Instant)


class StudentLink(OpenWork, table=True):
    """An account that proved an address gets what guests bought for it; open while a worker has to see to it."""

    __tablename__ = "student_link"
    __table_args__ = (UniqueConstraint("external_id", "email"), *open_work_constraints("student_link"))
    kind: ClassVar[str] = "student_link"

    id: UUID = Field(primary_key=True)
    external_id: str = Field(max_length=255)
    email: str = Field(max_length=254)
    name: str = Field(max_length=150)
    request_id: str = Field(max_length=64)
    requested_at: datetime = Field(sa_type=Instant)
