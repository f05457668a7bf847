"""What a period left unused and what of it lives on in the next one, as the plan of the new period allows."""

from datetime import datetime

from sqlalchemy import text
from sqlmodel import Session

from billing import ledger
from billing.ledger import Extension
from billing.ledger.expiries import write_off
from billing.models import Subscription
from billing.recurring import InvoiceLine

# The oldest first: what is over the cap is lost in this order.
LEFT = text("""
    SELECT lot.id, lot.minutes_left FROM hour_lot AS lot JOIN purchase ON purchase.id = lot.purchase_id
    WHERE purchase.subscription_id = :subscription_id AND lot.student_id = :student_id
        AND lot.minutes_left > 0 AND lot.expires_at <= :starts_at
    ORDER BY lot.starts_at, lot.id
""")


def roll_over(
    session: Session, row: Subscription, cap: int | None, period: InvoiceLine, *, source: str, at: datetime
) -> None:
    """Of the minutes that earlier periods of a locked subscription left, `cap` at most live until this one ends.

    What is above the cap is written off. What a sweep has written off already stays so, and a plan without a cap
    leaves everything to the sweep.
    """
    if cap is None:
        return
    ledger.lock_balances(session, [row.student_id])
    given = {"subscription_id": row.id, "student_id": row.student_id, "starts_at": period.period_start}
    left = {lot.id: lot.minutes_left for lot in session.execute(LEFT, given)}
    losses = _losses(left, sum(left.values()) - cap)
    write_off(session, losses, at=at)
    alive = [lot_id for lot_id, minutes in left.items() if losses.get(lot_id, 0) < minutes]
    ledger.extend(session, [Extension(lot_id, period.period_end) for lot_id in alive], source=source, at=at)


def _losses(left: dict[int, int], surplus: int) -> dict[int, int]:
    """So much of each lot, the oldest first."""
    losses: dict[int, int] = {}
    for lot_id, minutes in left.items():
        if surplus <= 0:
            break
        losses[lot_id] = min(minutes, surplus)
        surplus -= losses[lot_id]
    return losses
