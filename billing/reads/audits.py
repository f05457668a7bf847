"""When the ledger was last proven, and what came of it."""

from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import RowMapping, text
from sqlalchemy.ext.asyncio import AsyncConnection

LAST_AUDIT = """
    SELECT started_at, finished_at, students, violations FROM ledger_audit ORDER BY finished_at DESC, id DESC LIMIT 1
"""


@dataclass(frozen=True, slots=True)
class AuditView:
    """`violations` of all the rules that must hold for each of so many students."""

    started_at: datetime
    finished_at: datetime
    students: int
    violations: int

    @classmethod
    def of(cls, row: RowMapping) -> "AuditView":
        return cls(
            started_at=row["started_at"].astimezone(UTC),
            finished_at=row["finished_at"].astimezone(UTC),
            students=row["students"],
            violations=row["violations"],
        )


async def last_audit(connection: AsyncConnection) -> AuditView | None:
    """None where the ledger was never proven."""
    row = (await connection.execute(text(LAST_AUDIT))).mappings().one_or_none()
    return None if row is None else AuditView.of(row)
