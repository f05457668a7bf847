"""Column types and the columns of open work that several tables share."""

from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, ClassVar
from uuid import UUID

from sqlalchemy import CheckConstraint, DateTime, Dialect, Enum, Index, MetaData, SmallInteger, text
from sqlalchemy.types import TypeDecorator
from sqlmodel import Field, SQLModel

SQLModel.metadata.naming_convention = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}

metadata: MetaData = SQLModel.metadata


class Instant(TypeDecorator[datetime]):
    """timestamptz that takes aware instants only and gives them back in UTC, whatever the session's zone."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is not None and value.tzinfo is None:
            raise ValueError("an instant without a zone")
        return value

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return value if value is None else value.astimezone(UTC)


def values_of(kind: type[StrEnum]) -> Any:
    """A VARCHAR with a CHECK that holds the values of `kind`: easy to widen, and the database knows them."""
    return Enum(
        kind,
        native_enum=False,
        create_constraint=True,
        length=20,
        name=kind.__name__.lower(),
        values_callable=lambda members: [member.value for member in members],
    )


def listed(states: frozenset[StrEnum] | frozenset[Any]) -> str:
    return ", ".join(f"'{state}'" for state in sorted(states))


class OpenWork(SQLModel):
    """The columns by which workers and the sweeper find what waits.

    A row is open while `due_at` is set. Workers look only at `due_at` and the lease, the sweeper only at `hint_at`.
    `attempts - deferrals` claims ended without a word from their worker. These instants are the database's clock.
    """

    kind: ClassVar[str]

    due_at: datetime | None = Field(default=None, sa_type=Instant)
    hint_at: datetime | None = Field(default=None, sa_type=Instant)
    hints: int = Field(default=0, sa_type=SmallInteger, sa_column_kwargs={"server_default": text("0")})
    attempts: int = Field(default=0, sa_column_kwargs={"server_default": text("0")})
    deferrals: int = Field(default=0, sa_column_kwargs={"server_default": text("0")})
    lease_until: datetime | None = Field(default=None, sa_type=Instant)
    lease_token: UUID | None = Field(default=None)
    last_error: str | None = Field(default=None)
    troubled_since: datetime | None = Field(default=None, sa_type=Instant)
    """When it was handed back for the first time."""
    gave_up_at: datetime | None = Field(default=None, sa_type=Instant)


def by_time(name: str, column: str) -> Index:
    """For tables whose rows come in the order of this column: a few pages, and next to nothing for whoever writes.

    PostgreSQL, "BRIN Indexes".
    """
    kept = {"pages_per_range": 16, "autosummarize": "on"}
    return Index(name, column, postgresql_using="brin", postgresql_with=kept)


def open_work_constraints(table: str) -> tuple[CheckConstraint | Index, ...]:
    is_open = text("due_at IS NOT NULL")
    return (
        CheckConstraint("(due_at IS NULL) = (hint_at IS NULL)", name="open_is_hinted"),
        CheckConstraint("(lease_token IS NULL) = (lease_until IS NULL)", name="lease_is_whole"),
        CheckConstraint("lease_token IS NULL OR due_at IS NOT NULL", name="lease_is_of_open_work"),
        CheckConstraint("gave_up_at IS NULL OR due_at IS NULL", name="given_up_is_closed"),
        CheckConstraint("attempts >= deferrals AND deferrals >= 0", name="attempts_count"),
        Index(f"ix_{table}_due", "due_at", "id", postgresql_where=is_open),
        Index(f"ix_{table}_hint", "hint_at", postgresql_where=is_open),
        Index(f"ix_{table}_lease", "lease_token", postgresql_where=text("lease_token IS NOT NULL")),
        Index(f"ix_{table}_gave_up", "gave_up_at", postgresql_where=text("gave_up_at IS NOT NULL")),
    )
