"""Stripe's events as they came in, and what became of them."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import RowMapping, text
from sqlalchemy.ext.asyncio import AsyncConnection

FACTS = """
    SELECT id, stripe_event_id, type, state, outcome, attempts, last_error, request_id, received_at, processed_at
    FROM webhook_event
"""
LISTED = text(f"""{FACTS}
    WHERE (CAST(:state AS text) IS NULL OR state = :state) AND (CAST(:type AS text) IS NULL OR type = :type)
    ORDER BY id DESC LIMIT :most
""")
ONE = text(f"{FACTS} WHERE stripe_event_id = :given OR id = CAST(:number AS bigint)")
BODY = text("SELECT body FROM webhook_event WHERE id = :id")


@dataclass(frozen=True, slots=True)
class EventView:
    id: int
    stripe_event_id: str
    type: str
    state: str
    outcome: str | None
    attempts: int
    last_error: str | None
    request_id: str
    received_at: datetime
    processed_at: datetime | None

    @classmethod
    def of(cls, row: RowMapping) -> "EventView":
        return cls(**{field.name: _in_utc(row[field.name]) for field in fields(cls)})


async def list_events(
    connection: AsyncConnection, *, most: int, state: str | None = None, event_type: str | None = None
) -> Sequence[EventView]:
    """The newest first."""
    rows = await connection.execute(LISTED, {"state": state, "type": event_type, "most": most})
    return [EventView.of(row) for row in rows.mappings()]


async def find_event(connection: AsyncConnection, given: str) -> tuple[EventView, bytes] | None:
    """By Stripe's id or ours, with its body as it was received."""
    number = int(given) if given.isascii() and given.isdigit() and len(given) < 19 else None
    row = (await connection.execute(ONE, {"given": given, "number": number})).mappings().one_or_none()
    if row is None:
        return None
    return EventView.of(row), bytes((await connection.execute(BODY, {"id": row["id"]})).scalar_one())


def _in_utc(value: Any) -> Any:
    return value.astimezone(UTC) if isinstance(value, datetime) else value
