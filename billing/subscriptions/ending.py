"""A subscription that ended before it began: its first invoice was never paid."""

from datetime import datetime

from sqlmodel import Session

from billing import work
from billing.models import Purchase
from billing.purchases import lifecycle
from billing.states import PAYABLE


def end_unpaid(session: Session, first: Purchase, *, cause: str, at: datetime) -> None:
    """The locked first purchase ends as it does by the event that its intent was cancelled, whichever comes first.

    One that was paid stays what it is: the hours of a paid period are not touched.
    """
    target, step = lifecycle.end_of(first)
    if first.state not in PAYABLE or not lifecycle.can_move(first.state, target):
        return
    lifecycle.move_to(first, target)
    lifecycle.note_step(session, first, step, cause=cause, at=at)
    work.close(first)
