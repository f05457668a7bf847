"""Hours: lots that hold them, entries that move them, balances that are checked sums of both.

In each table: granted = left + consumed + expired + refunded + frozen + held. Everything is in minutes.
"""

from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, Identity, Index, SmallInteger, UniqueConstraint, text
from sqlmodel import Field, SQLModel

from billing.models.columns import Instant, by_time, values_of
from billing.states import EntryKind, LotOrigin

PARTS = ("left", "consumed", "expired", "refunded", "frozen", "held")


def conservation() -> tuple[CheckConstraint, ...]:
    total = " + ".join(f"minutes_{part}" for part in PARTS)
    not_negative = " AND ".join(f"minutes_{part} >= 0" for part in PARTS)
    return (
        CheckConstraint(f"minutes_granted = {total}", name="minutes_are_conserved"),
        CheckConstraint(not_negative, name="minutes_not_negative"),
    )


class Minutes(SQLModel):
    minutes_granted: int = Field(default=0)
    minutes_left: int = Field(default=0)
    minutes_consumed: int = Field(default=0)
    minutes_expired: int = Field(default=0)
    minutes_refunded: int = Field(default=0)
    minutes_frozen: int = Field(default=0)
    minutes_held: int = Field(default=0)


class HourLot(Minutes, table=True):
    """Hours that came together: a paid purchase, a paid period, a grant. `expires_at` is exclusive.

    `times_expired` counts the sweeps that wrote something of it off: one, unless it was extended or got hours back
    afterwards.
    """

    __tablename__ = "hour_lot"
    __table_args__ = (
        UniqueConstraint("source"),
        UniqueConstraint("purchase_id"),
        CheckConstraint("minutes_granted > 0", name="minutes_positive"),
        CheckConstraint("value_cents >= 0", name="value_not_negative"),
        CheckConstraint("expires_at > starts_at", name="expires_after_start"),
        CheckConstraint(
            "CASE origin WHEN 'purchase' THEN purchase_id IS NOT NULL WHEN 'invoice' THEN true"
            " ELSE purchase_id IS NULL END",
            name="purchases_are_named",
        ),
        CheckConstraint("currency ~ '^[a-z]{3}$'", name="currency_code"),
        CheckConstraint("times_expired >= 0", name="expiries_count"),
        Index("ix_hour_lot_student", "student_id", "expires_at", "id"),
        Index("ix_hour_lot_spendable", "student_id", "expires_at", postgresql_where=text("minutes_left > 0")),
        Index("ix_hour_lot_expiry", "expires_at", "id", postgresql_where=text("minutes_left > 0")),
        *conservation(),
    )

    id: int | None = Field(default=None, primary_key=True, sa_type=BigInteger, sa_column_args=[Identity()])
    student_id: int = Field(sa_type=BigInteger, foreign_key="student.id")
    origin: LotOrigin = Field(sa_type=values_of(LotOrigin))
    source: str = Field(max_length=255)
    purchase_id: UUID | None = Field(default=None, foreign_key="purchase.id")
    value_cents: int = Field(default=0)
    currency: str = Field(max_length=3)
    starts_at: datetime = Field(sa_type=Instant)
    expires_at: datetime | None = Field(default=None, sa_type=Instant)
    times_expired: int = Field(default=0, sa_type=SmallInteger, sa_column_kwargs={"server_default": text("0")})


class HourEntry(SQLModel, table=True):
    """One movement of hours; only ever added. `source` is what it is the effect of, and there is one effect."""

    __tablename__ = "hour_entry"
    __table_args__ = (
        UniqueConstraint("source"),
        Index("ix_hour_entry_student", "student_id", "id"),
        by_time("ix_hour_entry_at", "at"),
        Index("ix_hour_entry_consumption", "consumption_id", postgresql_where=text("consumption_id IS NOT NULL")),
        Index("ix_hour_entry_purchase", "purchase_id", postgresql_where=text("purchase_id IS NOT NULL")),
        Index("ix_hour_entry_sweep_run", "sweep_run_id", "id", postgresql_where=text("sweep_run_id IS NOT NULL")),
        CheckConstraint("minutes <> 0", name="minutes_not_zero"),
    )

    id: int | None = Field(default=None, primary_key=True, sa_type=BigInteger, sa_column_args=[Identity()])
    student_id: int = Field(sa_type=BigInteger, foreign_key="student.id")
    kind: EntryKind = Field(sa_type=values_of(EntryKind))
    minutes: int
    balance_after: int
    source: str = Field(max_length=255)
    purchase_id: UUID | None = Field(default=None, foreign_key="purchase.id")
    consumption_id: UUID | None = Field(default=None, foreign_key="consumption.id")
    sweep_run_id: int | None = Field(default=None, sa_type=BigInteger, foreign_key="sweep_run.id")
    at: datetime = Field(sa_type=Instant)


class HourAllocation(SQLModel, table=True):
    """Which lots an entry moved, and by how much; the parts add up to the entry."""

    __tablename__ = "hour_allocation"
    __table_args__ = (
        CheckConstraint("minutes <> 0", name="minutes_not_zero"),
        Index("ix_hour_allocation_lot", "lot_id"),
    )

    entry_id: int = Field(sa_type=BigInteger, foreign_key="hour_entry.id", primary_key=True)
    lot_id: int = Field(sa_type=BigInteger, foreign_key="hour_lot.id", primary_key=True)
    minutes: int


class LotEnd(SQLModel, table=True):
    """That a lot lives longer than was said until then; only ever added. `source` is what it is the effect of."""

    __tablename__ = "lot_end"
    __table_args__ = (
        UniqueConstraint("lot_id", "source"),
        Index("ix_lot_end_lot", "lot_id", "at"),
        CheckConstraint("expires_at > expired_at", name="ends_later"),
    )

    id: int | None = Field(default=None, primary_key=True, sa_type=BigInteger, sa_column_args=[Identity()])
    lot_id: int = Field(sa_type=BigInteger, foreign_key="hour_lot.id")
    source: str = Field(max_length=255)
    expired_at: datetime = Field(sa_type=Instant)
    """The end that it had until `at`; `expires_at` is the one it has since. Both are exclusive."""
    expires_at: datetime = Field(sa_type=Instant)
    at: datetime = Field(sa_type=Instant)


class StudentBalance(Minutes, table=True):
    """The sums of a student's lots and payments, moved under lock in the transaction of each entry."""

    __tablename__ = "student_balance"
    __table_args__ = (
        CheckConstraint("minutes_owed >= 0", name="debt_not_negative"),
        CheckConstraint("returned_cents BETWEEN 0 AND paid_cents", name="returns_within_payments"),
        *conservation(),
    )

    student_id: int = Field(sa_type=BigInteger, foreign_key="student.id", primary_key=True)
    minutes_owed: int = Field(default=0)
    paid_cents: int = Field(default=0, sa_type=BigInteger)
    returned_cents: int = Field(default=0, sa_type=BigInteger)


class LedgerAudit(SQLModel, table=True):
    """A proof of every balance: how many students it covered and how many rules it found broken."""

    __tablename__ = "ledger_audit"
    __table_args__ = (
        Index("ix_ledger_audit_finished", "finished_at"),
        CheckConstraint("students >= 0 AND violations >= 0", name="counts_not_negative"),
    )

    id: int | None = Field(default=None, primary_key=True, sa_type=BigInteger, sa_column_args=[Identity()])
    started_at: datetime = Field(sa_type=Instant)
    finished_at: datetime = Field(sa_type=Instant)
    students: int
    violations: int
