"""How a sweep stands."""

from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from billing.states import SweepState

RUN = text("""
    SELECT id, state, grace_hours, cutoff, students, lots, minutes, started_at, finished_at
    FROM sweep_run WHERE id = :id
""")


@dataclass(frozen=True, slots=True)
class SweepRunView:
    """The sums are of what was written off so far."""

    id: int
    state: SweepState
    grace_hours: int
    cutoff: datetime
    students: int
    lots: int
    minutes: int
    started_at: datetime
    finished_at: datetime | None


async def find_run(connection: AsyncConnection, run_id: int) -> SweepRunView:
    row = (await connection.execute(RUN, {"id": run_id})).mappings().one()
    return SweepRunView(
        **{
            **row,
            "state": SweepState(row["state"]),
            "cutoff": row["cutoff"].astimezone(UTC),
            "started_at": row["started_at"].astimezone(UTC),
            "finished_at": row["finished_at"] and row["finished_at"].astimezone(UTC),
        }
    )
