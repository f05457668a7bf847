"""Which word says why minutes are not there, looked up for those only who are refused."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cached_property

from sqlalchemy import text
from sqlmodel import Session

from billing.reads.bookings import NoBooking

# As for a booking: what was wholly given back is no package, and one that expired is a package still.
PACKAGES = text("""
    SELECT student_id, bool_or(expires_at IS NULL OR expires_at > :now) AS has_living
    FROM hour_lot
    WHERE student_id = ANY(CAST(:students AS bigint[])) AND minutes_refunded < minutes_granted
    GROUP BY student_id
""")


class Shortages:
    """One question for all students of a batch, asked when the first of them is short of minutes."""

    def __init__(self, session: Session, students: Sequence[int], *, now: datetime) -> None:
        self._session, self._students, self._now = session, students, now

    def word_for(self, student_id: int) -> NoBooking:
        has_living = self._living.get(student_id)
        if has_living is None:
            return NoBooking.NO_PACKAGES
        return NoBooking.INSUFFICIENT_BALANCE if has_living else NoBooking.PACKAGE_EXPIRED

    @cached_property
    def _living(self) -> Mapping[int, bool]:
        """Whether one of their packages lives, for those who have or had any."""
        rows = self._session.execute(PACKAGES, {"students": self._students, "now": self._now})
        return {row.student_id: row.has_living for row in rows}
