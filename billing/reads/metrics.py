"""What is measured of the whole service, by one statement: open work, what gave up, proofs, and how all of it runs."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import RowMapping, text
from sqlalchemy.ext.asyncio import AsyncConnection

from billing.reads import operations
from billing.reads.audits import LAST_AUDIT, AuditView
from billing.reads.operations import OperationsView
from billing.reads.reconciliation import STANDING, StandingView
from billing.work.kinds import OPEN_KINDS

MOST = 100_000
"""Rows that are counted of one kind: beyond that the figure says no more, and the count would take too long."""

HOUR = timedelta(hours=1)

UNREADABLE = "message"

_OF_A_KIND = """
    SELECT '{table}' AS kind,
        (SELECT count(*) FROM (SELECT FROM {table} WHERE due_at IS NOT NULL LIMIT :most) AS one) AS waiting,
        (SELECT extract(epoch FROM clock_timestamp() - min(due_at))::float8 FROM {table} WHERE due_at IS NOT NULL)
            AS overdue,
        (SELECT count(*) FROM (
            SELECT FROM {table} WHERE lease_token IS NOT NULL AND lease_until > clock_timestamp() LIMIT :most
        ) AS one) AS held,
        (SELECT count(*) FROM (
            SELECT FROM {table} AS work WHERE gave_up_at IS NOT NULL AND NOT EXISTS (
                SELECT FROM dead_letter_mark AS mark
                WHERE mark.kind = '{table}' AND mark.subject = work.id::text AND mark.at >= work.gave_up_at
            ) LIMIT :most
        ) AS one) AS dead
"""
_OF_MESSAGES = f"""
    SELECT '{UNREADABLE}', NULL, NULL, NULL,
        (SELECT count(*) FROM (
            SELECT FROM unreadable_message AS message WHERE NOT EXISTS (
                SELECT FROM dead_letter_mark AS mark
                WHERE mark.kind = '{UNREADABLE}' AND mark.subject = message.id::text AND mark.at >= message.last_at
            ) LIMIT :most
        ) AS one)
"""  # noqa: S608  # our own names
_KINDS = " UNION ALL ".join([*(_OF_A_KIND.format(table=kind.model.kind) for kind in OPEN_KINDS), _OF_MESSAGES])
MEASURE = text(f"""
    SELECT work.*, audit.*, standing.*, operations.*
    FROM ({_KINDS}) AS work LEFT JOIN ({LAST_AUDIT}) AS audit ON true
    CROSS JOIN ({STANDING}) AS standing CROSS JOIN ({operations.STANDING}) AS operations
""")  # noqa: S608


@dataclass(frozen=True, slots=True)
class WorkView:
    """`waiting` counts every open row, `held` those of them that a worker has in hand.

    Both, and `overdue_seconds`, are None for what nobody works on any more: messages that could not be read.
    """

    kind: str
    waiting: int | None
    held: int | None
    overdue_seconds: float | None
    dead_letters: int


@dataclass(frozen=True, slots=True)
class Measured:
    """`audit` is None where the ledger was never proven."""

    work: Sequence[WorkView]
    audit: AuditView | None
    reconciliation: StandingView
    operations: OperationsView


async def measure(
    connection: AsyncConnection, zone: ZoneInfo, *, now: datetime, events_of: timedelta = HOUR
) -> Measured:
    """`zone` is that of the business, by which some jobs are due; events are looked at for as long as `events_of`."""
    asked = operations.given(now, most=MOST, events_of=events_of)
    rows = (await connection.execute(MEASURE, asked)).mappings().all()
    return Measured(
        work=[_work(row) for row in rows],
        audit=AuditView.of(rows[0]) if rows[0]["finished_at"] else None,
        reconciliation=StandingView.of(rows[0]),
        operations=OperationsView.of(rows[0], zone),
    )


def _work(row: RowMapping) -> WorkView:
    overdue = _overdue(row["waiting"], row["overdue"])
    return WorkView(row["kind"], row["waiting"], row["held"], overdue, row["dead"])


def _overdue(waiting: int | None, seconds: float | None) -> float | None:
    """Work of later is not overdue, and where nothing waits nothing is."""
    return None if waiting is None else max(0.0, seconds or 0.0)
