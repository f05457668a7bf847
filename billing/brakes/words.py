"""What is asked of the brakes, what they answer, and what they are told."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from billing.brakes.lanes import Lane
from billing.errors import TransientError
from billing.gateway import GatewayError, OutcomeUnknownError, StripeBusyError, StripeRefusedUsError

OTHERS_HOLD_IT = frozenset({"lock_timeout", "idempotency_key_in_use"})
"""Codes by which Stripe says that one object is busy, not that it is asked too much."""


class Kind(StrEnum):
    GO = "go"
    WAIT = "wait"
    CROWDED = "crowded"
    """There will be no place within the caller's patience; there should be one for it after `wait_seconds`."""
    PARKED = "parked"
    """Stripe is in trouble: nothing is sent."""
    PROBE = "probe"
    """As parked; and it is the caller's turn to find out whether the trouble is over."""


class Outcome(StrEnum):
    FINE = "fine"
    """Stripe answered, whatever it answered."""
    BUSY = "busy"
    """It is asked too much."""
    FAILED = "failed"
    REFUSED = "refused"
    """It does not take our key."""


@dataclass(frozen=True, slots=True)
class Asked:
    endpoint: str
    lane: Lane
    patience_seconds: float
    is_first: bool
    """False for a call that was told to wait already: it is counted once."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """`epoch` counts the pauses so far: the outcome of a call that began before one says nothing after it."""

    kind: Kind
    epoch: int
    wait_seconds: float = 0.0
    is_own: bool = False
    """Given by the process itself, without the others."""


class Turn(StrEnum):
    """What an outcome brought about."""

    OPENED = "opened"
    CLOSED = "closed"
    SLOWED = "slowed"


@dataclass(frozen=True, slots=True)
class BrakesView:
    """Calls, failures, waits and those put off are of the last twenty seconds; the latter by lane."""

    is_paused: bool
    paused_seconds: float
    reason: str
    calls: int
    failures: int
    rate_share: float
    """How much of the full rate is used now."""
    waits: Mapping[str, int]
    put_off: Mapping[str, int]

    @property
    def failing_share(self) -> float:
        return self.failures / self.calls if self.calls else 0.0


class BrakesAwayError(TransientError):
    """Nobody can be asked what all processes have counted."""


class Counting(Protocol):
    """Where calls are counted: together with all processes, or alone."""

    def ask(self, asked: Asked) -> Verdict:
        """GO has taken a place. Raises BrakesAwayError."""

    def tell(self, verdict: Verdict, outcome: Outcome) -> Turn | None:
        """Raises BrakesAwayError."""


def outcome_of(error: GatewayError) -> Outcome:
    if isinstance(error, StripeRefusedUsError):
        return Outcome.REFUSED
    if isinstance(error, OutcomeUnknownError):
        return Outcome.FAILED
    is_busy = isinstance(error, StripeBusyError) and error.code not in OTHERS_HOLD_IT
    return Outcome.BUSY if is_busy else Outcome.FINE
