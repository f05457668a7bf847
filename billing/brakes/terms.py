"""Every figure of the brakes, with its reason."""

from dataclasses import dataclass
from typing import Self

from billing.config import Settings

MARGIN = 0.95
"""What is left of a limit lets calls bunch on their way to Stripe without passing it."""
BURST = 0.2
"""So much of a limit may be used at once; the rest comes back evenly over a second."""
OWN_SHARE = 0.25
"""Of the limits, for a process that cannot count with the others: few of them call Stripe at the same time."""

SLOWEST = 1 / 16
HALVED_EVERY_SECONDS = 1.0
"""Answers 429 of one moment are one message."""
REGAINED_A_SECOND = 0.05
"""Of the full rate: a half is back after ten seconds."""
RAMP_FROM = 0.25
"""Of the full rate, after a pause: what has waited comes back in fifteen seconds, not all at once."""

LONGEST_LINE_SECONDS = 60.0
"""Nobody who is sent away is told to come back later than that: by then much can have changed."""

SLOT_SECONDS = 2.0
SLOTS = 10
WINDOW_SECONDS = SLOT_SECONDS * SLOTS
"""Long enough that three tries of one call fall into it, short enough that what is over is forgotten."""
FEWEST_CALLS = 10
"""Fewer say nothing about Stripe: the three tries of one unlucky call must not stop all others."""
FAILING_SHARE = 0.5
"""Where every second call fails, trying costs more slots and more doubtful outcomes than waiting."""

PROBE_EVERY_SECONDS = 3.0
PROBE_JITTER = 0.25
PROBE_LOST_SECONDS = 15.0
"""A probe that has not told its outcome by then died with its worker: the longest call takes 13 s."""
GOOD_PROBES = 2


@dataclass(frozen=True, slots=True)
class Bucket:
    """In any second that ever passes, at most `capacity + per_second` calls are let through."""

    capacity: float
    per_second: float

    @classmethod
    def of(cls, most: float) -> Self:
        usable = MARGIN * most
        capacity = max(1.0, BURST * most)
        return cls(capacity, max(usable - capacity, usable * BURST))

    def slowed(self, factor: float) -> "Bucket":
        return Bucket(max(1.0, self.capacity * factor), self.per_second * factor)

    def needed(self, reserve: float) -> float:
        """How many places there have to be for one to be taken in a lane with this reserve."""
        return 1 + reserve * (self.capacity - 1)


@dataclass(frozen=True, slots=True)
class Limits:
    """Of all calls together, and of those to each endpoint."""

    all_calls: Bucket
    endpoint: Bucket

    @classmethod
    def of(cls, settings: Settings, share: float = 1.0) -> Self:
        in_all, of_each = settings.stripe_calls_per_second, settings.stripe_calls_per_endpoint
        return cls(Bucket.of(in_all * share), Bucket.of(of_each * share))
