"""Work that gave up, and messages that nobody could read."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from billing.work.kinds import OPEN_KINDS

TABLES = {**{kind.model.kind: kind.model.kind for kind in OPEN_KINDS}, "message": "unreadable_message"}
LISTED = text("""
    SELECT kind, subject, reason, attempts, at FROM dead_letter
    WHERE CAST(:kind AS text) IS NULL OR kind = :kind ORDER BY at DESC, kind, subject LIMIT :most
""")
ONE = text("SELECT kind, subject, reason, attempts, at FROM dead_letter WHERE kind = :kind AND subject = :subject")
# Secrets stay where they are: the body of an event is shown by its own command, masked.
ROW = "SELECT to_jsonb(work) - 'body' - 'client_secret' - 'body_hash' FROM {table} AS work WHERE id::text = :subject"


@dataclass(frozen=True, slots=True)
class DeadLetterView:
    """`kind` and `subject` name the row that gave up."""

    kind: str
    subject: str
    reason: str | None
    attempts: int
    at: datetime

    @property
    def name(self) -> str:
        return f"{self.kind}:{self.subject}"


async def list_dead_letters(
    connection: AsyncConnection, *, most: int, kind: str | None = None
) -> Sequence[DeadLetterView]:
    """The newest first."""
    rows = (await connection.execute(LISTED, {"kind": kind, "most": most})).mappings()
    return [DeadLetterView(**{**row, "at": row["at"].astimezone(UTC)}) for row in rows]


async def find_dead_letter(
    connection: AsyncConnection, kind: str, subject: str
) -> tuple[DeadLetterView, dict[str, Any]] | None:
    """The letter, and the row that it is about."""
    found = await connection.execute(ONE, {"kind": kind, "subject": subject})
    row = found.mappings().one_or_none()
    if row is None:
        return None
    facts = await connection.execute(text(ROW.replace("{table}", TABLES[kind])), {"subject": subject})
    return DeadLetterView(**{**row, "at": row["at"].astimezone(UTC)}), facts.scalar_one()
