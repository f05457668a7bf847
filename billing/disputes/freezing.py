"""Minutes that nobody can spend while the payment for them is disputed."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from sqlalchemy import text
from sqlmodel import Session

from billing import ledger
from billing.disputes.postings import post
from billing.models import Dispute, Purchase
from billing.states import EntryKind, Part

MOST_SESSIONS = 20

# Lessons that are booked and would be paid by hours of this lot.
BOOKED = text("""
    SELECT consumption.session_id FROM consumption
    JOIN hour_entry AS entry ON entry.consumption_id = consumption.id
    JOIN hour_allocation AS part ON part.entry_id = entry.id
    WHERE part.lot_id = :lot_id AND consumption.state = 'held'
    GROUP BY consumption.id ORDER BY consumption.ends_at LIMIT :most
""")


def booked_sessions(session: Session, lot: ledger.Lot) -> Sequence[str]:
    return session.execute(BOOKED, {"lot_id": lot.id, "most": MOST_SESSIONS}).scalars().all()


def freeze(
    session: Session, purchase: Purchase, dispute: Dispute, lot: ledger.Lot, *, source: str, at: datetime, more: int = 0
) -> None:
    """What is left of a lot that can still be spent, and `more` that came back to it since it was locked."""
    minutes = (lot.left if lot.is_alive(at) else 0) + more
    dispute.minutes_frozen += minutes
    post(session, purchase, lot, [(EntryKind.FREEZE, source, -minutes, Part.FROZEN)], at)


def thaw(
    session: Session, purchase: Purchase, disputes: Iterable[Dispute], lot: ledger.Lot, *, source: str, at: datetime
) -> int:
    """What these froze is left again; returns the minutes."""
    minutes = 0
    for dispute in disputes:
        minutes += dispute.minutes_frozen
        dispute.minutes_frozen = 0
    post(session, purchase, lot, [(EntryKind.THAW, source, minutes, Part.FROZEN)], at)
    return minutes
