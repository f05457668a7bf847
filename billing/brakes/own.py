"""What a process counts alone while Valkey is away: as `billing.brakes.script` does, and never away itself."""

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from billing.brakes import terms
from billing.brakes.lanes import TERMS, Lane
from billing.brakes.terms import Bucket, Limits
from billing.brakes.words import Asked, Kind, Outcome, Turn, Verdict

GOOD = (Outcome.FINE, Outcome.BUSY)
ALL = "all"


@dataclass(slots=True)
class _Rate:
    """The share of the full rate that is used: halved where Stripe is asked too much, and regained step by step."""

    from_share: float = 1.0
    at: float = float("-inf")

    def share(self, now: float) -> float:
        return min(1.0, self.from_share + (now - self.at) * terms.REGAINED_A_SECOND)

    def slow_down(self, share: float, now: float) -> None:
        self.from_share, self.at = share, now

    def halve(self, now: float) -> Turn | None:
        if now - self.at < terms.HALVED_EVERY_SECONDS:
            return None
        self.slow_down(max(terms.SLOWEST, self.share(now) / 2), now)
        return Turn.SLOWED


@dataclass(slots=True)
class _Breaker:
    epoch: int = 0
    is_open: bool = False
    probe_at: float = 0.0
    good: int = 0
    outcomes: deque[tuple[float, bool]] = field(default_factory=deque)
    """When each call of the window ended, and whether it failed."""

    def open(self, now: float) -> Turn:
        self.is_open, self.good, self.probe_at = True, 0, now + terms.PROBE_EVERY_SECONDS
        return Turn.OPENED

    def note(self, outcome: Outcome, now: float) -> Turn | None:
        self.outcomes.append((now, outcome not in GOOD))
        while self.outcomes[0][0] < now - terms.WINDOW_SECONDS:
            self.outcomes.popleft()
        return self.open(now) if outcome is Outcome.REFUSED or (outcome not in GOOD and self._is_failing()) else None

    def _is_failing(self) -> bool:
        failures, calls = sum(has_failed for _, has_failed in self.outcomes), len(self.outcomes)
        return calls >= terms.FEWEST_CALLS and failures >= terms.FAILING_SHARE * calls

    def probed(self, outcome: Outcome, now: float) -> Turn | None:
        self.good = self.good + 1 if outcome in GOOD else 0
        self.probe_at = now if self.good else now + terms.PROBE_EVERY_SECONDS
        if self.good < terms.GOOD_PROBES:
            return None
        self.is_open, self.epoch = False, self.epoch + 1
        self.outcomes.clear()
        return Turn.CLOSED


class OwnBrakes:
    """Safe to share between threads; `clock` is in seconds and only goes on."""

    def __init__(self, limits: Limits, clock: Callable[[], float] = time.monotonic) -> None:
        self._limits = limits
        self._clock = clock
        self._lock = threading.Lock()
        self._rate = _Rate()
        self._breaker = _Breaker()
        self._places: dict[str, tuple[float, float]] = {}
        self._lines: dict[tuple[Lane, str], float] = {}

    def ask(self, asked: Asked) -> Verdict:
        with self._lock:
            now, breaker = self._clock(), self._breaker
            if breaker.is_open:
                return Verdict(self._at_the_open_breaker(now), breaker.epoch, is_own=True)
            wait, narrow = self._take_or_wait(asked, now)
            if wait <= asked.patience_seconds:
                return Verdict(Kind.WAIT if wait else Kind.GO, breaker.epoch, wait, is_own=True)
            return Verdict(Kind.CROWDED, breaker.epoch, self._stand_in_line(asked.lane, narrow, wait, now), is_own=True)

    def tell(self, verdict: Verdict, outcome: Outcome) -> Turn | None:
        with self._lock:
            now, breaker = self._clock(), self._breaker
            if verdict.epoch != breaker.epoch:
                return None
            slowed = self._rate.halve(now) if outcome is Outcome.BUSY else None
            if not breaker.is_open:
                return breaker.note(outcome, now) or slowed
            turn = breaker.probed(outcome, now) if verdict.kind is Kind.PROBE else None
            if turn is Turn.CLOSED:
                self._rate.slow_down(terms.RAMP_FROM, now)
            return turn or slowed

    def _at_the_open_breaker(self, now: float) -> Kind:
        if now < self._breaker.probe_at:
            return Kind.PARKED
        self._breaker.probe_at = now + terms.PROBE_LOST_SECONDS
        return Kind.PROBE

    def _take_or_wait(self, asked: Asked, now: float) -> tuple[float, str]:
        """How long there is no place, and in which bucket; 0 where one was taken."""
        share, reserve = self._rate.share(now), TERMS[asked.lane].reserve
        buckets = {
            ALL: self._limits.all_calls.slowed(share),
            f"of:{asked.endpoint}": self._limits.endpoint.slowed(share),
        }
        left = {name: self._left(name, bucket, now) for name, bucket in buckets.items()}
        missing = {name: bucket.needed(reserve) - left[name] for name, bucket in buckets.items()}
        wait, narrow = max((missing[name] / bucket.per_second, name) for name, bucket in buckets.items())
        wait = max(0.0, wait)
        self._places.update({name: (found - (wait == 0), now) for name, found in left.items()})
        return wait, narrow

    def _stand_in_line(self, lane: Lane, name: str, wait: float, now: float) -> float:
        whole = self._limits.all_calls if name == ALL else self._limits.endpoint
        last = min(self._lines.get((lane, name), 0.0), now + terms.LONGEST_LINE_SECONDS)
        mine = max(now + wait, last + 1 / whole.slowed(self._rate.share(now)).per_second)
        self._lines[lane, name] = mine
        return mine - now

    def _left(self, name: str, bucket: Bucket, now: float) -> float:
        places, at = self._places.get(name, (bucket.capacity, now))
        return min(bucket.capacity, places + (now - at) * bucket.per_second)
