"""Hours as the ledger keeps them: credited by it, and taken as the rules for lessons will take them."""

from datetime import UTC, datetime, timedelta

from sqlalchemy import text

from billing import ledger
from billing.db import Begin
from billing.ledger import Credit
from billing.models import Purchase
from billing.states import LotOrigin, PurchaseState
from tests.support.factories import STANDARD_CENTS, STANDARD_MINUTES, add_purchase

DAY = timedelta(days=1)

TAKE = text("""
    WITH lot AS (
        UPDATE hour_lot SET minutes_left = minutes_left - :minutes, minutes_consumed = minutes_consumed + :minutes
        WHERE id = :lot RETURNING id, student_id
    ), balance AS (
        UPDATE student_balance
        SET minutes_left = minutes_left - :minutes, minutes_consumed = minutes_consumed + :minutes
        FROM lot WHERE student_balance.student_id = lot.student_id
        RETURNING student_balance.student_id, minutes_left
    ), entry AS (
        INSERT INTO hour_entry (student_id, kind, minutes, balance_after, source, at)
        SELECT student_id, 'consume', -:minutes, minutes_left, :source, :at FROM balance
        RETURNING id
    )
    INSERT INTO hour_allocation (entry_id, lot_id, minutes) SELECT entry.id, lot.id, -:minutes FROM entry, lot
""")


def bought(
    begin: Begin, student_id: int, *, at: datetime, expires_at: datetime | None = None, caller: str | None = None
) -> Purchase:
    """A paid standard package with its hours."""
    purchase = add_purchase(
        begin, at=at, state=PurchaseState.COMPLETED, student_id=student_id, caller_sub=caller, due_at=None, hint_at=None
    )
    credited(begin, student_id, at=at, expires_at=expires_at or at + 45 * DAY, purchase=purchase)
    return purchase


def credited(
    begin: Begin,
    student_id: int,
    *,
    at: datetime,
    expires_at: datetime | None,
    minutes: int = STANDARD_MINUTES,
    source: str = "grant:1",
    purchase: Purchase | None = None,
) -> None:
    credit = Credit(
        student_id=student_id,
        origin=LotOrigin.PURCHASE if purchase else LotOrigin.GRANT,
        source=f"purchase:{purchase.id}:paid" if purchase else source,
        purchase_id=purchase.id if purchase else None,
        minutes=minutes,
        value_cents=STANDARD_CENTS if purchase else 0,
        currency="eur",
        starts_at=datetime(2020, 1, 1, tzinfo=UTC),
        expires_at=expires_at,
        at=at,
    )
    with begin() as session:
        ledger.credit(session, [credit])


def taken(begin: Begin, lot_id: int, minutes: int, *, at: datetime, session: str = "s1") -> None:
    """A lesson, paid from one lot."""
    given = {"lot": lot_id, "minutes": minutes, "at": at, "source": f"session:{session}:lot:{lot_id}"}
    with begin() as connection:
        connection.execute(TAKE, given)
