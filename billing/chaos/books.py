"""Both sides of the money: what Stripe's lists say, and what our rows say."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import text

from billing.chaos.line import Line
from billing.db import Begin
from billing.deployment import MARK
from billing.errors import TransientError

PAGE = 100
PAID = "succeeded"
OURS = text("""
    SELECT purchase.id, purchase.price_cents, purchase.refunded_cents, purchase.state IN ('completed', 'refunded'),
        (SELECT count(*) FROM hour_lot AS lot WHERE lot.purchase_id = purchase.id),
        (SELECT count(*) FROM hour_entry AS entry WHERE entry.source = 'purchase:' || purchase.id || '\\:paid')
    FROM purchase
""")
MISSING = text("""
    SELECT promised FROM unnest(CAST(:purchases AS uuid[])) AS promised
    WHERE NOT EXISTS (SELECT FROM purchase WHERE id = promised)
    UNION ALL
    SELECT promised FROM unnest(CAST(:bookings AS uuid[])) AS promised
    WHERE NOT EXISTS (SELECT FROM consumption WHERE group_id = promised)
    UNION ALL
    SELECT promised FROM unnest(CAST(:staff_acts AS uuid[])) AS promised
    WHERE NOT EXISTS (SELECT FROM staff_act WHERE id = promised)
""")


class ListsUnreadableError(TransientError):
    """The sandbox does not show its lists."""


@dataclass(frozen=True, slots=True)
class Intent:
    id: str
    purchase_id: str
    status: str
    received_cents: int


@dataclass(frozen=True, slots=True)
class AtStripe:
    intents: Sequence[Intent]
    returned_cents: int

    @property
    def paid(self) -> Sequence[Intent]:
        return [intent for intent in self.intents if intent.status == PAID]

    @property
    def kept_cents(self) -> int:
        return sum(intent.received_cents for intent in self.paid) - self.returned_cents

    def duplicates(self) -> list[str]:
        """Purchases with more than one intent that was paid or can still be."""
        payable = Counter(intent.purchase_id for intent in self.intents if intent.status != "canceled")
        return sorted(purchase_id for purchase_id, number in payable.items() if number > 1)


@dataclass(frozen=True, slots=True)
class Ours:
    kept_cents: int
    credits: Mapping[str, int]
    """How often each purchase was credited."""

    def lost(self, stripe: AtStripe) -> list[str]:
        return sorted({intent.id for intent in stripe.paid if not self.credits.get(intent.purchase_id)})

    def doubled(self) -> list[str]:
        return sorted(purchase_id for purchase_id, number in self.credits.items() if number > 1)

    def unpaid(self, stripe: AtStripe) -> list[str]:
        """Credited without a payment at Stripe."""
        paid = {intent.purchase_id for intent in stripe.paid}
        return sorted(purchase_id for purchase_id, number in self.credits.items() if number and purchase_id not in paid)


def read_stripe(stripe: Line) -> AtStripe:
    """With the secret key. Raises ListsUnreadableError."""
    intents = [_intent(body) for body in _all(stripe, "/v1/payment_intents")]
    refunds = sum(body["amount"] for body in _all(stripe, "/v1/refunds") if body["status"] == PAID)
    disputes = sum(body["amount"] for body in _all(stripe, "/v1/disputes") if body["status"] == "lost")
    return AtStripe(intents, refunds + disputes)


def read_ours(begin: Begin) -> Ours:
    with begin() as session:
        rows = session.execute(OURS).all()
    kept = sum(price - refunded for _, price, refunded, is_paid, _, _ in rows if is_paid)
    return Ours(kept, {str(row[0]): max(row[4], row[5]) for row in rows})


def missing(begin: Begin, purchases: set[UUID], bookings: set[UUID], staff_acts: set[UUID]) -> list[str]:
    """What was promised and is in no row."""
    given = {"purchases": [*purchases], "bookings": [*bookings], "staff_acts": [*staff_acts]}
    with begin() as session:
        return sorted(str(row[0]) for row in session.execute(MISSING, given))


def _intent(body: Mapping[str, Any]) -> Intent:
    """Our mark is the installation and the purchase, with a colon between them."""
    _, _, purchase_id = str(body["metadata"].get(MARK, "")).rpartition(":")
    return Intent(body["id"], purchase_id, body["status"], body["amount_received"])


def _all(stripe: Line, path: str) -> Iterator[Mapping[str, Any]]:
    after = ""
    while True:
        answer = stripe.ask("GET", f"{path}?limit={PAGE}{after}")
        if answer is None or answer.status != 200:
            raise ListsUnreadableError(f"the sandbox does not list {path}")
        yield from answer.body["data"]
        if not answer.body["has_more"]:
            return
        after = f"&starting_after={answer.body['data'][-1]['id']}"
