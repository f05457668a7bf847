"""Disputes as staff see them, with the lessons that are booked on hours which nobody can spend now."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import RowMapping, text
from sqlalchemy.ext.asyncio import AsyncConnection

from billing.reads.lists import list_page
from billing.reads.pages import Page, Slice
from billing.states import DisputeState

SHOWN = """
    dispute.*, dispute.id AS row_id, purchase.transaction_id, student.id AS student_id, student.email AS student_email,
    student.name AS student_name
"""
WHOSE = """
    JOIN purchase ON purchase.id = dispute.purchase_id LEFT JOIN student ON student.id = purchase.student_id
"""
LISTED = f"""
    SELECT total.count, shown.*
    FROM (SELECT count(*) AS count FROM dispute {WHOSE} WHERE {{filter}}) AS total
    LEFT JOIN LATERAL (
        SELECT {SHOWN} FROM dispute {WHOSE} WHERE {{filter}}
        ORDER BY dispute.opened_at DESC, dispute.id DESC LIMIT :size OFFSET :skipped
    ) AS shown ON true
    ORDER BY shown.opened_at DESC, shown.row_id DESC
"""  # noqa: S608  # our own words
ONE = text(f"SELECT {SHOWN} FROM dispute {WHOSE} WHERE dispute.id = :id")  # noqa: S608
# What a hold took of the disputed lot, less what it gave back.
BOOKED = text("""
    SELECT consumption.id AS consumption_id, consumption.session_id, consumption.ends_at, -sum(part.minutes) AS minutes
    FROM hour_lot
    JOIN hour_allocation AS part ON part.lot_id = hour_lot.id
    JOIN hour_entry AS entry ON entry.id = part.entry_id
    JOIN consumption ON consumption.id = entry.consumption_id AND consumption.state = 'held'
    WHERE hour_lot.purchase_id = :purchase_id
    GROUP BY consumption.id ORDER BY consumption.ends_at, consumption.id
""")

CONDITIONS: Mapping[str, str] = {
    "status": "dispute.status = :status",
    "state": "dispute.state = :state",
    "transaction_id": "purchase.transaction_id = :transaction_id",
}


@dataclass(frozen=True, slots=True)
class DisputeFilter:
    """What has to fit; None: anything. `status` is Stripe's word, `state` ours."""

    status: str | None = None
    state: DisputeState | None = None
    transaction_id: int | None = None

    @property
    def values(self) -> dict[str, Any]:
        return {name: value for name in CONDITIONS if (value := getattr(self, name)) is not None}

    @property
    def condition(self) -> str:
        return " AND ".join(CONDITIONS[name] for name in self.values) or "true"


@dataclass(frozen=True, slots=True)
class DisputeView:
    """`withdrawn_cents` are what the bank has taken; `minutes_short` were used already when it was lost."""

    id: UUID
    stripe_dispute_id: str
    purchase_id: UUID
    transaction_id: int
    amount_cents: int
    currency: str
    reason: str
    status: str
    state: DisputeState
    withdrawn_cents: int
    minutes_frozen: int
    minutes_lost: int
    minutes_short: int
    evidence_due_at: datetime | None
    opened_at: datetime
    decided_at: datetime | None
    student_id: int | None
    student_email: str | None
    student_name: str | None

    @classmethod
    def of(cls, row: RowMapping) -> "DisputeView":
        facts: dict[str, Any] = {name: row[name] for name in cls.__slots__}
        facts["state"] = DisputeState(row["state"])
        for name in ("evidence_due_at", "opened_at", "decided_at"):
            facts[name] = row[name] and row[name].astimezone(UTC)
        return cls(**facts)


@dataclass(frozen=True, slots=True)
class BookedView:
    """A lesson that holds `minutes` of the disputed hours."""

    consumption_id: UUID
    session_id: str
    ends_at: datetime
    minutes: int


async def list_disputes(connection: AsyncConnection, part: Slice, only: DisputeFilter) -> Page[DisputeView]:
    """The newest first."""
    statement = LISTED.replace("{filter}", only.condition)
    return await list_page(connection, statement, part, DisputeView.of, **only.values)


async def find_dispute(connection: AsyncConnection, dispute_id: UUID) -> DisputeView | None:
    row = (await connection.execute(ONE, {"id": dispute_id})).mappings().one_or_none()
    return None if row is None else DisputeView.of(row)


async def booked_sessions(connection: AsyncConnection, purchase_id: UUID) -> Sequence[BookedView]:
    """The next first."""
    rows = (await connection.execute(BOOKED, {"purchase_id": purchase_id})).mappings()
    return [BookedView(**{**row, "ends_at": row["ends_at"].astimezone(UTC)}) for row in rows]
