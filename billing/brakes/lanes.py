"""Whose call goes first: a buyer's, then what follows a payment, then everything that can wait for a quiet moment."""

from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from enum import StrEnum


class Lane(StrEnum):
    PURCHASE = "purchase"
    WEBHOOK = "webhook"
    MAINTENANCE = "maintenance"


@dataclass(frozen=True, slots=True)
class LaneTerms:
    """A lane draws only while more than `reserve` of a bucket is left to those before it.

    It waits for so long, and then its task gives its slot back.
    """

    reserve: float
    patience_seconds: float


TERMS: Mapping[Lane, LaneTerms] = {
    Lane.PURCHASE: LaneTerms(reserve=0.0, patience_seconds=2.0),
    # It runs in the threads of the purchases, which must not all wait with it.
    Lane.WEBHOOK: LaneTerms(reserve=0.2, patience_seconds=0.5),
    # It has threads of its own.
    Lane.MAINTENANCE: LaneTerms(reserve=0.5, patience_seconds=2.0),
}

OF_QUEUE: Mapping[str, Lane] = {"purchases": Lane.PURCHASE, "maintenance": Lane.MAINTENANCE}

_lane: ContextVar[Lane] = ContextVar("lane", default=Lane.MAINTENANCE)
"""A command that somebody types never delays a buyer."""


def enter_lane_of(queue: str) -> None:
    """Until the current context ends, calls to Stripe are made in the lane of what this queue brings."""
    _lane.set(OF_QUEUE.get(queue, Lane.WEBHOOK))


def current_lane() -> Lane:
    return _lane.get()
