"""Many at once go at a capped rate, and waiting for an outcome has its end."""

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest

from billing.deadletters.outcome import Became, Standing, until_over
from billing.deadletters.pace import Pace, gap_of


@dataclass
class Clock:
    """Seconds pass only while somebody sleeps or works."""

    now: float = 0.0
    slept: list[float] = field(default_factory=list)

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


@pytest.mark.parametrize(("rate", "gap"), [("10/s", 0.1), ("30/m", 2.0), ("500/h", 7.2), ("1/s", 1.0)])
def test_a_rate_is_a_gap(rate: str, gap: float) -> None:
    assert gap_of(rate) == pytest.approx(gap)


@pytest.mark.parametrize("rate", ["", "10", "0/s", "-1/s", "10/d", "1.5/s", "99999/s", "10 / s"])
def test_what_is_no_rate_is_refused(rate: str) -> None:
    with pytest.raises(ValueError, match="is no rate"):
        gap_of(rate)


def test_they_begin_so_far_apart(clock: Clock) -> None:
    """The first one at once; what each takes is part of its gap."""
    pace, begun = Pace(0.1, lambda: clock.now, clock.sleep), []
    for _ in range(5):
        pace.wait()
        begun.append(clock.now)
        clock.now += 0.03
    assert begun == pytest.approx([0.0, 0.1, 0.2, 0.3, 0.4])
    assert clock.slept == pytest.approx([0.07] * 4)


def test_lost_time_is_not_made_up(clock: Clock) -> None:
    """After a slow one there is no burst: the cap is for Stripe and for the database."""
    pace, begun = Pace(0.1, lambda: clock.now, clock.sleep), []
    for seconds in (0.0, 5.0, 0.0, 0.0):
        pace.wait()
        begun.append(clock.now)
        clock.now += seconds
    assert begun == pytest.approx([0.0, 0.1, 5.1, 5.2])


@pytest.fixture
def clock() -> Clock:
    return Clock()


def standing(became: Became, due_in: float = 0.0) -> Standing:
    return Standing(became, None, None, None, datetime.now(UTC), due_in)


def followed(*seen: Standing, patience: float = 60.0, stops_after: int = 99) -> tuple[Standing | None, int]:
    """What it ended with, and how often was looked."""
    looks = 0

    async def look() -> Standing:
        nonlocal looks
        looks += 1
        return seen[min(looks, len(seen)) - 1]

    async def no_time(_seconds: float) -> None: ...

    async def follow() -> Standing | None:
        return await until_over(look, patience, is_stopped=lambda: looks >= stops_after, sleep=no_time)

    return asyncio.run(follow()), looks


WAITING, DONE, DEAD = (standing(became) for became in (Became.WAITING, Became.DONE, Became.DEAD))


@pytest.mark.parametrize("end", [DONE, DEAD])
def test_it_is_followed_to_its_end(end: Standing) -> None:
    assert followed(WAITING, WAITING, end) == (end, 3)


def test_what_is_put_off_for_longer_is_not_waited_for() -> None:
    late = standing(Became.WAITING, due_in=3600)
    assert followed(WAITING, late) == (late, 2)


def test_patience_ends() -> None:
    assert followed(WAITING, patience=0.0) == (WAITING, 1)


def test_who_stops_is_answered_at_once() -> None:
    assert followed(WAITING, stops_after=4) == (WAITING, 4)
