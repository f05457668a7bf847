"""A student's lots under lock, as a use case reckons with them before it posts anything.

What is posted is also applied here, so that several acts of one transaction see each other's effect.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from sqlalchemy import RowMapping, text
from sqlmodel import Session

from billing.ledger.balances import lock_balances
from billing.ledger.postings import Move
from billing.states import LotOrigin, Part

NEVER = datetime.max.replace(tzinfo=UTC)

# Lots that can move: those with minutes left, and those that somebody names.
LOTS = text("""
    SELECT id, student_id, origin, purchase_id, value_cents, starts_at, expires_at, times_expired, minutes_granted,
        minutes_left, minutes_consumed, minutes_expired, minutes_refunded, minutes_frozen, minutes_held,
        EXISTS (
            SELECT FROM dispute WHERE dispute.purchase_id = hour_lot.purchase_id AND dispute.state = 'open'
        ) AS is_disputed
    FROM hour_lot
    WHERE student_id = ANY(CAST(:students AS bigint[]))
        AND (minutes_left > 0 OR id = ANY(CAST(:lots AS bigint[])))
    ORDER BY id FOR NO KEY UPDATE
""")
OWED = text("""
    SELECT student_id, minutes_owed FROM student_balance WHERE student_id = ANY(CAST(:students AS bigint[]))
""")


@dataclass(slots=True)
class Lot:
    """`left` can be spent until `expires_at`, which is exclusive; `parts` is where the other minutes are.

    While a bank disputes its payment, nothing of it can be spent: what comes back to it by then waits for the verdict.
    """

    id: int
    student_id: int
    origin: LotOrigin
    value_cents: int
    starts_at: datetime
    expires_at: datetime | None
    granted: int
    left: int
    parts: dict[Part, int]
    times_expired: int = 0
    is_disputed: bool = False

    def is_alive(self, now: datetime) -> bool:
        return self.expires_at is None or self.expires_at > now

    @property
    def turn(self) -> tuple[datetime, bool, datetime, int]:
        """Lots are spent in this order: what expires first, then free before paid, then the oldest."""
        return (self.expires_at or NEVER, self.value_cents > 0, self.starts_at, self.id)


@dataclass(slots=True)
class Account:
    """Every lot of one student that can move, locked; `owed` is spent already, before it is there."""

    student_id: int
    owed: int
    lots: dict[int, Lot] = field(default_factory=dict)

    def spendable(self, now: datetime) -> list[Lot]:
        """Lots that can be taken from, in their turn."""
        free = (lot for lot in self.lots.values() if lot.left and lot.is_alive(now) and not lot.is_disputed)
        return sorted(free, key=lambda lot: lot.turn)

    def available(self, now: datetime) -> int:
        """Minutes that can be taken now; less than none where more is owed than left."""
        return sum(lot.left for lot in self.spendable(now)) - self.owed

    def apply(self, moves: Iterable[Move]) -> None:
        for move in moves:
            lot = self.lots[move.lot_id]
            lot.left += move.minutes
            lot.parts[move.part] -= move.minutes


def lock_accounts(session: Session, students: Iterable[int], lots: Iterable[int] = ()) -> Mapping[int, Account]:
    """The account of each student, balance first, then lots in the order of their ids; `lots` are wanted even empty."""
    wanted = sorted(set(students))
    lock_balances(session, wanted)
    owed = session.execute(OWED, {"students": wanted}).all()
    accounts = {student_id: Account(student_id, minutes) for student_id, minutes in owed}
    for row in _rows(session, wanted, sorted(set(lots))):
        accounts[row["student_id"]].lots[row["id"]] = _lot(row)
    return accounts


def _rows(session: Session, students: Sequence[int], lots: Sequence[int]) -> Sequence[RowMapping]:
    return session.execute(LOTS, {"students": students, "lots": lots}).mappings().all()


def _lot(row: RowMapping) -> Lot:
    return Lot(
        id=row["id"],
        student_id=row["student_id"],
        origin=LotOrigin(row["origin"]),
        value_cents=row["value_cents"],
        starts_at=row["starts_at"].astimezone(UTC),
        expires_at=row["expires_at"] and row["expires_at"].astimezone(UTC),
        granted=row["minutes_granted"],
        left=row["minutes_left"],
        parts={part: row[f"minutes_{part}"] for part in Part},
        times_expired=row["times_expired"],
        is_disputed=row["is_disputed"],
    )
