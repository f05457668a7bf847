"""How a dispute writes entries and cases."""

from collections.abc import Sequence
from datetime import datetime

from sqlmodel import Session

from billing import cases, ledger
from billing.ledger import Move, Posting
from billing.models import Dispute, Purchase
from billing.states import EntryKind, Part

Step = tuple[EntryKind, str, int, Part]
"""An entry: its kind, its source, and the minutes that come to what is left, out of this part."""


def post(session: Session, purchase: Purchase, lot: ledger.Lot, steps: Sequence[Step], at: datetime) -> None:
    """Steps of no minutes leave no entry."""
    postings = [
        Posting(lot.student_id, kind, source, [Move(lot.id, minutes, part)], at, purchase_id=purchase.id)
        for kind, source, minutes, part in steps
        if minutes
    ]
    ledger.post(session, postings)


def tell(session: Session, purchase: Purchase, dispute: Dispute, reason: str, detail: str, at: datetime) -> None:
    """A case for staff, one for each reason and dispute."""
    cases.open_case(session, reason, dispute.stripe_dispute_id, purchase_id=purchase.id, detail=detail, at=at)
