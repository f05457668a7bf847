"""Accepting events: what was signed is kept, byte for byte and once."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
from sqlmodel import col, select

from billing.db import Begin, begin_async
from billing.models import WebhookEvent
from billing.states import EventState
from billing.webhooks.accept import IncomingEvent, accept
from tests.support.database import connect_async

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


def incoming(event_id: str = "evt_1", body: bytes = b"{}") -> IncomingEvent:
    return IncomingEvent(event_id, "payment_intent.succeeded", body, "request", NOON)


def keep(url: str, *flushes: Sequence[IncomingEvent]) -> list[int]:
    """Each flush in a transaction of its own, all at once; the number of answers of each."""

    async def flush(events: Sequence[IncomingEvent]) -> int:
        async with begin_async(engine) as connection:
            return len(await accept(connection, events))

    async def run() -> list[int]:
        try:
            return await asyncio.gather(*(flush(events) for events in flushes))
        finally:
            await engine.dispose()

    engine = connect_async(url, pool_size=max(1, len(flushes)))
    return asyncio.run(run())


def kept(begin: Begin) -> list[WebhookEvent]:
    with begin() as session:
        return list(session.exec(select(WebhookEvent).order_by(col(WebhookEvent.id))))


def test_an_event_becomes_a_row_that_is_due(database_url: str, begin: Begin) -> None:
    """Stripe is told "received" for what a worker will find, with or without a hint."""
    assert keep(database_url, [incoming()]) == [1]
    (row,) = kept(begin)
    assert (row.stripe_event_id, row.type, row.request_id) == ("evt_1", "payment_intent.succeeded", "request")
    assert (row.state, row.received_at, row.outcome, row.attempts) == (EventState.RECEIVED, NOON, None, 0)
    assert row.due_at is not None
    assert row.hint_at is not None
    assert row.hint_at - row.due_at == pytest.approx(timedelta(seconds=2), abs=timedelta(seconds=0.1))


BODIES = {
    "empty": b"",
    "no text at all": b"\xff\xfe\x00\x80",
    "Latin-1": b'{"name": "\xe9"}',
    "UTF-8 with spaces after it": '{"name": "é"}\r\n '.encode(),
    "every byte": bytes(range(256)) * 100,
}


def test_a_body_is_kept_byte_for_byte(database_url: str, begin: Begin) -> None:
    """Only the bytes that were signed can be proven again; a parser's idea of them cannot."""
    keep(database_url, [incoming(what, body) for what, body in BODIES.items()])
    assert {row.stripe_event_id: row.body for row in kept(begin)} == BODIES


def test_a_repeat_is_as_good_as_the_first(database_url: str, begin: Begin) -> None:
    """Stripe repeats for days when it doubts us; each delivery is answered, one row is kept, as it first came."""
    assert keep(database_url, [incoming(body=b"first")]) == [1]
    assert keep(database_url, [incoming(body=b"again"), incoming("evt_2")]) == [2]
    assert [(row.stripe_event_id, row.body) for row in kept(begin)] == [("evt_1", b"first"), ("evt_2", b"{}")]


def test_doubles_in_one_flush_are_one_row_and_two_answers(database_url: str, begin: Begin) -> None:
    """Two deliveries that arrive in the same millisecond must not break their flush."""
    assert keep(database_url, [incoming(), incoming("evt_2"), incoming()]) == [3]
    assert [row.stripe_event_id for row in kept(begin)] == ["evt_1", "evt_2"]


def test_a_settled_event_stays_settled(database_url: str, begin: Begin) -> None:
    """A late repeat must not open again what was applied: it would be worked twice."""
    keep(database_url, [incoming()])
    with begin() as session:
        row = session.exec(select(WebhookEvent)).one()
        row.state, row.due_at, row.hint_at = EventState.IGNORED, None, None
    keep(database_url, [incoming()])
    assert [(row.state, row.due_at) for row in kept(begin)] == [(EventState.IGNORED, None)]


def test_twenty_doors_at_once_keep_each_event_once(database_url: str, begin: Begin) -> None:
    """Doubled, in opposite orders, at every door: no circle of waits, no second row."""
    ids = [f"evt_{number:02}" for number in range(30)]
    flushes = [[incoming(event_id) for event_id in (ids if turn % 2 else ids[::-1])] for turn in range(20)]
    assert keep(database_url, *flushes) == [30] * 20
    assert sorted(row.stripe_event_id for row in kept(begin)) == ids


def test_an_empty_flush_is_no_work(database_url: str, begin: Begin) -> None:
    """All callers may have gone away before their flush began."""
    assert keep(database_url, []) == [0]
    assert kept(begin) == []
