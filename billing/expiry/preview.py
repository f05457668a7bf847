"""What a sweep would take if it began now, by the condition by which it takes."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import RowMapping, text
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import Session

from billing.ledger.expiries import DUE

SHOWN = 50
WHOSE = "(CAST(:student_id AS bigint) IS NULL OR student_id = CAST(:student_id AS bigint))"
COUNT = text(f"SELECT count(*) FROM hour_lot WHERE {DUE} AND {WHOSE}")  # noqa: S608  # our own words
# A row for each student that is shown, and one without a student where there is none.
PREVIEW = text(f"""
    WITH due AS (
        SELECT student_id, count(*) AS lots, sum(minutes_left) AS minutes, min(expires_at) AS expires_at
        FROM hour_lot WHERE {DUE} AND {WHOSE} GROUP BY student_id
    )
    SELECT total.*, loser.*
    FROM (
        SELECT count(*) AS all_students, coalesce(sum(lots), 0) AS all_lots, coalesce(sum(minutes), 0) AS all_minutes
        FROM due
    ) AS total
    LEFT JOIN (
        SELECT due.*, student.email FROM due JOIN student ON student.id = due.student_id
        ORDER BY due.minutes DESC, due.student_id LIMIT :most
    ) AS loser ON true
    ORDER BY loser.minutes DESC, loser.student_id
""")  # noqa: S608  # our own words


@dataclass(frozen=True, slots=True)
class Loss:
    """What one student would lose; the first of these lots expired at `expires_at`."""

    student_id: int
    email: str
    lots: int
    minutes: int
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Preview:
    """The sums of all, and those who would lose most."""

    students: int
    lots: int
    minutes: int
    losses: Sequence[Loss]


async def preview(
    connection: AsyncConnection, *, cutoff: datetime, student_id: int | None = None, most: int = SHOWN
) -> Preview:
    given = {"cutoff": cutoff, "student_id": student_id, "most": most}
    rows = (await connection.execute(PREVIEW, given)).mappings().all()
    return Preview(
        students=rows[0]["all_students"],
        lots=int(rows[0]["all_lots"]),
        minutes=int(rows[0]["all_minutes"]),
        losses=[_loss(row) for row in rows if row["student_id"] is not None],
    )


def count_due(session: Session, *, cutoff: datetime, student_id: int | None = None) -> int:
    """How many lots a sweep would take."""
    return int(session.execute(COUNT, {"cutoff": cutoff, "student_id": student_id}).scalar_one())


def _loss(row: RowMapping) -> Loss:
    return Loss(
        student_id=row["student_id"],
        email=row["email"],
        lots=row["lots"],
        minutes=int(row["minutes"]),
        expires_at=row["expires_at"].astimezone(UTC),
    )
