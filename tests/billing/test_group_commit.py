"""Group commit: few flushes for a crowd, an answer for each, and nobody waits for ever."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TypeVar

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DataError

from billing import db
from billing.errors import DatabaseUnavailableError, LockTimeoutError, PlanUnknownError, PriceChangedError
from billing.work.group_commit import GroupCommit
from tests.support.database import connect_async

T = TypeVar("T")
Answer = str | Exception


@dataclass
class Table:
    """What a flush writes to: it keeps each flush, may be slow or away, and refuses some rows."""

    flushes: list[list[str]] = field(default_factory=list)
    heard: list[str] = field(default_factory=list)
    refused: set[str] = field(default_factory=set)
    broken: set[str] = field(default_factory=set)
    gate: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.gate.set()

    async def flush(self, requests: Sequence[str]) -> list[str | PlanUnknownError]:
        self.flushes.append(list(requests))
        await self.gate.wait()
        await asyncio.sleep(0)
        if bad := self.broken & set(requests):
            raise ValueError(min(bad))
        return [PlanUnknownError(one) if one in self.refused else f"row of {one}" for one in requests]

    def hear(self, answers: Sequence[str]) -> None:
        self.heard += answers

    def grouped(self, *, most: int = 256, patience_seconds: float = 2.0) -> GroupCommit[str, str]:
        return GroupCommit(self.flush, after=self.hear, most=most, patience_seconds=patience_seconds)


def run(test: Callable[[Table], Awaitable[T]]) -> T:
    async def inside() -> T:
        return await test(Table())

    return asyncio.run(inside())


async def settle() -> None:
    """Let everything run that can."""
    for _ in range(10):
        await asyncio.sleep(0)


def submitted(group: GroupCommit[str, str], *requests: str) -> list[asyncio.Task[str]]:
    return [asyncio.create_task(group.submit(request)) for request in requests]


async def outcomes(tasks: Sequence[asyncio.Task[str]]) -> list[Answer | BaseException]:
    return await asyncio.gather(*tasks, return_exceptions=True)


async def behind_a_slow_flush(table: Table, group: GroupCommit[str, str], *requests: str) -> list[asyncio.Task[str]]:
    """These wait together while a first one is on its way to the database."""
    table.gate.clear()
    tasks = submitted(group, "first")
    await settle()
    tasks += submitted(group, *requests)
    await settle()
    return tasks


def test_a_lone_request_is_flushed_at_once() -> None:
    """Nobody waits for company: on a quiet evening an answer takes one transaction."""

    async def test(table: Table) -> None:
        assert await table.grouped(patience_seconds=0.5).submit("one") == "row of one"
        assert table.flushes == [["one"]]

    run(test)


def test_a_crowd_shares_few_flushes() -> None:
    """What arrives while a flush runs shares the next one; that is where the throughput comes from."""

    async def test(table: Table) -> None:
        tasks = await behind_a_slow_flush(table, table.grouped(), *map(str, range(100)))
        table.gate.set()
        assert await outcomes(tasks) == ["row of first", *(f"row of {number}" for number in range(100))]
        assert [len(flush) for flush in table.flushes] == [1, 100]

    run(test)


def test_a_flush_has_a_limit() -> None:
    """A statement with ten thousand rows would keep all of them waiting; the rest takes the next one, in order."""

    async def test(table: Table) -> None:
        tasks = await behind_a_slow_flush(table, table.grouped(most=4), *"abcdefghij")
        table.gate.set()
        await outcomes(tasks)
        assert table.flushes == [["first"], list("abcd"), list("efgh"), list("ij")]

    run(test)


def test_doubles_are_answered_each() -> None:
    """Which of them is the repeat is for the flush to say; each caller has a place and an answer of its own."""

    async def test(table: Table) -> None:
        tasks = await behind_a_slow_flush(table, table.grouped(), "one", "one")
        table.gate.set()
        assert await outcomes(tasks) == ["row of first", "row of one", "row of one"]

    run(test)


def test_a_refusal_is_of_its_own_request() -> None:
    """A wrong plan in the crowd costs the others nothing."""

    async def test(table: Table) -> None:
        table.refused = {"bad"}
        tasks = await behind_a_slow_flush(table, table.grouped(), "good", "bad", "fine")
        table.gate.set()
        first, good, bad, fine = await outcomes(tasks)
        assert (first, good, fine) == ("row of first", "row of good", "row of fine")
        assert isinstance(bad, PlanUnknownError)
        assert len(table.flushes) == 2

    run(test)


def test_one_bad_row_does_not_fail_its_neighbours() -> None:
    """A value that the database cannot take breaks the whole statement; each is tried alone, with its own error."""

    async def test(table: Table) -> None:
        table.broken = {"bad", "worse"}
        tasks = await behind_a_slow_flush(table, table.grouped(), "good", "bad", "fine", "worse")
        table.gate.set()
        first, good, bad, fine, worse = await outcomes(tasks)
        assert (first, good, fine) == ("row of first", "row of good", "row of fine")
        assert repr(bad) == "ValueError('bad')"
        assert repr(worse) == "ValueError('worse')"
        assert table.flushes[2:] == [["good"], ["bad"], ["fine"], ["worse"]]
        assert table.heard == ["row of first", "row of good", "row of fine"]

    run(test)


def test_after_hears_what_was_committed_and_nothing_else() -> None:
    """A hint for a row that is not there wakes a worker for nothing; a row without a hint waits for the sweeper."""

    async def test(table: Table) -> None:
        table.refused, table.broken = {"refused"}, {"broken"}
        group = table.grouped()
        await outcomes(submitted(group, "refused"))
        await outcomes(submitted(group, "broken"))
        assert table.heard == []
        await outcomes(submitted(group, "good", "refused"))
        assert table.heard == ["row of good"]

    run(test)


def test_after_is_told_before_the_next_flush() -> None:
    """The hint of the first does not wait for the crowd behind it."""

    async def test(table: Table) -> None:
        log: list[tuple[str, list[str]]] = []

        async def flush(requests: Sequence[str]) -> Sequence[str]:
            log.append(("flush", list(requests)))
            await table.gate.wait()
            return requests

        group = GroupCommit(flush, after=lambda answers: log.append(("after", list(answers))))
        tasks = await behind_a_slow_flush(table, group, "second")
        table.gate.set()
        await outcomes(tasks)
        assert log == [("flush", ["first"]), ("after", ["first"]), ("flush", ["second"]), ("after", ["second"])]

    run(test)


def test_a_client_that_goes_away_takes_nothing_with_it() -> None:
    """Its flush is on its way for others too: they get their answers, and its row is made and hinted."""

    async def test(table: Table) -> None:
        group = table.grouped()
        table.gate.clear()
        gone, other = submitted(group, "gone", "other")
        await settle()
        gone.cancel()
        await settle()
        assert gone.cancelled()
        table.gate.set()
        assert await other == "row of other"
        assert table.heard == ["row of gone", "row of other"]

    run(test)


def test_who_gave_up_before_is_not_flushed() -> None:
    """A buyer who was told "unavailable" must not find a purchase that nobody sent after that."""

    async def test(table: Table) -> None:
        tasks = await behind_a_slow_flush(table, table.grouped(), "gone", "other")
        tasks[1].cancel()
        await settle()
        table.gate.set()
        await outcomes(tasks)
        assert table.flushes == [["first"], ["other"]]

    run(test)


def test_who_gave_up_before_the_second_try_is_not_tried_again() -> None:
    """A crowd with one broken row is taken apart: that may take long, and whoever left meanwhile is left out."""

    async def test(table: Table) -> None:
        table.broken = {"bad"}
        tasks = await behind_a_slow_flush(table, table.grouped(), "bad", "gone", "other")
        table.gate.set()
        while len(table.flushes) < 3:
            await asyncio.sleep(0)
        tasks[2].cancel()
        await outcomes(tasks)
        assert table.flushes[3:] == [["other"]]

    run(test)


def test_nobody_waits_longer_than_the_patience() -> None:
    """The door answers 503 within its bound, however long the database thinks."""

    async def test(table: Table) -> None:
        group = table.grouped(patience_seconds=0.1)
        tasks = await behind_a_slow_flush(table, group, *"abc")
        started = asyncio.get_running_loop().time()
        answers = await outcomes(tasks)
        assert asyncio.get_running_loop().time() - started < 1
        assert all(isinstance(answer, DatabaseUnavailableError) for answer in answers)
        assert table.heard == []
        table.gate.set()
        assert await group.submit("later") == "row of later"
        assert table.flushes == [["first"], ["later"]]

    run(test)


def test_a_database_that_is_away_fails_all_at_once() -> None:
    """Trying each of the crowd alone would only take longer to say the same."""

    async def test(table: Table) -> None:
        flushes: list[int] = []

        async def away(requests: Sequence[str]) -> list[str]:
            flushes.append(len(requests))
            await table.gate.wait()
            raise DatabaseUnavailableError("closed")

        group = GroupCommit(away, after=table.hear)
        tasks = await behind_a_slow_flush(table, group, *"abc")
        table.gate.set()
        answers = await outcomes(tasks)
        assert all(isinstance(answer, DatabaseUnavailableError) for answer in answers)
        assert len({id(answer) for answer in answers}) == 4, "each raises an error of its own"
        assert flushes == [1, 3]
        assert table.heard == []

    run(test)


def test_a_driver_that_cannot_be_interrupted_keeps_nobody() -> None:
    """A frozen server makes the driver wait even when it is told to give up: callers leave in time all the same, and
    what they asked for is not kept for ever."""

    async def test(table: Table) -> None:
        thawed = asyncio.Event()
        flushes: list[list[str]] = []

        async def stubborn(requests: Sequence[str]) -> list[str]:
            flushes.append(list(requests))
            while not thawed.is_set():
                with suppress(asyncio.CancelledError):
                    await thawed.wait()
            return [f"row of {one}" for one in requests]

        group = GroupCommit(stubborn, after=table.hear, patience_seconds=0.05)
        answers = await outcomes(submitted(group, *map(str, range(20))))
        answers += await outcomes(submitted(group, *map(str, range(20))))
        waiting = len(group._waiting)
        thawed.set()
        await settle()
        assert all(isinstance(answer, DatabaseUnavailableError) for answer in answers)
        assert waiting == 0
        assert await group.submit("later") == "row of later"
        assert flushes[1:] == [["later"]]

    run(test)


@pytest.mark.parametrize("error", [LockTimeoutError("locked"), PriceChangedError("changed")])
def test_an_error_of_a_lone_request_reaches_its_caller(error: Exception) -> None:
    """The answer is the error itself, for the one who can mend it."""

    async def test(table: Table) -> None:
        async def broken(requests: Sequence[str]) -> list[str]:
            raise error

        (answer,) = await outcomes(submitted(GroupCommit(broken, after=table.hear), "one"))
        assert answer is error

    run(test)


def test_closing_waits_for_what_is_on_its_way() -> None:
    """A rolling restart answers what it accepted."""

    async def test(table: Table) -> None:
        group = table.grouped()
        await group.close()
        tasks = await behind_a_slow_flush(table, group, *"abc")
        closing = asyncio.create_task(group.close())
        await settle()
        assert not closing.done()
        table.gate.set()
        await closing
        assert len(await outcomes(tasks)) == len(table.heard) == 4

    run(test)


def test_closing_does_not_wait_for_ever() -> None:
    """A frozen database must not keep a process that was told to end."""

    async def test(table: Table) -> None:
        group = table.grouped(patience_seconds=0.05)
        tasks = await behind_a_slow_flush(table, group)
        await asyncio.wait_for(group.close(), 1)
        await outcomes(tasks)

    run(test)


def test_a_crowd_at_a_real_table(begin: db.Begin, database_url: str) -> None:
    """Rows, refusals of the driver and commits as they really come: good rows are there, the bad one is told apart."""
    insert = text("""
        INSERT INTO beat_slot (entry, slot) SELECT entry, '2026-03-02Z' FROM unnest(CAST(:entries AS text[])) AS entry
        ON CONFLICT DO NOTHING
    """)

    async def test(table: Table) -> list[Answer | BaseException]:
        engine = connect_async(database_url)

        async def flush(requests: Sequence[str]) -> Sequence[str]:
            async with db.begin_async(engine) as connection:
                await connection.execute(insert, {"entries": list(requests)})
            return requests

        group = GroupCommit(flush, after=table.hear)
        answers = await outcomes(submitted(group, *map(str, range(60)), "1", "x" * 101, "zero\0"))
        await engine.dispose()
        return answers

    answers = run(test)
    assert answers[:61] == [*map(str, range(60)), "1"]
    assert all(isinstance(answer, DataError) for answer in answers[61:])
    with begin() as session:
        assert session.execute(text("SELECT count(*) FROM beat_slot")).scalar_one() == 60
