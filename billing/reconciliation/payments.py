"""Payments at Stripe beside our purchases: which of them differ, and how."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import text
from sqlmodel import Session

from billing.gateway import Intent
from billing.reconciliation.findings import Difference
from billing.states import PAID, FindingKind, PurchaseState

FRESH = timedelta(minutes=10)
"""What is younger than this may still be on its way to us."""

FACTS = "SELECT id, payment_intent_id, state, price_cents, currency, paid_at, transaction_id FROM purchase"
OF_INTENTS = text(f"{FACTS} WHERE payment_intent_id = ANY(CAST(:intents AS text[]))")
PAID_BETWEEN = text(f"""
    {FACTS} WHERE paid_at BETWEEN :since AND :until AND payment_intent_id IS NOT NULL AND transaction_id > :after
    ORDER BY transaction_id LIMIT :most
""")


@dataclass(frozen=True, slots=True)
class Ours:
    """What a purchase says of its payment, a renewal's too."""

    id: UUID
    payment_intent_id: str
    state: PurchaseState
    price_cents: int
    currency: str
    paid_at: datetime | None
    transaction_id: int


def of_intents(session: Session, intents: Sequence[str]) -> Mapping[str, Ours]:
    rows = session.execute(OF_INTENTS, {"intents": list(intents)}).mappings()
    return {row["payment_intent_id"]: Ours(**{**row, "state": PurchaseState(row["state"])}) for row in rows}


def paid_between(session: Session, since: datetime, until: datetime, *, after: int, most: int) -> Sequence[Ours]:
    """In the order of their numbers, those after `after`."""
    values = {"since": since, "until": until, "after": after, "most": most}
    rows = session.execute(PAID_BETWEEN, values).mappings()
    return [Ours(**{**row, "state": PurchaseState(row["state"])}) for row in rows]


def compared(ours: Ours, intent: Intent, *, now: datetime) -> Difference | None:
    """None where they agree, and where one of the two is too fresh to be known to the other."""
    is_paid_there, is_paid_here = intent.status == "succeeded", ours.state in PAID
    if is_paid_there and _is_fresh(intent.paid_at or intent.created_at, now):
        return None
    if is_paid_there and (intent.amount_received_cents, intent.currency) != (ours.price_cents, ours.currency):
        return _amount_differs(ours, intent)
    if is_paid_there and not is_paid_here:
        return _difference(FindingKind.UNPAID_HERE, ours, intent, f"paid at Stripe, and {ours.state} here")
    if is_paid_here and not is_paid_there and not _is_fresh(ours.paid_at, now):
        return _difference(FindingKind.UNPAID_THERE, ours, intent, f"{ours.state} here, and {intent.status} at Stripe")
    return None


def not_there(ours: Ours) -> Difference:
    """Stripe says that it has no such payment: it is of another account or mode, or never was."""
    words = f"{ours.state} here, and Stripe does not know its payment"
    return Difference(FindingKind.UNPAID_THERE, ours.payment_intent_id, words, ours.id, ours_cents=ours.price_cents)


def _amount_differs(ours: Ours, intent: Intent) -> Difference:
    paid, sold = f"{intent.amount_received_cents} {intent.currency}", f"{ours.price_cents} {ours.currency}"
    return _difference(FindingKind.AMOUNT, ours, intent, f"paid {paid} (in cents), sold for {sold}; {ours.state} here")


def _difference(kind: FindingKind, ours: Ours, intent: Intent, words: str) -> Difference:
    here = ours.price_cents if ours.state in PAID or kind is FindingKind.AMOUNT else 0
    return Difference(kind, intent.id, words, ours.id, here, intent.amount_received_cents)


def _is_fresh(at: datetime | None, now: datetime) -> bool:
    return at is not None and at > now - FRESH
