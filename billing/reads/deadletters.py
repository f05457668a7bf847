"""Work that gave up, and messages that nobody could read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import Any, ClassVar

from sqlalchemy import RowMapping, text
from sqlalchemy.ext.asyncio import AsyncConnection

from billing.deadletters.names import TABLES, LetterName
from billing.reads.conditions import Conditions
from billing.reads.lists import list_page
from billing.reads.pages import Page, Slice

COLUMNS = "kind, subject, reason, error_class, attempts, first_at, at, digest, state"
NEWEST = f"SELECT {COLUMNS} FROM dead_letter WHERE {{filter}} ORDER BY at DESC, kind, subject LIMIT :most"  # noqa: S608
OLDEST = f"SELECT {COLUMNS} FROM dead_letter WHERE {{filter}} ORDER BY at, kind, subject LIMIT :most"  # noqa: S608
PAGE = f"""
    SELECT total.count, letter.*
    FROM (SELECT count(*) AS count FROM dead_letter WHERE {{filter}}) AS total
    LEFT JOIN LATERAL (
        SELECT subject AS row_id, {COLUMNS} FROM dead_letter WHERE {{filter}}
        ORDER BY at DESC, kind, subject LIMIT :size OFFSET :skipped
    ) AS letter ON true
    ORDER BY letter.at DESC, letter.kind, letter.subject
"""  # noqa: S608  # our own words
ONE = text(f"SELECT {COLUMNS} FROM dead_letter WHERE kind = :kind AND subject = :subject")  # noqa: S608
# Secrets stay where they are: the body of an event is shown by its own command, masked.
ROW = """
    SELECT to_jsonb(work) - 'body' - 'client_secret' - 'body_hash' - 'pdf' FROM {table} AS work WHERE id = :id
"""

CONDITIONS: Mapping[str, str] = {
    "kind": "kind = :kind",
    "error_class": "error_class = :error_class",
    "digest": "starts_with(digest, :digest)",
    "state": "state = :state",
    "before": "at < :before",
    "is_open": "(state <> 'discarded') = :is_open",
}
STATES = ("dead", "parked", "discarded")


@dataclass(frozen=True, slots=True)
class LetterFilter(Conditions):
    """What has to fit; None: anything. Of a digest the beginning is enough.

    `is_open` is what still wants a person: nobody is done with it.
    """

    conditions: ClassVar[Mapping[str, str]] = CONDITIONS
    kind: str | None = None
    error_class: str | None = None
    digest: str | None = None
    state: str | None = None
    before: datetime | None = None
    is_open: bool | None = None


ALL = LetterFilter()


@dataclass(frozen=True, slots=True)
class DeadLetterView:
    """`kind` and `subject` name the row that gave up; alike failures have the same `digest`.

    `state` is `dead`, or what people decided: `parked` or `discarded`.
    """

    kind: str
    subject: str
    reason: str | None
    error_class: str | None
    attempts: int
    first_at: datetime
    at: datetime
    digest: str
    state: str

    @classmethod
    def of(cls, row: RowMapping) -> "DeadLetterView":
        facts = {field.name: row[field.name] for field in fields(cls)}
        return cls(**{**facts, "at": row["at"].astimezone(UTC), "first_at": row["first_at"].astimezone(UTC)})

    @property
    def name(self) -> LetterName:
        return LetterName(self.kind, self.subject)


async def list_dead_letters(
    connection: AsyncConnection, *, most: int, only: LetterFilter = ALL, is_oldest_first: bool = False
) -> Sequence[DeadLetterView]:
    """The newest first, unless the oldest are to be."""
    statement = (OLDEST if is_oldest_first else NEWEST).replace("{filter}", only.condition)
    rows = await connection.execute(text(statement), {**only.values, "most": most})
    return [DeadLetterView.of(row) for row in rows.mappings()]


async def page_dead_letters(connection: AsyncConnection, part: Slice, only: LetterFilter) -> Page[DeadLetterView]:
    """The newest first."""
    statement = PAGE.replace("{filter}", only.condition)
    return await list_page(connection, statement, part, DeadLetterView.of, **only.values)


async def find_dead_letter(
    connection: AsyncConnection, name: LetterName
) -> tuple[DeadLetterView, dict[str, Any]] | None:
    """The letter, and the row that it is about."""
    found = await connection.execute(ONE, {"kind": name.kind, "subject": name.subject})
    row = found.mappings().one_or_none()
    if row is None:
        return None
    facts = await connection.execute(text(ROW.format(table=TABLES[name.kind])), {"id": name.key})
    return DeadLetterView.of(row), facts.scalar_one()
