"""Exports as the people who asked for them see them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import RowMapping, text
from sqlalchemy.ext.asyncio import AsyncConnection

from billing.exports.terms import KEPT

MOST = 100
"""The newest ones are shown."""


class Standing(StrEnum):
    WRITING = "being written"
    READY = "ready"
    ERASED = "erased"
    GIVEN_UP = "given up"


@dataclass(frozen=True, slots=True)
class ExportView:
    """`reason` is why it was given up, `kept_until` is None for what is not ready."""

    id: UUID
    sub: str
    list_name: str
    title: str
    rows: int
    standing: Standing
    requested_at: datetime
    ready_at: datetime | None
    kept_until: datetime | None
    reason: str | None


@dataclass(frozen=True, slots=True)
class News:
    """Exports of one person: those that are ready and were not fetched yet, and how many are being written."""

    ready: Sequence[tuple[UUID, str]]
    unfinished: int


SHOWN = """
    SELECT id, sub, list_name, selection->>'title' AS title, rows, state, requested_at, ready_at, gave_up_at, last_error
    FROM export
"""
LISTED = text(f"{SHOWN} WHERE CAST(:sub AS text) IS NULL OR sub = :sub ORDER BY requested_at DESC, id LIMIT :most")
ONE = text(f"{SHOWN} WHERE id = :id")
NEWS = text("""
    SELECT id, selection->>'title' AS title, true AS is_ready, ready_at FROM export
    WHERE sub = :sub AND state = 'ready' AND downloaded_at IS NULL AND ready_at > :since
    UNION ALL
    SELECT id, NULL, false, NULL FROM export WHERE sub = :sub AND due_at IS NOT NULL
    ORDER BY ready_at
""")
PART = text("SELECT body FROM export_part WHERE export_id = :id AND number = :number")
DOWNLOADED = text("""
    UPDATE export SET downloaded_at = greatest(ready_at, :now)
    WHERE id = :id AND sub = :sub AND downloaded_at IS NULL AND ready_at IS NOT NULL
""")


async def list_exports(connection: AsyncConnection, sub: str | None, *, now: datetime) -> Sequence[ExportView]:
    """Of one person, or of everybody; the newest first."""
    found = await connection.execute(LISTED, {"sub": sub, "most": MOST})
    return [_view(row, now) for row in found.mappings()]


async def find_export(connection: AsyncConnection, export_id: UUID, *, now: datetime) -> ExportView | None:
    row = (await connection.execute(ONE, {"id": export_id})).mappings().one_or_none()
    return None if row is None else _view(row, now)


async def news_of(connection: AsyncConnection, sub: str, *, now: datetime) -> News:
    rows = (await connection.execute(NEWS, {"sub": sub, "since": now - KEPT})).all()
    ready = [(row.id, row.title) for row in rows if row.is_ready]
    return News(ready, len(rows) - len(ready))


async def read_part(connection: AsyncConnection, export_id: UUID, number: int) -> bytes | None:
    """As it is kept; None after the last one, and where the parts are erased."""
    found = await connection.execute(PART, {"id": export_id, "number": number})
    body: bytes | None = found.scalar_one_or_none()
    return body


async def note_downloaded(connection: AsyncConnection, export_id: UUID, sub: str, *, now: datetime) -> None:
    """Nothing where somebody else has fetched it: whoever asked for it still is to be told."""
    await connection.execute(DOWNLOADED, {"id": export_id, "sub": sub, "now": now})


def _view(row: RowMapping, now: datetime) -> ExportView:
    ready_at = row["ready_at"] and row["ready_at"].astimezone(UTC)
    kept_until = None if ready_at is None else ready_at + KEPT
    standing = _standing(row, kept_until, now)
    return ExportView(
        id=row["id"],
        sub=row["sub"],
        list_name=row["list_name"],
        title=row["title"] or row["list_name"],
        rows=row["rows"],
        standing=standing,
        requested_at=row["requested_at"].astimezone(UTC),
        ready_at=ready_at,
        kept_until=kept_until,
        reason=row["last_error"] if standing is Standing.GIVEN_UP else None,
    )


def _standing(row: RowMapping, kept_until: datetime | None, now: datetime) -> Standing:
    """It may take until the night that what was kept for long enough is erased: nobody is given it any more."""
    if kept_until is not None:
        return Standing.ERASED if row["state"] == "erased" or kept_until <= now else Standing.READY
    return Standing.WRITING if row["gave_up_at"] is None else Standing.GIVEN_UP
