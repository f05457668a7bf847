"""Hours that are written off because their lots expired, and given back where a sweep is undone: many at once.

Balances are locked by one statement and what belongs to them is read by the next: the lots of a student for whom a
statement waited would be those of its snapshot, from before the wait. Lots need no lock of their own, because nobody
changes one without the balance of its student.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import Row, RowMapping, text
from sqlmodel import Session

DUE = "minutes_left > 0 AND expires_at <= :cutoff"
"""Of a row of hour_lot: it has expired by then, and something is left of it."""

PAGE = 2_500
"""Lots that one statement gives back."""
MOST_AT_ONCE = 10_000
"""How many lots one statement writes off at most, whatever its students have."""

# Continuing behind the last lot, for all before it are dead entries of the index that would be read again.
LOCK_NEXT = text(f"""
    WITH due AS MATERIALIZED (
        SELECT id, expires_at, student_id FROM hour_lot
        WHERE {DUE} AND (expires_at, id) > (:expires_at, :lot_id)
        ORDER BY expires_at, id LIMIT :most
    ), concerned AS (
        SELECT DISTINCT student_id FROM due
    ), locked AS MATERIALIZED (
        SELECT student_id FROM student_balance WHERE student_id IN (SELECT student_id FROM concerned)
        ORDER BY student_id FOR UPDATE SKIP LOCKED
    )
    SELECT last.expires_at, last.id AS lot_id, ARRAY(SELECT student_id FROM locked) AS locked,
        ARRAY(SELECT student_id FROM concerned EXCEPT SELECT student_id FROM locked) AS skipped
    FROM (SELECT expires_at, id FROM due ORDER BY expires_at DESC, id DESC LIMIT 1) AS last
""")  # noqa: S608  # our own words
LOCK_THESE = text(f"""
    SELECT student_id FROM student_balance
    WHERE student_id IN (SELECT student_id FROM hour_lot WHERE student_id = ANY(CAST(:students AS bigint[])) AND {DUE})
    ORDER BY student_id FOR UPDATE
""")  # noqa: S608  # our own words

# The ids of the entries are drawn first, so that their parts need not be looked for by their sources.
WRITE_OFF = """
    WITH taken AS MATERIALIZED (
        SELECT nextval('hour_entry_id_seq') AS entry_id, due.* FROM ({due}) AS due
    ), entry AS (
        INSERT INTO hour_entry (id, student_id, kind, minutes, balance_after, source, purchase_id, sweep_run_id, at)
        SELECT entry_id, student_id, 'expire', -taken.minutes,
            balance.minutes_left - sum(taken.minutes) OVER (PARTITION BY student_id ORDER BY entry_id),
            'lot\\:' || lot_id || '\\:expired'
                || CASE WHEN times_expired > 0 THEN '\\:' || times_expired + 1 ELSE '' END,
            purchase_id, CAST(:run_id AS bigint), :at
        FROM taken JOIN student_balance AS balance USING (student_id)
    ), allocation AS (
        INSERT INTO hour_allocation (entry_id, lot_id, minutes) SELECT entry_id, lot_id, -minutes FROM taken
    ), lots AS (
        UPDATE hour_lot AS lot
        SET minutes_left = lot.minutes_left - taken.minutes, minutes_expired = lot.minutes_expired + taken.minutes,
            times_expired = lot.times_expired + 1
        FROM taken WHERE lot.id = taken.lot_id
    ), lost AS (
        SELECT student_id, sum(minutes) AS minutes FROM taken GROUP BY student_id
    ), balances AS (
        UPDATE student_balance AS balance
        SET minutes_left = balance.minutes_left - lost.minutes, minutes_expired = balance.minutes_expired + lost.minutes
        FROM lost WHERE balance.student_id = lost.student_id
    )
    SELECT count(*) AS students, ARRAY(SELECT lot_id FROM taken) AS lots, coalesce(sum(minutes), 0) AS minutes FROM lost
"""
DUE_LOTS = f"""
            SELECT id AS lot_id, student_id, purchase_id, minutes_left AS minutes, times_expired FROM hour_lot
            WHERE student_id = ANY(CAST(:students AS bigint[])) AND {DUE}
            ORDER BY student_id, id LIMIT :most
"""  # noqa: S608  # our own words
LOSSES_OF_LOTS = """
            SELECT lot.id AS lot_id, lot.student_id, lot.purchase_id, loss.minutes, lot.times_expired
            FROM unnest(CAST(:lots AS bigint[]), CAST(:minutes AS int[])) WITH ORDINALITY
                AS loss (lot_id, minutes, place)
            JOIN hour_lot AS lot ON lot.id = loss.lot_id
            ORDER BY loss.place
"""
EXPIRE = text(WRITE_OFF.format(due=DUE_LOTS))
EXPIRE_PARTS = text(WRITE_OFF.format(due=LOSSES_OF_LOTS))

# In steps: the planner takes a run that it knows nothing of yet for a small one, and could read it anew for each.
LOCK_LOSERS = text("""
    WITH loser AS MATERIALIZED (
        SELECT DISTINCT lot.student_id FROM hour_entry AS entry
        JOIN hour_allocation AS part ON part.entry_id = entry.id JOIN hour_lot AS lot ON lot.id = part.lot_id
        WHERE entry.sweep_run_id = :run_id AND entry.kind = 'expire'
    ), locked AS MATERIALIZED (
        SELECT student_id FROM student_balance JOIN loser USING (student_id)
        ORDER BY student_id FOR UPDATE OF student_balance
    )
    SELECT count(*) FROM locked
""")
LOSSES = text("""
    SELECT part.lot_id, CAST(-sum(part.minutes) AS int) AS minutes
    FROM hour_entry AS entry JOIN hour_allocation AS part ON part.entry_id = entry.id
    WHERE entry.sweep_run_id = :run_id AND entry.kind = 'expire'
    GROUP BY part.lot_id ORDER BY part.lot_id
""")
RESTORE = text("""
    WITH back AS MATERIALIZED (
        SELECT nextval('hour_entry_id_seq') AS entry_id, lost.* FROM (
            SELECT lot.id AS lot_id, lot.student_id, lot.purchase_id,
                least(loss.minutes, lot.minutes_expired) AS minutes
            FROM unnest(CAST(:lots AS bigint[]), CAST(:minutes AS int[])) AS loss (lot_id, minutes)
            JOIN hour_lot AS lot ON lot.id = loss.lot_id
            WHERE lot.minutes_expired > 0
            ORDER BY lot.student_id, lot.id
        ) AS lost
    ), entry AS (
        INSERT INTO hour_entry (id, student_id, kind, minutes, balance_after, source, purchase_id, sweep_run_id, at)
        SELECT entry_id, student_id, 'restore', back.minutes,
            balance.minutes_left + sum(back.minutes) OVER (PARTITION BY student_id ORDER BY entry_id),
            'sweep\\:' || :run_id || '\\:lot\\:' || lot_id || '\\:undone', purchase_id, :run_id, :at
        FROM back JOIN student_balance AS balance USING (student_id)
    ), allocation AS (
        INSERT INTO hour_allocation (entry_id, lot_id, minutes) SELECT entry_id, lot_id, minutes FROM back
    ), lots AS (
        UPDATE hour_lot AS lot
        SET minutes_left = lot.minutes_left + back.minutes, minutes_expired = lot.minutes_expired - back.minutes
        FROM back WHERE lot.id = back.lot_id
    ), won AS (
        SELECT student_id, sum(minutes) AS minutes FROM back GROUP BY student_id
    ), balances AS (
        UPDATE student_balance AS balance
        SET minutes_left = balance.minutes_left + won.minutes, minutes_expired = balance.minutes_expired - won.minutes
        FROM won WHERE balance.student_id = won.student_id
    )
    SELECT count(*) AS lots, coalesce(sum(minutes), 0) AS minutes FROM back
""")


@dataclass(frozen=True, slots=True)
class Place:
    """The last lot of a chunk, in the order in which they expire."""

    expires_at: datetime
    lot_id: int


START = Place(datetime(1, 1, 1, tzinfo=UTC), 0)


@dataclass(frozen=True, slots=True)
class Order:
    """Which lots a run writes off, `at` what instant, as `DUE` says."""

    run_id: int
    cutoff: datetime
    at: datetime


@dataclass(frozen=True, slots=True)
class Chunk:
    """What was written off: `losers` are how many students lost these `lots`, among the `students` that were locked.

    Of those `passed_over` something may be due still. `last` is where to go on, None where nothing was left to look at.
    """

    losers: int = 0
    lots: Sequence[int] = ()
    minutes: int = 0
    students: Sequence[int] = ()
    passed_over: Sequence[int] = ()
    last: Place | None = None


@dataclass(frozen=True, slots=True)
class Restored:
    """What an undone run gave back."""

    students: int = 0
    lots: int = 0
    minutes: int = 0


def expire_next(session: Session, order: Order, after: Place, most: int) -> Chunk:
    """Write off the due lots of the students to whom the next `most` lots belong.

    Students whom somebody else holds are passed over.
    """
    place = {"expires_at": after.expires_at, "lot_id": after.lot_id, "cutoff": order.cutoff, "most": most}
    row = session.execute(LOCK_NEXT, place).mappings().one_or_none()
    if row is None:
        return Chunk()
    last = Place(row["expires_at"].astimezone(UTC), row["lot_id"])
    return _expire(session, order, row["locked"], skipped=row["skipped"], last=last)


def expire_of(session: Session, order: Order, students: Sequence[int]) -> Chunk:
    """Write off the due lots of these students, whoever has to be waited for.

    Raises sqlalchemy's error of a lock that was not had in time.
    """
    given = {"students": sorted(set(students)), "cutoff": order.cutoff}
    return _expire(session, order, session.execute(LOCK_THESE, given).scalars().all())


def _expire(
    session: Session, order: Order, locked: Sequence[int], *, skipped: Sequence[int] = (), last: Place | None = None
) -> Chunk:
    sums = _written_off(session, order, locked)
    is_cut = len(sums["lots"]) == MOST_AT_ONCE
    passed_over = [*skipped, *locked] if is_cut else skipped
    return Chunk(sums["students"], sums["lots"], int(sums["minutes"]), locked, passed_over, last)


def _written_off(session: Session, order: Order, students: Sequence[int]) -> RowMapping:
    given = {"run_id": order.run_id, "cutoff": order.cutoff, "at": order.at, "students": students}
    return session.execute(EXPIRE, {**given, "most": MOST_AT_ONCE}).mappings().one()


def write_off(session: Session, losses: Mapping[int, int], *, at: datetime) -> None:
    """Write off so many minutes of each lot, in this order, by no sweep. The balances must be locked, and no lot may
    have less: raises sqlalchemy's IntegrityError then."""
    values = {"lots": list(losses), "minutes": list(losses.values()), "run_id": None, "at": at}
    session.execute(EXPIRE_PARTS, values)


def restore_run(session: Session, run_id: int, *, at: datetime) -> Restored:
    """Give back what a run wrote off, as much of it as is still expired in each lot."""
    students = _lock_losers(session, run_id)
    losses = session.execute(LOSSES, {"run_id": run_id}).all()
    pages = [losses[start : start + PAGE] for start in range(0, len(losses), PAGE)]
    sums = [_restored(session, run_id, page, at) for page in pages]
    return Restored(students, sum(lots for lots, _ in sums), sum(minutes for _, minutes in sums))


def _restored(session: Session, run_id: int, losses: Sequence[Row[tuple[int, int]]], at: datetime) -> tuple[int, int]:
    """How many lots got how many minutes back."""
    lots, minutes = [loss.lot_id for loss in losses], [loss.minutes for loss in losses]
    given = {"run_id": run_id, "at": at, "lots": lots, "minutes": minutes}
    sums = session.execute(RESTORE, given).mappings().one()
    return sums["lots"], int(sums["minutes"])


def _lock_losers(session: Session, run_id: int) -> int:
    """How many there are. A second look finds those who were handed lots while others were waited for."""
    session.execute(LOCK_LOSERS, {"run_id": run_id})
    return int(session.execute(LOCK_LOSERS, {"run_id": run_id}).scalar_one())
