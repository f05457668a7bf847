"""Students as customers of Stripe, and the cards that they saved there."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, Index, UniqueConstraint, text
from sqlmodel import Field, SQLModel

from billing.models.columns import Instant


class StripeCustomer(SQLModel, table=True):
    """The one customer that a student is at Stripe; the row is there before Stripe is asked to make it.

    `id` is what its mark names. A customer that was deleted there is made anew, with the next `attempt`.
    """

    __tablename__ = "stripe_customer"
    __table_args__ = (
        UniqueConstraint("id"),
        UniqueConstraint("stripe_customer_id"),
        CheckConstraint("attempt > 0", name="attempt_counts"),
        CheckConstraint("(stripe_customer_id IS NULL) = (made_at IS NULL)", name="made_once"),
    )

    student_id: int = Field(sa_type=BigInteger, foreign_key="student.id", primary_key=True)
    id: UUID
    attempt: int = Field(default=1)
    stripe_customer_id: str | None = Field(default=None, max_length=255)
    prepared_at: datetime = Field(sa_type=Instant)
    made_at: datetime | None = Field(default=None, sa_type=Instant)


class PaymentMethod(SQLModel, table=True):
    """A saved card as Stripe said it is when it was asked last. Of its number there are four digits."""

    __tablename__ = "payment_method"
    __table_args__ = (
        UniqueConstraint("stripe_payment_method_id"),
        Index("ix_payment_method_student", "student_id", "attached_at", postgresql_where=text("detached_at IS NULL")),
        Index("uq_payment_method_default", "student_id", unique=True, postgresql_where=text("is_default")),
        CheckConstraint("last4 ~ '^[0-9]{4}$'", name="four_digits"),
        CheckConstraint("exp_month BETWEEN 1 AND 12", name="expiry_month"),
        CheckConstraint("exp_year BETWEEN 2000 AND 2200", name="expiry_year"),
        CheckConstraint("NOT is_default OR detached_at IS NULL", name="default_is_attached"),
    )

    id: UUID = Field(primary_key=True)
    stripe_payment_method_id: str = Field(max_length=255)
    student_id: int = Field(sa_type=BigInteger, foreign_key="student.id")
    brand: str = Field(max_length=40)
    last4: str = Field(max_length=4)
    exp_month: int
    exp_year: int
    is_default: bool = Field(default=False)
    attached_at: datetime = Field(sa_type=Instant)
    detached_at: datetime | None = Field(default=None, sa_type=Instant)
