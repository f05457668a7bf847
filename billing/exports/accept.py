"""Accepting an export that somebody of staff asks for: one row, which a worker writes and auditors read."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from billing.errors import RefusedError
from billing.exports.terms import MOST_UNFINISHED, SAME_WITHIN
from billing.lists.selection import Selection


class TooManyExportsError(RefusedError):
    """Workers have enough to do for this person already."""

    error_type = "too_many_exports"


@dataclass(frozen=True, slots=True)
class ExportRequest:
    """Who wants which rows; `sub` is that of the token by which somebody signed in."""

    id: UUID
    sub: str
    selection: Selection
    request_id: str
    requested_at: datetime


@dataclass(frozen=True, slots=True)
class AcceptedExport:
    id: UUID
    is_replay: bool


TAKE_TURN = text("SELECT pg_advisory_xact_lock(hashtextextended('export:' || :sub, 0))")
REQUEST = text("""
    WITH earlier AS (
        SELECT id FROM export
        WHERE sub = :sub AND list_name = :list_name AND selection = CAST(:selection AS jsonb)
            AND requested_at > :since AND state <> 'erased' AND gave_up_at IS NULL
        ORDER BY requested_at DESC LIMIT 1
    ), made AS (
        INSERT INTO export (
            id, sub, list_name, selection, request_id, state, requested_at, due_at, hint_at
        )
        SELECT :id, :sub, :list_name, CAST(:selection AS jsonb), :request_id, 'writing', :requested_at,
            clock_timestamp(), clock_timestamp() + interval '2 seconds'
        WHERE NOT EXISTS (SELECT FROM earlier)
            AND (SELECT count(*) FROM export WHERE sub = :sub AND due_at IS NOT NULL) < :most
        RETURNING id
    )
    SELECT id FROM made UNION ALL SELECT id FROM earlier
""")


async def accept_export(connection: AsyncConnection, request: ExportRequest) -> AcceptedExport:
    """The export of this request, or the one that the same person has just asked for.

    Each person's requests are taken one after the other, so that the next one sees the rows of those before.
    Raises TooManyExportsError.
    """
    await connection.execute(TAKE_TURN, {"sub": request.sub})
    found: UUID | None = (await connection.execute(REQUEST, _values(request))).scalar_one_or_none()
    if found is None:
        raise TooManyExportsError(
            f"{MOST_UNFINISHED} exports of yours are being written: ask again when one of them is ready"
        )
    return AcceptedExport(found, found != request.id)


def _values(request: ExportRequest) -> dict[str, object]:
    return {
        "id": request.id,
        "sub": request.sub,
        "list_name": request.selection.list_name,
        "selection": request.selection.model_dump_json(),
        "request_id": request.request_id,
        "requested_at": request.requested_at,
        "since": request.requested_at - SAME_WITHIN,
        "most": MOST_UNFINISHED,
    }
