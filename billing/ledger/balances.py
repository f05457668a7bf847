"""Balance rows, locked before anything is computed on them."""

from collections.abc import Iterable

from sqlalchemy import text
from sqlmodel import Session

MAKE = text("""
    INSERT INTO student_balance (
        student_id, minutes_granted, minutes_left, minutes_consumed, minutes_expired, minutes_refunded, minutes_frozen,
        minutes_held, minutes_owed, paid_cents, returned_cents
    )
    SELECT id, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 FROM unnest(CAST(:students AS bigint[])) AS id
    ON CONFLICT (student_id) DO NOTHING
""")
# All or none: who holds some balances and then makes the missing ones takes them out of order.
LOCK = text("""
    SELECT student_id FROM student_balance
    WHERE student_id = ANY(CAST(:students AS bigint[])) AND cardinality(CAST(:students AS bigint[])) = (
        SELECT count(*) FROM student_balance AS made WHERE made.student_id = ANY(CAST(:students AS bigint[]))
    )
    ORDER BY student_id FOR UPDATE OF student_balance
""")


def lock_balances(session: Session, students: Iterable[int]) -> None:
    """Lock the balance of each student, made where it is missing, in the order that everybody uses."""
    wanted = {"students": sorted(set(students))}
    if wanted["students"] and not session.execute(LOCK, wanted).scalars().all():
        session.execute(MAKE, wanted)
        session.execute(LOCK, wanted)
