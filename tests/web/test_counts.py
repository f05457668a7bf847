"""The two counters behind the limits: one in memory, bounded; one in Valkey, in one step for all doors."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

import pytest
import redis

from billing.ids import new_id
from tests.support.servers import running_valkey
from web.own_counts import Hold, OwnCounts, Window
from web.shared_counts import SharedCounts

T = TypeVar("T")


def hold(*windows: tuple[str, int], what: str | None = None, seconds: int = 10) -> Hold:
    holder = new_id().hex
    return Hold(what or holder, holder, tuple(Window(name, most, seconds) for name, most in windows))


def shared(url: str, use: Callable[[SharedCounts, SharedCounts], Awaitable[T]]) -> T:
    """Two doors on one Valkey."""

    async def run() -> T:
        one, other = SharedCounts(url), SharedCounts(url)
        await one.open()
        await other.open()
        try:
            return await use(one, other)
        finally:
            await one.close()
            await other.close()

    return asyncio.run(run())


def test_memory_is_bounded_whatever_comes() -> None:
    """An attacker with a network of his own opens a window with every purchase."""
    own = OwnCounts(most_places=100)
    for number in range(10_000):
        assert own.take(hold((f"address:{number}", 10), (f"email:{number}", 5)), now=number / 1000) == 0
        assert own.places <= 100
    refused = [hold((f"address:{number}", 1)) for number in range(1000)]
    for one in refused:
        own.take(one, now=20)
        own.give_back(one)
    assert own.places <= 100
    assert len(own._windows) <= 100


def test_no_window_takes_a_place_that_another_refuses() -> None:
    """A refusal leaves everything as it was."""
    own = OwnCounts()
    assert own.take(hold(("email", 1)), now=0) == 0
    assert own.take(hold(("address", 2), ("email", 1)), now=4) == 6
    assert [own.take(hold(("address", 2)), now=4) for _ in range(3)] == [0, 0, 10]
    assert own.take(hold(("email", 1)), now=10) == 0


def test_a_shared_place_is_free_when_its_last_holder_gave_it_back() -> None:
    own = OwnCounts()
    first, twin, other = hold(("a", 1), what="key"), hold(("a", 1), what="key"), hold(("a", 1))
    assert (own.take(first, now=0), own.take(twin, now=1), own.take(other, now=2)) == (0, 0, 8)
    own.give_back(first)
    own.give_back(first)
    assert own.take(other, now=2) == 8
    own.give_back(twin)
    assert own.take(other, now=2) == 0


def test_memory_and_valkey_judge_alike(valkey_url: str) -> None:
    """One rule, whoever counts: the same history gets the same answers."""
    chance = random.Random(7)
    own, kept = OwnCounts(), list[Hold]()

    async def use(one: SharedCounts, other: SharedCounts) -> None:
        for _ in range(400):
            asked = hold(
                (f"a{chance.randrange(3)}", 4),
                (f"b{chance.randrange(3)}", 3),
                what=chance.choice([None, "key-1", "key-2"]),
                seconds=3600,
            )
            door = chance.choice([one, other])
            if kept and chance.random() < 0.5:
                given = kept.pop(chance.randrange(len(kept)))
                own.give_back(given)
                await door.give_back(given)
            mine, theirs = own.take(asked, now=time.monotonic()), await door.take(asked)
            assert theirs is not None
            assert mine == pytest.approx(theirs, abs=0.5)
            if not mine:
                kept.append(asked)

    shared(valkey_url, use)


def test_two_doors_never_give_one_place_twice(valkey_url: str) -> None:
    async def use(one: SharedCounts, other: SharedCounts) -> list[float | None]:
        doors = [one, other] * 100
        return await asyncio.gather(*(door.take(hold(("a", 50))) for door in doors))

    answers = shared(valkey_url, use)
    assert answers.count(0) == 50
    assert None not in answers


def test_many_at_once_share_a_round_trip(valkey_url: str) -> None:
    """The cost of a limit is a share of a question, not a question."""
    with redis.Redis.from_url(valkey_url) as valkey:

        async def use(one: SharedCounts, other: SharedCounts) -> None:
            valkey.config_resetstat()
            await asyncio.gather(*(one.take(hold(("a", 1000))) for _ in range(200)))

        shared(valkey_url, use)
        assert valkey.info("commandstats")["cmdstat_evalsha"]["calls"] <= 3


def test_a_frozen_server_does_not_catch_up_on_what_was_counted_elsewhere() -> None:
    """What the door asked and gave up on must not be carried out when the server wakes."""
    with running_valkey() as server:

        async def use(one: SharedCounts, other: SharedCounts) -> None:
            server.freeze()
            asked = hold(("a", 5))
            began = time.monotonic()
            assert await asyncio.gather(*(one.take(asked) for _ in range(5))) == [None] * 5
            assert time.monotonic() - began < 0.2
            assert one.is_away
            began = time.monotonic()
            assert await one.take(hold(("b", 5))) is None
            assert time.monotonic() - began < 0.01
            await one.give_back(asked)
            server.thaw()
            await until(lambda: not one.is_away)
            with redis.Redis.from_url(server.url()) as valkey:
                assert [name for name in valkey.scan_iter("*") if b":b" in name and not name.endswith(b":by")]
                assert not valkey.exists("{limits}:a")

        shared(server.url(), use)


def test_a_server_whose_clock_was_set_is_asked_again(valkey_url: str) -> None:
    """A deadline is in the server's time; an hour of daylight must not close the counter."""

    async def use(one: SharedCounts, other: SharedCounts) -> None:
        assert one._clock.ahead_ms is not None
        one._clock.ahead_ms -= 3_600_000
        assert await one.take(hold(("a", 1))) == 0
        assert not one.is_away

    shared(valkey_url, use)


def test_whatever_valkey_answers_the_door_is_not_refused(valkey_url: str) -> None:
    """A counter that is broken is a counter that is away."""
    with redis.Redis.from_url(valkey_url) as valkey:
        valkey.set("{limits}:a", "no window")

        async def use(one: SharedCounts, other: SharedCounts) -> None:
            assert await one.take(hold(("a", 1))) is None
            assert one.is_away
            valkey.delete("{limits}:a")
            await until(lambda: not one.is_away)
            assert await other.take(hold(("a", 1))) is not None

        shared(valkey_url, use)


async def until(reached: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not reached():
            await asyncio.sleep(0.02)
