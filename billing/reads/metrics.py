"""What is measured of the whole service: work that waits, work that gave up, and the last proof of the ledger."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from billing.reads.audits import LAST_AUDIT, AuditView
from billing.reads.reconciliation import STANDING, StandingView
from billing.work.kinds import OPEN_KINDS

MOST = 100_000
"""Rows that are counted of one kind: beyond that the figure says no more, and the count would take too long."""

UNREADABLE = "message"

_OF_A_KIND = """
    SELECT '{table}' AS kind,
        (SELECT count(*) FROM (SELECT FROM {table} WHERE due_at IS NOT NULL LIMIT :most) AS one) AS waiting,
        (SELECT extract(epoch FROM clock_timestamp() - min(due_at))::float8 FROM {table} WHERE due_at IS NOT NULL)
            AS overdue,
        (SELECT count(*) FROM (
            SELECT FROM {table} AS work WHERE gave_up_at IS NOT NULL AND NOT EXISTS (
                SELECT FROM dead_letter_mark AS mark
                WHERE mark.kind = '{table}' AND mark.subject = work.id::text AND mark.at >= work.gave_up_at
            ) LIMIT :most
        ) AS one) AS dead
"""
_OF_MESSAGES = f"""
    SELECT '{UNREADABLE}', NULL, NULL,
        (SELECT count(*) FROM (
            SELECT FROM unreadable_message AS message WHERE NOT EXISTS (
                SELECT FROM dead_letter_mark AS mark
                WHERE mark.kind = '{UNREADABLE}' AND mark.subject = message.id::text AND mark.at >= message.last_at
            ) LIMIT :most
        ) AS one)
"""  # noqa: S608  # our own names
_KINDS = " UNION ALL ".join([*(_OF_A_KIND.format(table=kind.model.kind) for kind in OPEN_KINDS), _OF_MESSAGES])
MEASURE = text(f"""
    SELECT work.*, audit.*, standing.* FROM ({_KINDS}) AS work LEFT JOIN ({LAST_AUDIT}) AS audit ON true
    CROSS JOIN ({STANDING}) AS standing
""")  # noqa: S608


@dataclass(frozen=True, slots=True)
class WorkView:
    """`waiting` and `overdue_seconds` are None for what nobody works on any more: messages that could not be read."""

    kind: str
    waiting: int | None
    overdue_seconds: float | None
    dead_letters: int


@dataclass(frozen=True, slots=True)
class Measured:
    """`audit` is None where the ledger was never proven."""

    work: Sequence[WorkView]
    audit: AuditView | None
    reconciliation: StandingView


async def measure(connection: AsyncConnection) -> Measured:
    rows = (await connection.execute(MEASURE, {"most": MOST})).mappings().all()
    work = [
        WorkView(row["kind"], row["waiting"], _overdue(row["waiting"], row["overdue"]), row["dead"]) for row in rows
    ]
    audit = AuditView.of(rows[0]) if rows[0]["finished_at"] else None
    return Measured(work, audit, StandingView.of(rows[0]))


def _overdue(waiting: int | None, seconds: float | None) -> float | None:
    """Work of later is not overdue, and where nothing waits nothing is."""
    return None if waiting is None else max(0.0, seconds or 0.0)
