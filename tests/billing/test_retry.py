"""How long is waited, and how often is tried."""

from datetime import timedelta
from itertools import accumulate
from types import SimpleNamespace

import pytest
import tenacity

from billing import retry
from billing.gateway import OutcomeUnknownError, StripeBusyError, StripeCrowdedError


class TroubleError(Exception):
    pass


class Clock:
    """Time passes only where somebody sleeps or a call takes its time."""

    def __init__(self) -> None:
        self.now = 0.0

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    fake = SimpleNamespace(monotonic=lambda: clock.now, sleep=clock.sleep, time=lambda: clock.now)
    monkeypatch.setattr(tenacity, "time", fake)
    monkeypatch.setattr(tenacity.nap, "time", fake)
    return clock


def test_a_call_that_fails_once_is_repeated(clock: Clock) -> None:
    answers = iter([TroubleError(), "yes"])

    def call() -> str:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return str(answer)

    assert retry.in_call(call, on=(TroubleError,)) == "yes"
    assert 0 <= clock.now <= 4


def test_three_tries_are_enough(clock: Clock) -> None:
    calls = []

    def call() -> None:
        calls.append(clock.now)
        raise TroubleError

    with pytest.raises(TroubleError):
        retry.in_call(call, on=(TroubleError,))
    assert len(calls) == retry.TRIES


@pytest.mark.parametrize("call_seconds", [1.0, 9.0, 13.0])
def test_no_call_ends_after_its_claim(clock: Clock, call_seconds: float) -> None:
    """Whoever waits for Stripe for longer than his claim is renewed works for nothing."""

    def call() -> None:
        clock.sleep(call_seconds)
        raise TroubleError

    for _ in range(50):
        clock.now = 0.0
        with pytest.raises(TroubleError):
            retry.in_call(call, on=(TroubleError,))
        assert clock.now <= retry.IN_CALL_SECONDS


def test_what_is_not_transient_is_not_repeated(clock: Clock) -> None:
    calls = []

    def call() -> None:
        calls.append(1)
        raise ValueError

    with pytest.raises(ValueError):  # noqa: PT011  # the error itself is what matters
        retry.in_call(call, on=(TroubleError,))
    assert len(calls) == 1


@pytest.mark.parametrize("waits", [retry.STRIPE, retry.EVENT, retry.HANDLER_ERROR])
def test_waits_grow_and_chance_shortens_them_by_less_than_half(waits: retry.Waits) -> None:
    assert list(waits.seconds) == sorted(waits.seconds)
    for _ in range(100):
        drawn = [retry.after(waits, number) for number in range(len(waits.seconds))]
        seconds = [wait.total_seconds() for wait in drawn if wait is not None]
        assert all(most / 2 < wait <= most for wait, most in zip(seconds, waits.seconds, strict=True))


def test_trouble_with_stripe_that_passes_within_seconds_is_waited_for_no_longer() -> None:
    """An outage of ten seconds is over when the last wait that began in it is, give or take a few seconds."""
    begun = list(accumulate(retry.STRIPE.seconds, initial=0.0))
    assert max(wait for begins, wait in zip(begun, retry.STRIPE.seconds, strict=False) if begins < 12) <= 4


def test_waits_differ() -> None:
    """Those that failed together must not come back together."""
    assert len({retry.after(retry.STRIPE, 6) for _ in range(20)}) > 10


def test_stripe_is_tried_for_ever_at_a_capped_pace() -> None:
    for deferrals in (7, 100, 10_000):
        wait = retry.after(retry.STRIPE, deferrals)
        assert wait is not None
        assert wait <= retry.LONGEST


@pytest.mark.parametrize("waits", [retry.EVENT, retry.HANDLER_ERROR])
def test_events_end(waits: retry.Waits) -> None:
    assert retry.after(waits, len(waits.seconds)) is None
    assert retry.after(waits, len(waits.seconds) - 1) is not None


def test_where_stripe_is_asked_too_much_it_is_tried_again_within_seconds() -> None:
    """However often: we ask half as much then, and a wait of a minute after it has places again helps nobody."""
    assert timedelta(seconds=2) <= StripeBusyError().wait_after(50) <= timedelta(seconds=4)


def test_what_found_no_place_comes_back_when_the_limiter_says() -> None:
    """However often it was sent away."""
    assert [StripeCrowdedError(7.5).wait_after(times) for times in (0, 50)] == [timedelta(seconds=7.5)] * 2


def test_trouble_of_stripe_is_left_alone_for_longer_and_longer() -> None:
    assert OutcomeUnknownError().wait_after(50) > timedelta(seconds=30)
