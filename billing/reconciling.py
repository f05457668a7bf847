"""Stripe's side of a time: what happened, what was paid and what was given back, page by page."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

if TYPE_CHECKING:
    from billing.gateway import Intent, RefundThere

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class EventThere:
    """An event as Stripe lists it: `body` is the whole of it, in JSON."""

    id: str
    type: str
    created_at: datetime
    body: bytes

    def __repr__(self) -> str:
        return f"EventThere({self.id}, {self.type})"


@dataclass(frozen=True, slots=True)
class Listed(Generic[T]):
    """One page, the newest first; the next one comes after its last row."""

    rows: Sequence[T]
    has_more: bool


class ReconcilingGateway(Protocol):
    """The part of `PaymentGateway` that lists; every method raises a `GatewayError`, or answers.

    Both ends of the time are in it, in whole seconds. `after` is the id of the last row of the page before.
    """

    def list_events(
        self, since: datetime, until: datetime, *, types: Sequence[str], after: str | None = None
    ) -> Listed[EventThere]:
        """Events of these types at least. Stripe keeps them for 30 days (Stripe, "List all events")."""

    def list_intents(self, since: datetime, until: datetime, *, after: str | None = None) -> "Listed[Intent]":
        """All payment intents that were made in this time, ours or not."""

    def list_refunds_made(self, since: datetime, until: datetime, *, after: str | None = None) -> "Listed[RefundThere]":
        """All refunds that were made in this time, of whatever payment."""
