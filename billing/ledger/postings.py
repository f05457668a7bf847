"""Entries that move minutes between what is left of a lot and where else they can be, for many students at once."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import text
from sqlmodel import Session

from billing.states import EntryKind, Part


@dataclass(frozen=True, slots=True)
class Move:
    """`minutes` come to what is left of the lot, from this part of it; where they are negative, they go there."""

    lot_id: int
    minutes: int
    part: Part


@dataclass(frozen=True, slots=True)
class Posting:
    """One entry: `source` names what it is the effect of and is posted once; at most one move for each lot."""

    student_id: int
    kind: EntryKind
    source: str
    moves: Sequence[Move]
    at: datetime
    purchase_id: UUID | None = None
    consumption_id: UUID | None = None


PARTS_OF_LOTS = ", ".join(f"minutes_{part} = lot.minutes_{part} - changed.{part}" for part in Part)
PARTS_OF_BALANCES = ", ".join(f"minutes_{part} = balance.minutes_{part} - changed.{part}" for part in Part)
SUMS = ", ".join(f"coalesce(sum(minutes) FILTER (WHERE part = '{part}'), 0) AS {part}" for part in Part)

POST = text(f"""
    WITH posted AS (
        SELECT * FROM unnest(
            CAST(:students AS bigint[]), CAST(:kinds AS text[]), CAST(:sources AS text[]), CAST(:purchases AS uuid[]),
            CAST(:consumptions AS uuid[]), CAST(:instants AS timestamptz[])
        ) WITH ORDINALITY AS posted (student_id, kind, source, purchase_id, consumption_id, at, place)
    ), moved AS (
        SELECT posted.student_id, moved.* FROM unnest(
            CAST(:places AS bigint[]), CAST(:lots AS bigint[]), CAST(:minutes AS int[]), CAST(:parts AS text[])
        ) AS moved (place, lot_id, minutes, part) JOIN posted USING (place)
    ), total AS (
        SELECT place, sum(minutes) AS minutes FROM moved GROUP BY place
    ), entry AS (
        INSERT INTO hour_entry (student_id, kind, minutes, balance_after, source, purchase_id, consumption_id, at)
        SELECT student_id, kind, total.minutes,
            balance.minutes_left + sum(total.minutes) OVER (PARTITION BY student_id ORDER BY place),
            source, purchase_id, consumption_id, at
        FROM posted JOIN total USING (place) JOIN student_balance AS balance USING (student_id) ORDER BY place
        RETURNING id, source
    ), allocation AS (
        INSERT INTO hour_allocation (entry_id, lot_id, minutes)
        SELECT entry.id, moved.lot_id, moved.minutes
        FROM moved JOIN posted USING (place) JOIN entry USING (source)
    ), lots AS (
        UPDATE hour_lot AS lot SET minutes_left = lot.minutes_left + changed.minutes, {PARTS_OF_LOTS}
        FROM (SELECT lot_id, sum(minutes) AS minutes, {SUMS} FROM moved GROUP BY lot_id) AS changed
        WHERE lot.id = changed.lot_id
    )
    UPDATE student_balance AS balance
    SET minutes_left = balance.minutes_left + changed.minutes, {PARTS_OF_BALANCES}
    FROM (SELECT student_id, sum(minutes) AS minutes, {SUMS} FROM moved GROUP BY student_id) AS changed
    WHERE balance.student_id = changed.student_id
""")  # noqa: S608  # our own words


def post(session: Session, postings: Sequence[Posting]) -> None:
    """Write all entries in their order; balances and lots must be locked, and what is moved must be there.

    Raises sqlalchemy's IntegrityError where a source was posted before, or a lot has less than is taken from it.
    """
    if not postings:
        return
    moves = [(place, move) for place, posting in enumerate(postings, 1) for move in posting.moves]
    session.execute(
        POST,
        {
            "students": [posting.student_id for posting in postings],
            "kinds": [posting.kind.value for posting in postings],
            "sources": [posting.source for posting in postings],
            "purchases": [posting.purchase_id for posting in postings],
            "consumptions": [posting.consumption_id for posting in postings],
            "instants": [posting.at for posting in postings],
            "places": [place for place, _ in moves],
            "lots": [move.lot_id for _, move in moves],
            "minutes": [move.minutes for _, move in moves],
            "parts": [move.part.value for _, move in moves],
        },
    )
