"""The limits of calls to Stripe: never passed, whoever counts, and a buyer's call goes first."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from contextvars import copy_context
from pathlib import Path
from threading import Event, Semaphore, Thread

import pytest

from billing.brakes import Brakes, Lane, Limits
from billing.brakes.gate import Passage
from billing.brakes.lanes import enter_lane_of
from billing.brakes.own import OwnBrakes
from billing.brakes.shared import SharedBrakes
from billing.brakes.terms import LONGEST_LINE_SECONDS, OWN_SHARE, REGAINED_A_SECOND, Bucket
from billing.brakes.words import Kind, Outcome, Turn
from billing.config import STRIPE_API, Settings
from billing.errors import ConfigurationError
from billing.gateway import StripeCrowdedError
from tests.billing.braking import WIDE, Counted, counting_alone, counting_in_valkey
from tests.billing.calling import ENDPOINTS, LIMITS, Call
from tests.support.environment import environment

ROOT = Path(__file__).resolve().parents[2]
SLOW = Bucket(10, 0.001)
"""What is used of it does not come back within a test, unless time is passed."""

Open = Callable[[Limits], Counted]


@pytest.fixture(params=["in valkey", "alone"])
def counting(request: pytest.FixtureRequest) -> Iterator[Open]:
    """All promises are kept by both ways of counting."""
    with ExitStack() as stack:
        if request.param == "alone":
            yield lambda limits: stack.enter_context(counting_alone(limits))
        else:
            url: str = request.getfixturevalue("valkey_url")
            yield lambda limits: stack.enter_context(counting_in_valkey(url, limits))


def test_lower_lanes_leave_a_reserve_to_higher_ones(counting: Open) -> None:
    """However much a reconciliation asks, half of the places are there for buyers and for what follows a payment."""
    counted = counting(Limits(SLOW, SLOW))
    assert [counted.granted(lane=lane) for lane in (Lane.MAINTENANCE, Lane.WEBHOOK, Lane.PURCHASE)] == [5, 3, 2]
    assert [counted.granted(lane=lane) for lane in Lane] == [0, 0, 0]


def test_a_bucket_of_one_place_serves_every_lane(counting: Open) -> None:
    """Under the smallest limits nobody waits for a reserve that is never there."""
    for lane in Lane:
        counted = counting(Limits(Bucket(1, 1), WIDE.endpoint))
        counted.pass_time(10)
        assert counted.granted(lane=lane) == 1


def test_each_endpoint_has_its_own_limit_and_all_have_one(counting: Open) -> None:
    """Stripe counts both."""
    counted = counting(Limits(Bucket(15, 0.001), SLOW))
    assert [counted.granted(endpoint) for endpoint in ("create", "retrieve", "list")] == [10, 5, 0]


def test_places_come_back_evenly_and_never_more_than_there_were(counting: Open) -> None:
    counted = counting(Limits(WIDE.all_calls, Bucket(10, 2)))
    assert counted.granted() == 10
    counted.pass_time(3)
    assert counted.granted() == 6
    counted.pass_time(1000)
    assert counted.granted() == 10


def test_who_has_to_wait_is_told_how_long(counting: Open) -> None:
    """Or that it is not worth waiting: then its thread can do something else."""
    counted = counting(Limits(SLOW, Bucket(1, 0.5)))
    assert counted.ask(patience=5).kind is Kind.GO
    waiting = counted.ask(patience=5)
    assert waiting.kind is Kind.WAIT
    assert waiting.wait_seconds == pytest.approx(2, abs=0.5)
    assert counted.ask(patience=0.1).kind is Kind.CROWDED


def test_those_who_are_sent_away_come_back_one_after_the_other(counting: Open) -> None:
    """As many in each moment as there will be places: a heap that comes back at once finds one place, and a worker that
    has nothing else to do than to send it away again."""
    counted = counting(Limits(SLOW, Bucket(1, 2)))
    counted.ask()
    waits = [counted.ask(patience=0).wait_seconds for _ in range(20)]
    assert waits == pytest.approx([0.5 * number for number in range(1, 21)], abs=0.4)
    counted.pass_time(waits[4])
    assert counted.ask(patience=0).kind is Kind.GO
    assert counted.ask(patience=0).wait_seconds > waits[-1] - waits[4]


def test_nobody_is_sent_away_for_longer_than_a_minute(counting: Open) -> None:
    """What stands before him may have been done by others, or be wanted no more."""
    counted = counting(Limits(SLOW, Bucket(1, 2)))
    counted.ask()
    waits = [counted.ask(patience=0).wait_seconds for _ in range(200)]
    assert max(waits) <= LONGEST_LINE_SECONDS + 1


def test_each_lane_has_a_line_of_its_own(counting: Open) -> None:
    """A buyer never stands behind a reconciliation."""
    counted = counting(Limits(SLOW, Bucket(1, 2)))
    counted.ask()
    for _ in range(50):
        counted.ask(lane=Lane.MAINTENANCE, patience=0)
    assert counted.ask(lane=Lane.PURCHASE, patience=0).wait_seconds < 1


def test_who_was_told_to_wait_has_taken_nothing(counting: Open) -> None:
    """A place at one endpoint is not lost because there was none at the other."""
    counted = counting(Limits(SLOW, Bucket(1, 0.01)))
    for _ in range(50):
        counted.ask()
    assert sum(counted.granted(f"another {number}") for number in range(20)) == 9


def test_too_many_requests_halve_the_rate_which_comes_back_step_by_step(counting: Open) -> None:
    """As much as Stripe bears is found again without asking it too much once more."""
    counted = counting(Limits(WIDE.all_calls, Bucket(100, 0.01)))
    counted.pass_time(1000)
    assert counted.tell(Outcome.BUSY) == [Turn.SLOWED]
    assert counted.granted() == pytest.approx(50, abs=2)
    counted.pass_time(5)
    assert counted.ask().kind is Kind.WAIT or counted.ask().kind is Kind.CROWDED
    counted.pass_time(1 / REGAINED_A_SECOND + 20_000)
    assert counted.granted() == 100


def test_answers_of_one_moment_halve_it_once(counting: Open) -> None:
    """Thirty calls were on their way: each of their answers says the same."""
    counted = counting(Limits(WIDE.all_calls, Bucket(1000, 0.01)))
    verdicts = [counted.ask() for _ in range(30)]
    turns = [counted.counting.tell(verdict, Outcome.BUSY) for verdict in verdicts]
    assert turns[0] is Turn.SLOWED
    assert turns.count(Turn.SLOWED) < 3  # a machine that stands still for seconds makes a moment long
    counted.pass_time(1.1)
    assert counted.tell(Outcome.BUSY) == [Turn.SLOWED]


def test_a_rate_is_never_halved_to_nothing(counting: Open) -> None:
    """Who asks no more does not find out that it may again."""
    counted = counting(Limits(Bucket(1, 16), Bucket(1, 16)))
    for _ in range(20):
        counted.pass_time(100)
        verdict = counted.ask()
        for _ in range(10):
            counted.pass_time(1.1)
            counted.counting.tell(verdict, Outcome.BUSY)
    counted.ask()
    assert counted.ask(patience=60).wait_seconds <= 1.0


def test_calls_of_many_processes_stay_below_the_limits(valkey_url: str) -> None:
    """Eight callers in four processes, four endpoints, as fast as they can: Stripe sees neither limit passed.

    A call counts in a second only where it was both asked for and let through within it, so no slow machine can make
    two of different seconds look like one.
    """
    argv = [sys.executable, "-m", "tests.billing.calling", valkey_url]
    running = [subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    calls = [Call.read(line) for process in running for line in process.communicate(timeout=60)[0].splitlines()]
    assert {call.endpoint for call in calls} == set(ENDPOINTS)
    assert len({call.caller for call in calls}) == 8
    assert len(calls) > 2 * LIMITS.all_calls.capacity
    for first in calls:
        within = [call for call in calls if first.asked <= call.asked and call.passed <= first.asked + 1]
        assert len(within) <= most_in_a_second(LIMITS.all_calls)
        for endpoint in ENDPOINTS:
            assert sum(call.endpoint == endpoint for call in within) <= most_in_a_second(LIMITS.endpoint)


def most_in_a_second(bucket: Bucket) -> float:
    """By the definition of the bucket."""
    return bucket.capacity + bucket.per_second


@pytest.mark.parametrize("most", [2, 3, 5, 10, 25, 100, 1000])
def test_a_bucket_stays_below_the_limit_that_it_is_made_of(most: int) -> None:
    bucket = Bucket.of(most)
    assert most_in_a_second(bucket) <= most
    assert bucket.per_second >= most / 3


QUEUE_OF = {Lane.PURCHASE: "purchases", Lane.WEBHOOK: "money", Lane.MAINTENANCE: "maintenance"}


def in_lane(lane: Lane, brakes: Brakes) -> Passage:
    def enter() -> Passage:
        enter_lane_of(QUEUE_OF[lane])
        return brakes.passage("create", is_read=False)

    return copy_context().run(enter)


def test_a_flood_of_maintenance_does_not_delay_a_purchase(valkey_url: str) -> None:
    """A reconciliation of a month takes all that it may, and the buyer's call still goes out at once."""
    limits = Limits(Bucket(10, 20), Bucket(10, 20))
    brakes = Brakes(SharedBrakes(valkey_url, limits), OwnBrakes(limits))
    enough, flooded = Event(), Semaphore(0)

    def flood() -> None:
        while not enough.is_set():
            with suppress(StripeCrowdedError):
                in_lane(Lane.MAINTENANCE, brakes).through(flooded.release, lambda: None)

    threads = [Thread(target=flood) for _ in range(8)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(2 * int(limits.all_calls.capacity)):
            assert flooded.acquire(timeout=20)
        with counting_in_valkey(valkey_url, limits) as buyers:
            kinds = [buyers.ask(lane=Lane.PURCHASE).kind for _ in range(4)]
    finally:
        enough.set()
        for thread in threads:
            thread.join()
    assert kinds == [Kind.GO] * 4


def test_a_call_that_finds_no_place_in_time_is_not_made() -> None:
    """Its task gives its slot back, and the row comes again."""
    full = Limits(Bucket(1, 0.001), WIDE.endpoint)
    brakes = Brakes(OwnBrakes(full), OwnBrakes(full))
    made: list[int] = []
    in_lane(Lane.PURCHASE, brakes).through(lambda: made.append(1), lambda: None)
    with pytest.raises(StripeCrowdedError) as caught:
        in_lane(Lane.PURCHASE, brakes).through(lambda: made.append(2), lambda: None)
    assert (made, caught.value.error_type) == ([1], "rate_limit_error")


def test_a_call_that_may_wait_a_moment_waits_and_is_made(valkey_url: str) -> None:
    quick = Limits(Bucket(1, 20), Bucket(1, 20))
    brakes = Brakes(SharedBrakes(valkey_url, quick), OwnBrakes(quick))
    made = [in_lane(Lane.PURCHASE, brakes).through(lambda: "made", lambda: None) for _ in range(5)]
    assert made == ["made"] * 5
    with counting_in_valkey(valkey_url, quick):
        assert SharedBrakes(valkey_url, quick).view().waits[Lane.PURCHASE] >= 1


def settings_of(key: str, **more: str) -> Settings:
    variables = environment("postgresql://x@h/x", "redis://h/0", STRIPE_SECRET_KEY=f"sk_{key}_x", **more)
    variables |= {"STRIPE_PUBLISHABLE_KEY": f"pk_{key}_x", "STRIPE_API_BASE": STRIPE_API, "APP_ENV": "staging"}
    counts = {name: value for name, value in variables.items() if not name.startswith("STRIPE_CALLS") or name in more}
    return Settings.load(counts)


@pytest.mark.parametrize(("key", "in_all"), [("live", 100), ("test", 25)])
def test_the_limits_are_stripes_own_where_nobody_sets_others(key: str, in_all: int) -> None:
    """A test key bears a quarter, and a live one must not be held to that."""
    settings = settings_of(key)
    assert (settings.stripe_calls_per_second, settings.stripe_calls_per_endpoint) == (in_all, 25)
    others = settings_of(key, STRIPE_CALLS_PER_SECOND="500", STRIPE_CALLS_PER_ENDPOINT="50")
    assert (others.stripe_calls_per_second, others.stripe_calls_per_endpoint) == (500, 50)


@pytest.mark.parametrize("name", ["STRIPE_CALLS_PER_SECOND", "STRIPE_CALLS_PER_ENDPOINT"])
@pytest.mark.parametrize("value", ["0", "1", "-5", "many", "1000001"])
def test_a_limit_under_which_nothing_works_stops_the_boot(name: str, value: str) -> None:
    with pytest.raises(ConfigurationError, match=name):
        settings_of("test", **{name: value})


def test_all_processes_share_the_limits_and_one_that_is_alone_takes_a_part() -> None:
    """Several that are alone at the same time stay below them together."""
    settings = settings_of("live")
    limits, own = Limits.of(settings), Limits.of(settings, OWN_SHARE)
    assert (most_in_a_second(limits.all_calls), most_in_a_second(limits.endpoint)) == (95, 23.75)
    assert most_in_a_second(own.all_calls) == pytest.approx(95 / 4)
