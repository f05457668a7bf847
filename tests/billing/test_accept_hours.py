"""Bookings and acts that meet in the database: one of them is made, and the others find it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from billing.consumptions.accept import AcceptedBooking, BookingRequest, Named, accept
from billing.consumptions.accept_acts import AcceptedAct, ActRequest, accept_act
from billing.db import Begin, begin_async
from billing.errors import BillingError, ConflictError, IdempotencyMismatchError, LockTimeoutError
from billing.ids import new_id
from billing.states import ConsumptionActKind, ConsumptionMode
from tests.support.database import connect_async
from tests.support.factories import add_student
from tests.support.hours import add_booking

T = TypeVar("T")
BY_ID, BY_ADDRESS = Named("ana", None), Named(None, "ana@example.com")


def wish(*named: Named, at: datetime, key: str | None = None, **changes: Any) -> BookingRequest:
    members = [(new_id(), one) for one in named]
    facts: dict[str, Any] = {
        "id": members[0][0] if len(members) == 1 else new_id(),
        "act_id": new_id(),
        "members": members,
        "path": "student" if len(members) == 1 else "students",
        "session_id": "s1",
        "mode": ConsumptionMode.CONSUME,
        "minutes": 90,
        "ends_at": None,
        "scope": "user:platform",
        "idempotency_key": key,
        "body_hash": b"body" if key else None,
        "caller_sub": "platform",
        "request_id": "request",
        "requested_at": at,
        **changes,
    }
    return BookingRequest(**facts)


def act(subject: UUID, *, at: datetime, key: str | None = None) -> ActRequest:
    return ActRequest(
        id=new_id(),
        act=ConsumptionActKind.RELEASE,
        subject=subject,
        minutes=None,
        reason=None,
        scope="user:platform",
        idempotency_key=key,
        body_hash=str(subject).encode() if key else None,
        request_id="request",
        requested_at=at,
    )


@pytest.fixture
def students(begin: Begin, now: datetime) -> list[int]:
    """Ana, who has proved her address, and Eva."""
    ana = add_student(begin, at=now, external_id="ana")
    with begin() as session:
        session.execute(text("UPDATE student SET email_verified = true"))
    return [ana, add_student(begin, "eva@example.com", at=now, external_id="eva")]


@asynccontextmanager
async def door(url: str) -> AsyncIterator[AsyncEngine]:
    engine = connect_async(url)
    try:
        yield engine
    finally:
        await engine.dispose()


async def flush(engine: AsyncEngine, *wishes: BookingRequest) -> list[AcceptedBooking | BillingError]:
    async with begin_async(engine) as connection:
        return await accept(connection, wishes)


async def meanwhile(
    engine: AsyncEngine,
    first: Callable[[AsyncConnection], Awaitable[T]],
    second: Callable[[AsyncConnection], Awaitable[T]],
) -> T:
    """What the second is answered, which comes while the first is not committed yet."""

    async def run() -> T:
        async with begin_async(engine) as connection:
            return await second(connection)

    async with begin_async(engine) as connection:
        await first(connection)
        running = asyncio.create_task(run())
        done, _ = await asyncio.wait([running], timeout=0.2)
        assert not done, "it did not wait for the first"
    return await running


def counts(begin: Begin) -> tuple[int, int]:
    with begin() as session:
        found = text("SELECT (SELECT count(*) FROM consumption), (SELECT count(*) FROM consumption_act)")
        row = session.execute(found).one()
        return row[0], row[1]


@pytest.mark.parametrize("others", [{}, {"session_id": "s2", "key": "k1"}])
def test_a_booking_that_another_process_makes_meanwhile_is_found_by_the_next_try(
    database_url: str, begin: Begin, students: list[int], now: datetime, others: dict[str, Any]
) -> None:
    """By its session or by its key: the second waits, is refused as a whole, and then sees the first."""
    mine, theirs = wish(BY_ID, at=now, key=others.get("key")), wish(BY_ADDRESS, at=now, **others)

    async def scene() -> tuple[BookingRequest, list[AcceptedBooking | BillingError]]:
        async with door(database_url) as engine:
            with pytest.raises(ConflictError):
                await meanwhile(engine, lambda one: accept(one, [theirs]), lambda one: accept(one, [mine]))
            return theirs, await flush(engine, mine)

    first, (again,) = asyncio.run(scene())
    assert isinstance(again, AcceptedBooking)
    assert (again.id, again.act_id, again.is_replay) == (first.id, first.act_id, True)
    assert counts(begin) == (1, 1)


def test_a_group_that_overlaps_what_is_made_meanwhile_leaves_nothing(
    database_url: str, begin: Begin, students: list[int], now: datetime
) -> None:
    """All or nothing, also where only the database finds out."""
    single, group = wish(Named("eva", None), at=now), wish(BY_ID, Named("eva", None), at=now)

    async def scene() -> list[AcceptedBooking | BillingError]:
        async with door(database_url) as engine:
            with pytest.raises(ConflictError):
                await meanwhile(engine, lambda one: accept(one, [single]), lambda one: accept(one, [group]))
            return await flush(engine, group)

    (answer,) = asyncio.run(scene())
    assert isinstance(answer, IdempotencyMismatchError)
    assert counts(begin) == (1, 1)


def test_two_names_of_one_student_in_one_flush_are_a_conflict(
    database_url: str, begin: Begin, students: list[int], now: datetime
) -> None:
    """Only the database knows that they are one; each is tried alone then."""

    async def scene() -> None:
        async with door(database_url) as engine:
            await flush(engine, wish(BY_ID, at=now), wish(BY_ADDRESS, at=now))

    with pytest.raises(ConflictError):
        asyncio.run(scene())
    assert counts(begin) == (0, 0)


def test_doubles_in_one_flush_get_the_answer_of_the_first(
    database_url: str, begin: Begin, students: list[int], now: datetime
) -> None:
    """A crowd that sends the same makes no conflict, and what is not the same is told so."""
    first = wish(BY_ID, at=now)
    same, other = wish(BY_ID, at=now), wish(BY_ID, at=now, minutes=60)
    group = wish(BY_ID, Named("eva", None), at=now)
    beside = wish(Named("eva", None), at=now, session_id="s2")

    async def scene() -> list[AcceptedBooking | BillingError]:
        async with door(database_url) as engine:
            return await flush(engine, first, same, other, group, beside)

    answers = asyncio.run(scene())
    found = [(one.id, one.is_replay) if isinstance(one, AcceptedBooking) else type(one) for one in answers]
    mismatch = IdempotencyMismatchError
    assert found == [(first.id, False), (first.id, True), mismatch, mismatch, (beside.id, False)]
    assert counts(begin) == (2, 2)


def test_a_repeat_is_answered_though_its_student_is_gone(
    database_url: str, begin: Begin, students: list[int], now: datetime
) -> None:
    """A key is remembered whatever became of what it was used for."""
    first = wish(BY_ID, at=now, key="k1")

    async def scene() -> list[AcceptedBooking | BillingError]:
        async with door(database_url) as engine:
            await flush(engine, first)
            with begin() as session:
                session.execute(text("UPDATE student SET external_id = 'somebody' WHERE external_id = 'ana'"))
            return await flush(engine, replace(first, id=new_id(), act_id=new_id()))

    (again,) = asyncio.run(scene())
    assert isinstance(again, AcceptedBooking)
    assert (again.id, again.is_replay) == (first.id, True)


@pytest.mark.parametrize("key", [None, "k1"])
def test_an_act_waits_for_the_same_that_is_not_committed_yet(
    database_url: str, begin: Begin, students: list[int], now: datetime, key: str | None
) -> None:
    """Two doors are asked the same at once: the hours are given back once."""
    (record,) = add_booking(begin, students[:1], 90, at=now)
    first, second = act(record.id, at=now, key=key), act(record.id, at=now, key=key)

    async def scene() -> AcceptedAct | None:
        async with door(database_url) as engine:
            return await meanwhile(engine, lambda one: accept_act(one, first), lambda one: accept_act(one, second))

    found = asyncio.run(scene())
    assert found is not None
    assert (found.id, found.is_replay) == (first.id, True)
    assert counts(begin) == (1, 2)


def test_one_key_of_two_records_at_once_is_of_the_first(
    database_url: str, begin: Begin, students: list[int], now: datetime
) -> None:
    """Different records have different locks, so here the key itself decides; the next try sees it."""
    records = add_booking(begin, students[:1], 90, at=now) + add_booking(
        begin, students[1:], 90, at=now, session_id="s2"
    )
    first, second = (act(record.id, at=now, key="k1") for record in records)

    async def scene() -> None:
        async with door(database_url) as engine:
            with pytest.raises(ConflictError):
                await meanwhile(engine, lambda one: accept_act(one, first), lambda one: accept_act(one, second))
            async with begin_async(engine) as connection:
                await accept_act(connection, second)

    with pytest.raises(IdempotencyMismatchError):
        asyncio.run(scene())


def test_who_waits_too_long_for_another_is_told_to_try_again(
    database_url: str, begin: Begin, students: list[int], now: datetime
) -> None:
    async def scene() -> None:
        async with door(database_url) as engine, begin_async(engine) as connection:
            await accept(connection, [wish(BY_ID, at=now)])
            await flush(engine, wish(BY_ID, at=now))

    with pytest.raises(LockTimeoutError):
        asyncio.run(scene())
