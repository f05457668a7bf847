"""Which fault happens when: drawn from the seed before anything starts, so that a seed names a campaign."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from random import Random


class FaultKind(StrEnum):
    KILL = "kill"
    """A worker's main process, with SIGKILL."""
    CHILD = "child"
    """A process of a worker's pool, with SIGKILL."""
    WEB = "web"
    """The door, with SIGKILL."""
    STOP = "stop"
    """A worker is frozen past its leases, and wakes."""
    BROKER = "broker"
    """The broker is frozen, and thaws."""
    RESTART = "restart"
    """The broker is killed, and starts again."""
    WIPE = "wipe"
    """The broker forgets everything."""
    POSTGRES = "postgres"
    """The database shuts down at once and recovers, or its first process is killed."""
    STRIPE = "stripe"
    """Stripe answers with errors, late, with half an answer, or not at all, before or after it did the work."""
    DELIVERY = "delivery"
    """Events are doubled, late and out of order."""
    BEAT = "beat"
    """A second beat runs, or the first is killed."""
    CLOCK = "clock"
    """Business time jumps ahead by hours."""


SECONDS: Mapping[FaultKind, tuple[float, float]] = {
    FaultKind.STOP: (8.5, 11.0),
    FaultKind.BROKER: (2.0, 6.0),
    FaultKind.STRIPE: (2.0, 6.0),
    FaultKind.DELIVERY: (3.0, 8.0),
    FaultKind.BEAT: (4.0, 9.0),
}
"""How long those last that do not end by themselves; a lease lasts eight seconds."""
LARGEST_SEED = 10**6
FIRST_AFTER_SECONDS = 2.0
EVERY_SECONDS = (0.7, 2.4)


@dataclass(frozen=True, slots=True)
class Planned:
    """Seconds are of the campaign; `luck` decides what the kind leaves open."""

    kind: FaultKind
    begins: float
    ends: float
    luck: float


def draw_seed() -> int:
    """Short enough to be typed again."""
    return Random().randrange(LARGEST_SEED)  # noqa: S311  (luck of a test, not a secret)


def plan(seed: int, seconds: float, kinds: Sequence[FaultKind]) -> list[Planned]:
    """In the order in which they begin. Each kind comes before any comes again; none lasts longer than the campaign."""
    chance = Random(f"{seed}:faults")  # noqa: S311  (luck of a test, not a secret)
    found: list[Planned] = []
    waiting: list[FaultKind] = []
    at = FIRST_AFTER_SECONDS
    while at < seconds and kinds:
        waiting = waiting or chance.sample(kinds, len(kinds))
        fitting = [kind for kind in waiting if at + SECONDS.get(kind, (0, 0))[0] <= seconds]
        if fitting:
            waiting.remove(fitting[0])
            found.append(_planned(fitting[0], at, seconds, chance))
        at += chance.uniform(*EVERY_SECONDS)
    return found


def _planned(kind: FaultKind, at: float, seconds: float, chance: Random) -> Planned:
    shortest, longest = SECONDS.get(kind, (0.0, 0.0))
    return Planned(kind, at, min(seconds, at + chance.uniform(shortest, longest)), chance.random())
