"""Payments to be asked about: after five minutes, an hour, and then each day, for five days."""

from datetime import datetime, timedelta

from sqlalchemy.dialects.postgresql import insert
from sqlmodel import Session

from billing import work
from billing.models import PaymentWatch, Purchase

DAY = timedelta(days=1)
ASKS = (timedelta(minutes=5), timedelta(hours=1), DAY, DAY, DAY, DAY, DAY)
"""How long after the one before each time to ask comes."""


def watch(session: Session, purchase: Purchase, *, at: datetime) -> None:
    """From now on somebody may pay it, and news of that may be lost."""
    due = work.database_now(ASKS[0])
    row = insert(PaymentWatch).values(
        id=purchase.id, asks=0, request_id=purchase.request_id, began_at=at, due_at=due, hint_at=due
    )
    session.execute(row.on_conflict_do_nothing(index_elements=["id"]))


def watch_on(row: PaymentWatch) -> None:
    """It was asked about once more: again later, or never where that was often enough."""
    row.asks += 1
    if row.asks < len(ASKS):
        work.rest(row, ASKS[row.asks])
    else:
        work.close(row)
