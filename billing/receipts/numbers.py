"""Numbers of receipts: consecutive within a year, whoever draws them and whatever breaks meanwhile."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text
from sqlmodel import Session

from billing.errors import LockTimeoutError

# One issuer at a time, who does not queue: many that wait for one row wake and wait again, each for all before it.
TAKE_TURN = text("SELECT pg_try_advisory_xact_lock(hashtext('receipt_counter'), :year)")

# Makes the counter of a year where it is missing; its row is locked until the transaction ends, so a number that is
# drawn is either on a committed receipt or drawn again.
DRAW = text("""
    INSERT INTO receipt_counter AS counter (year, last) VALUES (:year, :count)
    ON CONFLICT (year) DO UPDATE SET last = counter.last + excluded.last
    RETURNING last
""")
ISSUED_BEFORE = text("SELECT issued_at FROM receipt WHERE year = :year AND serial = :serial")


@dataclass(frozen=True, slots=True)
class Drawn:
    """Numbers that are ours: `first` and those that follow it.

    `issued_at` is never before that of the number in front of them, even where the clocks of two machines differ.
    """

    year: int
    first: int
    issued_at: datetime


def take_turn(session: Session, year: int) -> None:
    """Ours until the transaction ends. Raises LockTimeoutError where another transaction is issuing in this year."""
    if not session.execute(TAKE_TURN, {"year": year}).scalar_one():
        raise LockTimeoutError("others were issuing")


def draw(session: Session, year: int, count: int, *, at: datetime) -> Drawn:
    """Raises LockTimeoutError where another transaction is issuing in this year."""
    take_turn(session, year)
    last: int = session.execute(DRAW, {"year": year, "count": count}).scalar_one()
    first = last - count + 1
    before = session.execute(ISSUED_BEFORE, {"year": year, "serial": first - 1}).scalar_one_or_none()
    return Drawn(year, first, at if before is None else max(before, at))


def written(year: int, serial: int) -> str:
    """As it is printed and shown: `R-2026-000123`."""
    return f"R-{year}-{serial:06d}"
