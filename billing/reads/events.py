"""Stripe's events as they came in, and what became of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import Any, ClassVar

from sqlalchemy import RowMapping, text
from sqlalchemy.ext.asyncio import AsyncConnection

from billing.reads.conditions import Conditions
from billing.reads.lists import list_page
from billing.reads.pages import Page, Slice

COLUMNS = "id, stripe_event_id, type, state, outcome, attempts, last_error, request_id, received_at, processed_at"
FACTS = f"SELECT {COLUMNS} FROM webhook_event"  # noqa: S608  # our own words
LISTED = f"{FACTS} WHERE {{filter}} ORDER BY id DESC LIMIT :most"
ONE = text(f"{FACTS} WHERE stripe_event_id = :given OR id = CAST(:number AS bigint)")
BODY = text("SELECT body FROM webhook_event WHERE id = :id")
PAGE = f"""
    SELECT total.count, event.*
    FROM (SELECT count(*) AS count FROM webhook_event WHERE {{filter}}) AS total
    LEFT JOIN LATERAL (
        SELECT id AS row_id, {COLUMNS} FROM webhook_event WHERE {{filter}}
        ORDER BY id DESC LIMIT :size OFFSET :skipped
    ) AS event ON true
    ORDER BY event.id DESC
"""  # noqa: S608  # our own words
COUNTS = text("SELECT state, count(*) AS number FROM webhook_event GROUP BY state")
# Of the newest, so that it says how it is now.
LAGS = text("""
    SELECT percentile_cont(ARRAY[0.5, 0.95]) WITHIN GROUP (
        ORDER BY extract(epoch FROM greatest(processed_at - received_at, interval '0'))::float8
    )
    FROM (SELECT processed_at, received_at FROM webhook_event ORDER BY id DESC LIMIT 1000) AS newest
    WHERE processed_at IS NOT NULL
""")

CONDITIONS: Mapping[str, str] = {
    "state": "state = :state",
    "type": "type = :type",
    "since": "received_at >= :since",
    "before": "received_at < :before",
    "until": "received_at <= :until",
    "search": "strpos(lower(stripe_event_id || ' ' || type), lower(:search)) > 0",
}


@dataclass(frozen=True, slots=True)
class EventFilter(Conditions):
    """What has to fit; None: anything. `until` is the last instant that counts, `before` the first that does not."""

    conditions: ClassVar[Mapping[str, str]] = CONDITIONS
    state: str | None = None
    type: str | None = None
    since: datetime | None = None
    before: datetime | None = None
    until: datetime | None = None
    search: str | None = None


ALL = EventFilter()


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


@dataclass(frozen=True, slots=True)
class EventsView:
    """A page of events, how many are in which state in all, and how long the newest took from the door to their end.

    The lags are in seconds: half of the newest took no longer than the first, 95 of a hundred than the second.
    """

    page: Page[EventView]
    counts: Mapping[str, int]
    lags: Sequence[float] | None


async def list_events(connection: AsyncConnection, *, most: int, only: EventFilter = ALL) -> Sequence[EventView]:
    """The newest first."""
    statement = text(LISTED.replace("{filter}", only.condition))
    rows = await connection.execute(statement, {**only.values, "most": most})
    return [EventView.of(row) for row in rows.mappings()]


async def page_events(connection: AsyncConnection, part: Slice, only: EventFilter) -> EventsView:
    """The newest first."""
    page = await list_page(connection, PAGE.replace("{filter}", only.condition), part, EventView.of, **only.values)
    counts = {row.state: row.number for row in await connection.execute(COUNTS)}
    lags = (await connection.execute(LAGS)).scalar_one()
    return EventsView(page, counts, lags)


async def find_event(connection: AsyncConnection, given: str) -> tuple[EventView, bytes] | None:
    """By Stripe's id or ours, with its body as it was received."""
    number = int(given) if given.isascii() and given.isdigit() and len(given) < 19 else None
    row = (await connection.execute(ONE, {"given": given, "number": number})).mappings().one_or_none()
    if row is None:
        return None
    return EventView.of(row), bytes((await connection.execute(BODY, {"id": row["id"]})).scalar_one())


def _in_utc(value: Any) -> Any:
    return value.astimezone(UTC) if isinstance(value, datetime) else value
