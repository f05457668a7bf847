"""How a call gets past the brakes: in its turn, by the word of all processes or of its own, and its outcome is told."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import sleep
from typing import Self, TypeVar

import structlog

from billing.brakes.lanes import TERMS, Lane, current_lane
from billing.brakes.own import OwnBrakes
from billing.brakes.shared import SharedBrakes
from billing.brakes.terms import OWN_SHARE, Limits
from billing.brakes.words import Asked, BrakesAwayError, Counting, Kind, Outcome, Turn, Verdict, outcome_of
from billing.config import Settings
from billing.gateway import GatewayError, StripeCrowdedError, StripePausedError

T = TypeVar("T")
log: structlog.stdlib.BoundLogger = structlog.get_logger("billing.brakes")

PAUSE_SECONDS = 1.0
"""So long a Valkey that failed is left alone; then one caller tries it, and no other waits for what it finds."""
SHORTEST_WAIT_SECONDS = 0.001


class Brakes:
    """Safe to share between threads; made after a fork."""

    def __init__(self, shared: Counting, own: Counting) -> None:
        self._shared, self._own = shared, own
        self._lock = threading.Lock()
        self._left_alone_until = 0.0
        self._turns: dict[tuple[str, Lane], threading.Lock] = {}

    @classmethod
    def of(cls, settings: Settings) -> Self:
        shared = SharedBrakes(settings.redis_url, Limits.of(settings))
        return cls(shared, OwnBrakes(Limits.of(settings, OWN_SHARE)))

    def passage(self, endpoint: str, *, is_read: bool) -> "Passage":
        """For one call and its repetitions, in the lane of the current context; its patience begins now."""
        return Passage(self, endpoint, is_read=is_read)

    def ask(self, asked: Asked) -> Verdict:
        if self._may_ask_valkey():
            try:
                verdict = self._shared.ask(asked)
            except BrakesAwayError as error:
                self._leave_alone(error)
            else:
                self._is_back()
                return verdict
        return self._own.ask(asked)

    def tell(self, verdict: Verdict, outcome: Outcome) -> None:
        """An outcome that Valkey does not take is not told: the next one will be."""
        if not verdict.is_own and self._left_alone_until:
            return
        try:
            turn = (self._own if verdict.is_own else self._shared).tell(verdict, outcome)
        except BrakesAwayError as error:
            self._leave_alone(error)
        else:
            _log_turn(turn, outcome)

    @contextmanager
    def turn(self, endpoint: str, lane: Lane, patience_seconds: float) -> Iterator[None]:
        """Threads of a process ask one after the other, so that a place that comes free is not asked for by all.

        Who has waited for too long asks all the same: there may be a place by now.
        """
        turns = self._turns.setdefault((endpoint, lane), threading.Lock())
        has_turn = turns.acquire(timeout=patience_seconds)
        try:
            yield
        finally:
            if has_turn:
                turns.release()

    def _may_ask_valkey(self) -> bool:
        with self._lock:
            now = time.monotonic()
            if now < self._left_alone_until:
                return False
            if self._left_alone_until:
                self._left_alone_until = now + PAUSE_SECONDS
            return True

    def _leave_alone(self, error: BrakesAwayError) -> None:
        with self._lock:
            if not self._left_alone_until:
                log.warning("shared_brakes_away", error=str(error))
            self._left_alone_until = time.monotonic() + PAUSE_SECONDS

    def _is_back(self) -> None:
        if self._left_alone_until:
            with self._lock:
                self._left_alone_until = 0.0
            log.info("shared_brakes_back")


class Passage:
    """One call, however often it is tried. `told` is what its last try that was sent came to, where it failed."""

    def __init__(self, brakes: Brakes, endpoint: str, *, is_read: bool) -> None:
        self._brakes, self._endpoint, self._is_read = brakes, endpoint, is_read
        self._lane = current_lane()
        self._deadline = time.monotonic() + TERMS[self._lane].patience_seconds
        self.told: GatewayError | None = None

    def through(self, call: Callable[[], T], look: Callable[[], object]) -> T:
        """What the call returns. `look` is a cheap read that finds out whether Stripe works, before anything is sent.

        Raises StripePausedError or StripeCrowdedError where the call was not made, and what it raised where it was.
        """
        verdict = self._admitted(look)
        try:
            return self._watched(verdict, call)
        except GatewayError as error:
            self.told = error
            raise

    def _admitted(self, look: Callable[[], object]) -> Verdict:
        while True:
            verdict = self._verdict()
            if verdict.kind is Kind.GO or (verdict.kind is Kind.PROBE and self._is_read):
                return verdict
            if verdict.kind is Kind.CROWDED:
                raise StripeCrowdedError(verdict.wait_seconds)
            if verdict.kind is Kind.PARKED:
                raise StripePausedError
            self._probe(verdict, look)

    def _probe(self, verdict: Verdict, look: Callable[[], object]) -> None:
        try:
            self._watched(verdict, look)
        except GatewayError:
            raise StripePausedError from None

    def _verdict(self) -> Verdict:
        """Anything but WAIT."""
        is_first = True
        with self._brakes.turn(self._endpoint, self._lane, self._patience()):
            while True:
                verdict = self._brakes.ask(Asked(self._endpoint, self._lane, self._patience(), is_first))
                if verdict.kind is not Kind.WAIT:
                    return verdict
                is_first = False
                sleep(max(SHORTEST_WAIT_SECONDS, verdict.wait_seconds))

    def _patience(self) -> float:
        return max(0.0, self._deadline - time.monotonic())

    def _watched(self, verdict: Verdict, call: Callable[[], T]) -> T:
        try:
            answer = call()
        except GatewayError as error:
            self._brakes.tell(verdict, outcome_of(error))
            raise
        self._brakes.tell(verdict, Outcome.FINE)
        return answer


def _log_turn(turn: Turn | None, outcome: Outcome) -> None:
    """A pause is an alarm: nobody can pay until it ends."""
    if turn is Turn.OPENED:
        log.error("stripe_paused", reason=outcome.value)
    elif turn is Turn.CLOSED:
        log.info("stripe_resumed")
    elif turn is Turn.SLOWED:
        log.warning("stripe_slowed")
