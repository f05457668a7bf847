"""What readiness asks of the database."""

from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError
from sqlalchemy.ext.asyncio import AsyncConnection

from billing.work.kinds import OPEN_KINDS

OVERDUE_SECONDS = 120.0
"""Work that waits longer than this means that no worker takes any."""

_OLDEST = " UNION ALL ".join(
    f"SELECT min(due_at) AS due_at FROM {kind.model.kind} WHERE due_at IS NOT NULL"  # noqa: S608  # our own names
    for kind in OPEN_KINDS
)
LOOK = text(f"""
    SELECT (SELECT version_num FROM alembic_version) AS revision,
        current_setting('fsync') AS fsync, current_setting('synchronous_commit') AS synchronous_commit,
        (SELECT extract(epoch FROM clock_timestamp() - min(due_at))::float8 FROM ({_OLDEST}) AS oldest) AS overdue
""")  # noqa: S608

NOT_DURABLE = frozenset({"off", "local"})


@dataclass(frozen=True, slots=True)
class DatabaseState:
    """`revision` is None where nothing was ever migrated."""

    revision: str | None
    is_durable: bool
    overdue_seconds: float
    """How long the row that waits longest has been due; 0 where nothing is."""


async def look_at_database(connection: AsyncConnection) -> DatabaseState:
    try:
        row = (await connection.execute(LOOK)).mappings().one()
    except ProgrammingError:  # no such table
        return DatabaseState(revision=None, is_durable=False, overdue_seconds=0)
    is_durable = row["fsync"] == "on" and row["synchronous_commit"] not in NOT_DURABLE
    return DatabaseState(row["revision"], is_durable, max(0.0, row["overdue"] or 0.0))
