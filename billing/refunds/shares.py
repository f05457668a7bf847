"""The minutes that go with money which left without asking us: a refund made elsewhere, a dispute that was lost."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text
from sqlmodel import Session

from billing import ledger
from billing.models import Purchase
from billing.states import Part

# A refund that failed, and a dispute that was won after all, speak for nothing any more.
SPOKEN_FOR = text("""
    SELECT
        (SELECT coalesce(sum(minutes), 0) FROM refund WHERE purchase_id = :id AND state IN ('held', 'sent')) AS held,
        (SELECT coalesce(sum(minutes_short), 0) FROM refund
            WHERE purchase_id = :id AND state IN ('held', 'sent', 'succeeded'))
        + (SELECT coalesce(sum(minutes_short), 0) FROM dispute WHERE purchase_id = :id AND state = 'lost') AS short
""")


@dataclass(frozen=True, slots=True)
class Share:
    """`minutes` are taken from what is left; `short` are not there any more, so the student owes them."""

    minutes: int
    short: int


@dataclass(frozen=True, slots=True)
class SpokenFor:
    """Minutes that earlier money took, or is about to take: `held` by refunds on their way, `short` owed instead."""

    held: int
    short: int


def spoken_for(session: Session, purchase: Purchase) -> SpokenFor:
    """Of a locked purchase."""
    session.flush()
    row = session.execute(SPOKEN_FOR, {"id": purchase.id}).one()
    return SpokenFor(row.held, row.short)


def share_of(
    session: Session, purchase: Purchase, lot: ledger.Lot, amount_cents: int, *, at: datetime, frozen: int = 0
) -> Share:
    """All minutes that are due for all the money gone by now, less those that earlier money took.

    Reckoned from the whole, so that parts never lose nor double a minute to rounding. `frozen` minutes of the lot can
    be taken beside those that are left. What expired unused, swept or not, is nobody's debt.
    """
    earlier = spoken_for(session, purchase)
    gone_cents = purchase.refunded_cents + purchase.refunding_cents + amount_cents
    taken_before = lot.parts[Part.REFUNDED] + earlier.held + earlier.short
    due = max(0, lot.granted * gone_cents // purchase.price_cents - taken_before)
    left = lot.left if lot.is_alive(at) else 0
    lapsed = lot.parts[Part.EXPIRED] + lot.left - left
    taken = min(due, left + frozen)
    return Share(taken, max(0, due - taken - lapsed))
