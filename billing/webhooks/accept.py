"""Accepting events: one statement for all deliveries that wait; a repeat is as good as the first."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from operator import attrgetter

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection


@dataclass(frozen=True, slots=True)
class IncomingEvent:
    """An event whose signature was good; `body` is what was signed, byte for byte."""

    stripe_event_id: str
    type: str
    body: bytes
    request_id: str
    received_at: datetime


ACCEPT = text("""
    INSERT INTO webhook_event (stripe_event_id, type, body, request_id, received_at, state, due_at, hint_at)
    SELECT asked.*, 'received', clock_timestamp(), clock_timestamp() + interval '2 seconds'
    FROM unnest(
        CAST(:ids AS text[]), CAST(:types AS text[]), CAST(:bodies AS bytea[]),
        CAST(:requests AS text[]), CAST(:instants AS timestamptz[])
    ) AS asked
    ON CONFLICT (stripe_event_id) DO NOTHING
""")


async def accept(connection: AsyncConnection, events: Sequence[IncomingEvent]) -> list[None]:
    """Keep each event once; when the transaction commits, all of them are kept, repeats of earlier ones too.

    They are inserted in the order of their ids, so that two doors never wait for each other in a circle.
    """
    once = sorted({event.stripe_event_id: event for event in events}.values(), key=attrgetter("stripe_event_id"))
    await connection.execute(
        ACCEPT,
        {
            "ids": [event.stripe_event_id for event in once],
            "types": [event.type for event in once],
            "bodies": [event.body for event in once],
            "requests": [event.request_id for event in once],
            "instants": [event.received_at for event in once],
        },
    )
    return [None] * len(events)
