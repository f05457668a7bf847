"""Money that goes back, as a balance counts it, and hours that are owed for it."""

from datetime import datetime

from sqlalchemy import text
from sqlmodel import Session

RETURN = text("""
    UPDATE student_balance SET returned_cents = returned_cents + :cents, minutes_owed = minutes_owed + :minutes_owed
    WHERE student_id = :student_id
""")
# A lot that never expires stays so.
PROLONG = text("""
    UPDATE hour_lot SET expires_at = greatest(expires_at, :until) WHERE id = :lot_id AND expires_at IS NOT NULL
""")


def return_money(session: Session, student_id: int, *, cents: int, minutes_owed: int = 0) -> None:
    """The balance must be locked. Less than nothing: what had gone back is here again."""
    session.execute(RETURN, {"student_id": student_id, "cents": cents, "minutes_owed": minutes_owed})


def prolong(session: Session, lot_id: int, until: datetime) -> None:
    """A locked lot lives until then at least."""
    session.execute(PROLONG, {"lot_id": lot_id, "until": until})
