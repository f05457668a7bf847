"""Valkey is away, or silent: calls go on by each process's own share of the limits, and nobody waits for it."""

import time
from collections.abc import Iterator
from contextlib import suppress
from threading import Event, Thread

import pytest
import structlog
from structlog.testing import capture_logs

from billing.brakes import Brakes, BrakesAwayError, SharedBrakes
from billing.brakes.own import OwnBrakes
from billing.brakes.terms import Bucket, Limits
from billing.brakes.words import Outcome
from billing.gateway import NoConnectionError, StripeCrowdedError, StripePausedError, StripeRefusedUsError
from tests.billing.braking import WIDE
from tests.support.servers import RunningValkey, running_valkey
from tests.support.stack import eventually

OWN = Limits(Bucket(3, 0.001), WIDE.endpoint)


@pytest.fixture
def mortal() -> Iterator[RunningValkey]:
    with running_valkey() as server:
        yield server
        server.thaw()


def brakes_of(server: RunningValkey, own: Limits = WIDE) -> Brakes:
    return Brakes(SharedBrakes(server.url(), WIDE), OwnBrakes(own))


def make_call(brakes: Brakes) -> str:
    return brakes.passage("create", is_read=False).through(lambda: "made", lambda: None)


def calls_seen(server: RunningValkey) -> int:
    shared = SharedBrakes(server.url(), WIDE)
    with suppress(BrakesAwayError):
        return shared.view().calls
    return 0


def test_calls_go_on_when_valkey_is_killed_and_are_counted_together_when_it_is_back(mortal: RunningValkey) -> None:
    """Four threads call all the time; no call fails for a reason that is not Stripe's."""
    brakes, enough = brakes_of(mortal), Event()
    made: list[str] = []
    raised: list[BaseException] = []

    def call() -> None:
        try:
            while not enough.is_set():
                made.append(make_call(brakes))
                time.sleep(0.002)
        except BaseException as error:
            raised.append(error)
            raise

    threads = [Thread(target=call) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        for act in (mortal.kill, mortal.start, mortal.kill, mortal.start):
            so_far = len(made)
            act()
            eventually(lambda least=so_far + 50: len(made) > least, 20)  # type: ignore[misc]
        eventually(lambda: calls_seen(mortal) > 50, 20)
    finally:
        enough.set()
        for thread in threads:
            thread.join()
    assert raised == []


def test_a_frozen_valkey_is_not_waited_for(mortal: RunningValkey) -> None:
    """A connection that stays open and says nothing: a driver waits five seconds for it, or for ever."""
    brakes = brakes_of(mortal)
    make_call(brakes)
    mortal.freeze()
    structlog.reset_defaults()
    with capture_logs() as lines:
        began = time.monotonic()
        assert [make_call(brakes) for _ in range(200)] == ["made"] * 200
        seconds = time.monotonic() - began
    assert seconds < 2
    assert [line["event"] for line in lines] == ["shared_brakes_away"]
    mortal.thaw()
    eventually(lambda: make_call(brakes) == "made" and calls_seen(mortal) > 1, 20)


def test_a_process_that_is_alone_goes_by_its_own_share(mortal: RunningValkey) -> None:
    """All of them alone at once still stay below what Stripe bears."""
    brakes = brakes_of(mortal, OWN)
    assert [make_call(brakes) for _ in range(5)] == ["made"] * 5
    mortal.kill()
    assert [make_call(brakes) for _ in range(2)] == ["made"] * 2  # of three, one is left to higher lanes
    with pytest.raises(StripeCrowdedError):
        make_call(brakes)


def test_a_process_that_is_alone_pauses_alone(mortal: RunningValkey) -> None:
    """An outage of Stripe's does not become a flood because Valkey is away as well."""
    brakes = brakes_of(mortal)
    mortal.kill()

    def refused() -> None:
        raise StripeRefusedUsError

    with pytest.raises(StripeRefusedUsError):
        brakes.passage("create", is_read=False).through(refused, lambda: None)
    with pytest.raises(StripePausedError):
        make_call(brakes)


def test_an_outcome_is_told_to_whoever_let_the_call_through(mortal: RunningValkey) -> None:
    """A call that began with Valkey and ended without it disturbs nobody's count."""
    brakes = brakes_of(mortal)

    def killed_meanwhile() -> None:
        mortal.kill()
        raise NoConnectionError

    with pytest.raises(NoConnectionError):
        brakes.passage("create", is_read=False).through(killed_meanwhile, lambda: None)
    assert make_call(brakes) == "made"


def test_nothing_is_asked_of_a_valkey_that_is_left_alone() -> None:
    """A second in which each of thirty threads waits for it in turn would be three seconds."""

    class Away:
        asked = 0

        def ask(self, _asked: object) -> None:
            self.asked += 1
            raise BrakesAwayError("silent")

        def tell(self, _verdict: object, _outcome: Outcome) -> None:
            raise AssertionError("it let nothing through")

    away = Away()
    brakes = Brakes(away, OwnBrakes(WIDE))  # type: ignore[arg-type]
    for _ in range(100):
        make_call(brakes)
    assert away.asked <= 2
