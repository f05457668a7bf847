"""Money that goes back, as a balance counts it, and hours that are owed for it."""

from sqlalchemy import text
from sqlmodel import Session

RETURN = text("""
    UPDATE student_balance SET returned_cents = returned_cents + :cents, minutes_owed = minutes_owed + :minutes_owed
    WHERE student_id = :student_id
""")


def return_money(session: Session, student_id: int, *, cents: int, minutes_owed: int = 0) -> None:
    """The balance must be locked. Less than nothing: what had gone back is here again."""
    session.execute(RETURN, {"student_id": student_id, "cents": cents, "minutes_owed": minutes_owed})
