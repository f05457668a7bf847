"""The pause: begun when Stripe fails, ended when it works again, and nothing is sent in between but one probe."""

from collections.abc import Callable, Iterator

import pytest
import structlog
from redis import Redis
from structlog.testing import capture_logs

from billing.brakes import Brakes, BrakesAwayError
from billing.brakes.own import OwnBrakes
from billing.brakes.shared import SharedBrakes
from billing.brakes.terms import PROBE_EVERY_SECONDS, PROBE_LOST_SECONDS, RAMP_FROM, WINDOW_SECONDS, Bucket, Limits
from billing.brakes.words import Kind, Outcome, Turn
from billing.gateway import (
    DeclinedError,
    GatewayError,
    InvalidRequestError,
    NoConnectionError,
    StripePausedError,
    StripeRefusedUsError,
)
from tests.billing.braking import WIDE, Counted, counting_alone, counting_in_valkey

NEXT_PROBE = PROBE_EVERY_SECONDS * 1.5
"""By then it is due, however the times of probes are spread."""


@pytest.fixture(params=["in valkey", "alone"])
def counted(request: pytest.FixtureRequest) -> Iterator[Counted]:
    """All promises are kept by both ways of counting."""
    if request.param == "alone":
        with counting_alone(WIDE) as counted:
            yield counted
    else:
        with counting_in_valkey(request.getfixturevalue("valkey_url"), WIDE) as counted:
            yield counted


@pytest.fixture
def paused(counted: Counted) -> Counted:
    assert counted.tell(Outcome.REFUSED) == [Turn.OPENED]
    return counted


def test_half_of_ten_calls_that_fail_begin_a_pause(counted: Counted) -> None:
    turns = counted.tell(*[Outcome.FINE] * 5, *[Outcome.FAILED] * 5)
    assert turns == [*[None] * 9, Turn.OPENED]
    assert counted.ask().kind is Kind.PARKED


def test_fewer_failures_than_successes_begin_none(counted: Counted) -> None:
    """An error now and then is what tries are for."""
    assert set(counted.tell(*[Outcome.FINE] * 60, *[Outcome.FAILED] * 40)) == {None}
    assert counted.ask().kind is Kind.GO


def test_few_calls_say_nothing(counted: Counted) -> None:
    """The three tries of one call, in a quiet night, must not stop the next buyer."""
    assert set(counted.tell(*[Outcome.FAILED] * 9)) == {None}
    assert counted.ask().kind is Kind.GO


def test_what_is_long_over_is_forgotten(counted: Counted) -> None:
    counted.tell(*[Outcome.FAILED] * 9)
    counted.pass_time(WINDOW_SECONDS + 4)
    assert set(counted.tell(*[Outcome.FAILED] * 9)) == {None}
    counted.pass_time(WINDOW_SECONDS / 2)
    assert counted.tell(Outcome.FAILED) == [Turn.OPENED]


def test_a_key_that_is_refused_begins_a_pause_at_once(counted: Counted) -> None:
    """Every further call would be refused too, and a thousand refusals look like an attack."""
    counted.tell(*[Outcome.FINE] * 100)
    assert counted.tell(Outcome.REFUSED) == [Turn.OPENED]


def test_too_many_requests_begin_none(counted: Counted) -> None:
    """That is what the limiter is for; Stripe works."""
    assert Turn.OPENED not in counted.tell(*[Outcome.BUSY] * 50)


def test_one_probe_at_a_time_is_made_every_few_seconds(paused: Counted) -> None:
    """A thousand workers that ask whether it is over would be the next outage."""
    assert paused.ask().kind is Kind.PARKED
    paused.pass_time(NEXT_PROBE)
    assert [paused.ask().kind for _ in range(5)] == [Kind.PROBE, *[Kind.PARKED] * 4]


def test_a_probe_whose_worker_died_is_made_by_another(paused: Counted) -> None:
    paused.pass_time(NEXT_PROBE)
    assert paused.ask().kind is Kind.PROBE
    paused.pass_time(PROBE_LOST_SECONDS + 1)
    assert paused.ask().kind is Kind.PROBE


def test_a_probe_that_fails_goes_on_with_the_pause(paused: Counted) -> None:
    paused.pass_time(NEXT_PROBE)
    assert paused.probe(Outcome.FINE) is None
    assert paused.probe(Outcome.FAILED) is None
    assert paused.ask().kind is Kind.PARKED
    paused.pass_time(NEXT_PROBE)
    assert paused.probe(Outcome.FINE) is None
    assert paused.ask().kind is Kind.PROBE


def test_two_good_probes_end_it(paused: Counted) -> None:
    paused.pass_time(NEXT_PROBE)
    assert [paused.probe(Outcome.FINE), paused.probe(Outcome.FINE)] == [None, Turn.CLOSED]
    assert paused.ask().kind is Kind.GO


def test_what_waited_comes_back_by_and_by(request: pytest.FixtureRequest) -> None:
    """A service that has just got up is not run over by all that have waited for it."""
    limits = Limits(Bucket(100, 0.01), WIDE.endpoint)
    for opened in (counting_alone(limits), counting_in_valkey(request.getfixturevalue("valkey_url"), limits)):
        with opened as counted:
            counted.tell(Outcome.REFUSED)
            counted.pass_time(NEXT_PROBE)
            for _ in range(2):
                counted.probe(Outcome.FINE)
            assert counted.granted() == pytest.approx(100 * RAMP_FROM, abs=3)
            counted.pass_time(60_000)
            assert counted.granted() == 100


def test_failures_of_before_the_pause_begin_no_new_one(counted: Counted) -> None:
    """They say what is known: also calls that were on their way when it began, and end after it."""
    late = [counted.ask() for _ in range(20)]
    counted.tell(*[Outcome.FAILED] * 10)
    counted.pass_time(NEXT_PROBE)
    assert [counted.probe(Outcome.FINE), counted.probe(Outcome.FINE)] == [None, Turn.CLOSED]
    assert {counted.counting.tell(verdict, Outcome.REFUSED) for verdict in late} == {None}
    assert counted.tell(Outcome.FAILED) == [None]


def test_outcomes_of_other_calls_end_no_pause(counted: Counted) -> None:
    """What was sent before says nothing about now."""
    late = [counted.ask() for _ in range(5)]
    counted.tell(Outcome.REFUSED)
    assert {counted.counting.tell(verdict, Outcome.FINE) for verdict in late} == {None}
    assert counted.ask().kind is Kind.PARKED


Raise = Callable[[GatewayError], Callable[[], None]]


@pytest.fixture
def brakes() -> Brakes:
    own = OwnBrakes(WIDE)
    return Brakes(own, own)


def failing(error: GatewayError) -> Callable[[], None]:
    def call() -> None:
        raise error

    return call


def never() -> None:
    raise AssertionError("nothing may be sent in a pause")


@pytest.mark.parametrize("error", [DeclinedError(), InvalidRequestError()], ids=lambda error: type(error).__name__)
def test_an_answer_that_we_do_not_like_is_an_answer(brakes: Brakes, error: GatewayError) -> None:
    """A thousand declined cards say that Stripe works."""
    for _ in range(30):
        with pytest.raises(type(error)):
            brakes.passage("create", is_read=False).through(failing(error), never)
    assert brakes.passage("create", is_read=False).through(lambda: "made", never) == "made"


@pytest.mark.parametrize(("error", "times"), [(NoConnectionError(), 10), (StripeRefusedUsError(), 1)])
def test_trouble_parks_every_call_and_says_so_once(brakes: Brakes, error: GatewayError, times: int) -> None:
    """The buyer reads that his purchase waits; whoever has the watch reads one line, not one a call."""
    structlog.reset_defaults()
    with capture_logs() as lines:
        for _ in range(times):
            with pytest.raises(type(error)):
                brakes.passage("create", is_read=False).through(failing(error), never)
        for is_read in (True, False):
            with pytest.raises(StripePausedError) as caught:
                brakes.passage("another", is_read=is_read).through(never, never)
    assert [(line["event"], line["log_level"]) for line in lines] == [("stripe_paused", "error")]
    assert caught.value.error_type == "api_connection_error"
    assert "paused" in caught.value.message


def due_for_a_probe() -> tuple[Brakes, list[float]]:
    now = [0.0]
    own = OwnBrakes(WIDE, lambda: now[0])
    brakes = Brakes(own, own)
    with pytest.raises(StripeRefusedUsError):
        brakes.passage("create", is_read=False).through(failing(StripeRefusedUsError()), never)
    now[0] += NEXT_PROBE
    return brakes, now


def test_a_read_is_its_own_probe() -> None:
    brakes, _ = due_for_a_probe()
    asked: list[str] = []
    brakes.passage("retrieve", is_read=True).through(lambda: asked.append("read"), never)
    assert asked == ["read"]


def test_a_create_is_preceded_by_looks_and_never_a_probe_itself() -> None:
    """A payment is not what finds out whether payments work."""
    brakes, _ = due_for_a_probe()
    done: list[str] = []
    brakes.passage("create", is_read=False).through(lambda: done.append("create"), lambda: done.append("look"))
    assert done == ["look", "look", "create"]


def test_a_look_that_fails_parks_the_create_behind_it() -> None:
    brakes, _ = due_for_a_probe()
    with pytest.raises(StripePausedError):
        brakes.passage("create", is_read=False).through(never, failing(NoConnectionError()))


def test_a_pause_is_one_for_all_processes(valkey_url: str) -> None:
    """One finds out, and the others stop with it."""
    first, second = (Brakes(SharedBrakes(valkey_url, WIDE), OwnBrakes(WIDE)) for _ in range(2))
    with pytest.raises(StripeRefusedUsError):
        first.passage("create", is_read=False).through(failing(StripeRefusedUsError()), never)
    with pytest.raises(StripePausedError):
        second.passage("create", is_read=False).through(never, never)


def test_what_is_going_on_can_be_read(valkey_url: str) -> None:
    shared = SharedBrakes(valkey_url, WIDE)
    with counting_in_valkey(valkey_url, WIDE) as counted:
        counted.tell(*[Outcome.FINE] * 6, *[Outcome.FAILED] * 2)
        view = shared.view()
        assert (view.is_paused, view.calls, view.failures, view.failing_share) == (False, 8, 2, 0.25)
        assert view.rate_share == 1
        counted.tell(Outcome.REFUSED)
        counted.pass_time(7)
        view = shared.view()
    assert (view.is_paused, view.reason) == (True, "refused")
    assert view.paused_seconds >= 7


def test_what_is_lost_with_valkey_is_a_pause_and_no_more(valkey_url: str) -> None:
    """A flushed Valkey lets calls through again; they fail, and the pause comes back."""
    with counting_in_valkey(valkey_url, WIDE) as counted, Redis.from_url(valkey_url) as client:
        counted.tell(Outcome.REFUSED)
        client.flushall()
        assert counted.ask().kind is Kind.GO
        assert counted.tell(Outcome.REFUSED) == [Turn.OPENED]


def test_a_valkey_that_is_away_is_an_error_of_ours() -> None:
    with pytest.raises(BrakesAwayError):
        SharedBrakes("redis://127.0.0.1:1/0", WIDE).view()
