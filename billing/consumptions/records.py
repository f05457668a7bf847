"""Consumptions under lock, as decisions reckon with them, and how they are written back."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

from sqlalchemy import RowMapping, TextClause, text
from sqlmodel import Session

from billing import ledger
from billing.states import ConsumptionMode, ConsumptionState

LAPSES_AFTER: Final = timedelta(hours=24)
"""How long after the end of its session a hold can still be captured or released."""

COLUMNS = """
    id, group_id, student_id, session_id, mode, minutes, ends_at, state, minutes_held, minutes_consumed,
    minutes_returned
"""

# Without the key: an act that refers to one of these is accepted meanwhile.
LOCK_GROUPS = text(f"""
    SELECT {COLUMNS} FROM consumption WHERE group_id = ANY(CAST(:groups AS uuid[]))
    ORDER BY id FOR NO KEY UPDATE
""")  # noqa: S608  # our own column names
LOCK_LAPSED = text(f"""
    SELECT {COLUMNS} FROM consumption WHERE state = 'held' AND ends_at <= :end
    ORDER BY ends_at, id LIMIT :limit FOR NO KEY UPDATE SKIP LOCKED
""")  # noqa: S608
PARTS = text("""
    SELECT entry.consumption_id, part.lot_id, lot.student_id, -sum(part.minutes) AS minutes
    FROM hour_entry AS entry
    JOIN hour_allocation AS part ON part.entry_id = entry.id
    JOIN hour_lot AS lot ON lot.id = part.lot_id
    WHERE entry.consumption_id = ANY(CAST(:records AS uuid[]))
    GROUP BY entry.consumption_id, part.lot_id, lot.student_id HAVING sum(part.minutes) <> 0
""")
WRITE = text("""
    UPDATE consumption
    SET state = after.state, minutes_held = after.held, minutes_consumed = after.consumed,
        minutes_returned = after.returned, error_type = after.error_type, decided_at = coalesce(decided_at, :now)
    FROM unnest(
        CAST(:ids AS uuid[]), CAST(:states AS text[]), CAST(:held AS int[]), CAST(:consumed AS int[]),
        CAST(:returned AS int[]), CAST(:errors AS text[])
    ) AS after (id, state, held, consumed, returned, error_type)
    WHERE consumption.id = after.id
""")


@dataclass(frozen=True, slots=True)
class Record:
    """The hours of one student for one session; `parts` tells which lots they are held in or were taken from.

    `owner_id` is whose lots these are: the student's own, or of the account that the student's lots were handed to.
    """

    id: UUID
    group_id: UUID
    student_id: int
    owner_id: int
    session_id: str
    mode: ConsumptionMode
    minutes: int
    ends_at: datetime | None
    state: ConsumptionState
    held: int = 0
    consumed: int = 0
    returned: int = 0
    error_type: str | None = None
    parts: Counter[int] = field(default_factory=Counter)

    def is_lapsed(self, now: datetime) -> bool:
        """Whether the time for it is over; that a hold was not given back yet changes nothing about it."""
        return self.ends_at is not None and self.ends_at + LAPSES_AFTER <= now


def lock_groups(session: Session, groups: Iterable[UUID]) -> list[Record]:
    """Every consumption of these groups, locked in the order of their ids."""
    return _locked(session, LOCK_GROUPS, {"groups": sorted(set(groups))})


def lock_lapsed(session: Session, limit: int, *, now: datetime) -> list[Record]:
    """Holds whose time is over, the oldest first, without those that somebody else is at."""
    return _locked(session, LOCK_LAPSED, {"end": now - LAPSES_AFTER, "limit": limit})


def lock_accounts(session: Session, records: Sequence[Record]) -> Mapping[int, ledger.Account]:
    """The accounts of their owners, with every lot that they hold or have taken minutes of."""
    lots = {lot_id for record in records for lot_id in record.parts}
    return ledger.lock_accounts(session, {record.owner_id for record in records}, lots)


def write(session: Session, records: Sequence[Record], *, now: datetime) -> None:
    if not records:
        return
    values = {
        "ids": [record.id for record in records],
        "states": [record.state.value for record in records],
        "held": [record.held for record in records],
        "consumed": [record.consumed for record in records],
        "returned": [record.returned for record in records],
        "errors": [record.error_type for record in records],
    }
    session.execute(WRITE, {**values, "now": now})


def _locked(session: Session, statement: TextClause, values: Mapping[str, object]) -> list[Record]:
    """What was asked and never decided has touched no lot, so nothing is looked up for it."""
    records = [_record(row) for row in session.execute(statement, values).mappings()]
    moved = [record.id for record in records if record.held or record.consumed]
    rows = session.execute(PARTS, {"records": moved}).mappings().all() if moved else ()
    parts: dict[UUID, Counter[int]] = {record_id: Counter() for record_id in moved}
    for row in rows:
        parts[row["consumption_id"]][row["lot_id"]] = row["minutes"]
    owners = {row["consumption_id"]: row["student_id"] for row in rows}
    return [
        replace(record, parts=parts[record.id], owner_id=owners[record.id]) if record.id in parts else record
        for record in records
    ]


def _record(row: RowMapping) -> Record:
    return Record(
        id=row["id"],
        group_id=row["group_id"],
        student_id=row["student_id"],
        owner_id=row["student_id"],
        session_id=row["session_id"],
        mode=ConsumptionMode(row["mode"]),
        minutes=row["minutes"],
        ends_at=row["ends_at"] and row["ends_at"].astimezone(UTC),
        state=ConsumptionState(row["state"]),
        held=row["minutes_held"],
        consumed=row["minutes_consumed"],
        returned=row["minutes_returned"],
    )
