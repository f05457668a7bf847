"""Refunds at Stripe beside ours: which of them differ, and how."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import text
from sqlmodel import Session

from billing.gateway import RefundThere
from billing.reconciliation.findings import Difference
from billing.reconciliation.payments import FRESH
from billing.states import FindingKind, RefundState

GOING_THERE = frozenset({"pending", "requires_action", "succeeded"})
"""Stripe's words for money that is on its way back, or back ("The Refund object", `status`)."""
GOING_HERE = frozenset({RefundState.HELD, RefundState.SENT, RefundState.SUCCEEDED})

FACTS = """
    SELECT refund.id, refund.stripe_refund_id, refund.purchase_id, purchase.payment_intent_id, refund.state,
        refund.amount_cents, refund.currency, coalesce(refund.decided_at, refund.created_at) AS changed_at
    FROM refund JOIN purchase ON purchase.id = refund.purchase_id
"""
OF_REFUNDS = text(f"{FACTS} WHERE refund.stripe_refund_id = ANY(CAST(:refunds AS text[]))")
OF_INTENTS = text("SELECT payment_intent_id, id FROM purchase WHERE payment_intent_id = ANY(CAST(:intents AS text[]))")
SUCCEEDED_BETWEEN = text(f"""
    {FACTS} WHERE refund.state = 'succeeded' AND refund.created_at BETWEEN :since AND :until AND refund.id > :after
    ORDER BY refund.id LIMIT :most
""")
FIRST = UUID(int=0)


@dataclass(frozen=True, slots=True)
class Ours:
    id: UUID
    stripe_refund_id: str | None
    purchase_id: UUID
    payment_intent_id: str | None
    state: RefundState
    amount_cents: int
    currency: str
    changed_at: datetime

    @property
    def going_cents(self) -> int:
        return self.amount_cents if self.state in GOING_HERE else 0


@dataclass(frozen=True, slots=True)
class Known:
    """What we have beside a page of refunds: rows by Stripe's ids, and purchases by their payments."""

    refunds: Mapping[str, Ours]
    purchases: Mapping[str, UUID]


def known(session: Session, page: Sequence[RefundThere]) -> Known:
    rows = session.execute(OF_REFUNDS, {"refunds": [there.id for there in page]}).mappings()
    intents = [there.payment_intent_id for there in page if there.payment_intent_id]
    purchases = session.execute(OF_INTENTS, {"intents": intents})
    return Known(
        {row["stripe_refund_id"]: Ours(**{**row, "state": RefundState(row["state"])}) for row in rows},
        {row.payment_intent_id: row.id for row in purchases},
    )


def succeeded_between(session: Session, since: datetime, until: datetime, *, after: UUID, most: int) -> Sequence[Ours]:
    """In the order of their ids, those after `after`."""
    values = {"since": since, "until": until, "after": after, "most": most}
    rows = session.execute(SUCCEEDED_BETWEEN, values).mappings()
    return [Ours(**{**row, "state": RefundState(row["state"])}) for row in rows]


def compared(there: RefundThere, ours: Known, *, now: datetime) -> Difference | None:
    """None for refunds of payments that are none of ours, and for those that may still be on their way to us."""
    purchase_id = ours.purchases.get(there.payment_intent_id or "")
    if purchase_id is None or there.created_at > now - FRESH:
        return None
    row = ours.refunds.get(there.id)
    theirs_cents = there.amount_cents if there.status in GOING_THERE else 0
    if row is None:
        return _missing(there, purchase_id, theirs_cents) if theirs_cents else None
    if row.changed_at > now - FRESH or (row.going_cents, row.currency) == (theirs_cents, there.currency):
        return None
    words = f"{there.amount_cents} {there.currency} (in cents) {there.status} at Stripe, "
    words += f"{row.amount_cents} {row.currency} {row.state} here"
    return Difference(FindingKind.REFUND_AMOUNT, there.id, words, purchase_id, row.going_cents, theirs_cents)


def not_there(ours: Ours) -> Difference:
    words = f"{ours.amount_cents} {ours.currency} (in cents) given back here, and Stripe does not know the refund"
    source = ours.stripe_refund_id or str(ours.id)
    return Difference(FindingKind.REFUND_AMOUNT, source, words, ours.purchase_id, ours.amount_cents, 0)


def _missing(there: RefundThere, purchase_id: UUID, cents: int) -> Difference:
    words = f"{cents} {there.currency} (in cents) {there.status} at Stripe, and unknown here"
    return Difference(FindingKind.REFUND_MISSING, there.id, words, purchase_id, None, cents)
