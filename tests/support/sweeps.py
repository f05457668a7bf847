"""Sweeps as workers and commands run them, here or, to be killed, as `python -m tests.support.sweeps URL RUN`.

That process writes a line for each chunk it has committed, and its chunks are small.
"""

import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest
from sqlalchemy import text
from sqlmodel import select

from billing import db, ledger, work
from billing.db import Begin
from billing.expiry import sweep
from billing.expiry.sweep import Went, go_on, start_sweep
from billing.ids import new_id
from billing.ledger import Credit, Move, Posting, expiries
from billing.models import HourEntry, HourLot, SweepRun
from billing.states import EntryKind, LotOrigin, Part, SweepTrigger
from tests.support.database import connect

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
DAY = timedelta(days=1)
SHORT_LEASE = work.LeaseTerms(seconds=0.5, lost_claims=100)
STUDENTS = text("""
    INSERT INTO student (email, email_verified, name, created_at)
    SELECT :name || '-' || n || '@example.com', false, 'Ana', now() FROM generate_series(1, :students) AS n RETURNING id
""")


def add_lots(
    begin: Begin,
    *,
    students: int,
    lots_each: int,
    expires_at: datetime,
    minutes: int = 60,
    name: str = "student",
) -> Sequence[int]:
    """The ids of the students; the lots of one expire an hour apart, the last ones at `expires_at`."""
    with begin() as session:
        ids = session.execute(STUDENTS, {"students": students, "name": name}).scalars().all()
        for number in range(lots_each):
            end = expires_at - timedelta(hours=number)
            ledger.credit(session, [_grant(student, minutes, end) for student in ids])
    return ids


def _grant(student_id: int, minutes: int, end: datetime) -> Credit:
    start = datetime(2020, 1, 1, tzinfo=UTC)
    return Credit(student_id, LotOrigin.GRANT, f"grant:{new_id()}", None, minutes, 0, "eur", start, end, start)


def open_sweep(begin: Begin, *, now: datetime = NOON, grace_hours: int = 24, **more: Any) -> int:
    (message,) = start_sweep(begin, SweepTrigger.COMMAND, grace_hours=grace_hours, now=now, **more)
    return message.run_id


def swept(begin: Begin, **given: Any) -> SweepRun:
    """A run from its opening to its end."""
    run_id = open_sweep(begin, **given)
    assert go_on(begin, work.LeaseTerms(), run_id, now=given.get("now", NOON)) is Went.FINISHED
    return load_run(begin, run_id)


def in_chunks_of(monkeypatch: pytest.MonkeyPatch, lots: int) -> None:
    """However fast they are."""
    for bound in ("FIRST", "FEWEST", "MOST"):
        monkeypatch.setattr(sweep, bound, lots)


def load_run(begin: Begin, run_id: int) -> SweepRun:
    with begin() as session:
        return session.get_one(SweepRun, run_id)


def lots_of(begin: Begin, student_id: int) -> Sequence[HourLot]:
    with begin() as session:
        return session.exec(select(HourLot).where(HourLot.student_id == student_id).order_by(text("id"))).all()


def expiries_of(begin: Begin) -> Sequence[HourEntry]:
    with begin() as session:
        return session.exec(select(HourEntry).where(HourEntry.kind == EntryKind.EXPIRE).order_by(text("id"))).all()


def move(begin: Begin, lot_id: int, minutes: int, part: Part, kind: EntryKind, *, at: datetime = NOON) -> None:
    """`minutes` come to what is left of the lot, or go from it where they are negative."""
    with begin() as session:
        student = session.get_one(HourLot, lot_id).student_id
        ledger.lock_accounts(session, [student])
        posting = Posting(student, kind, f"test:{new_id()}", [Move(lot_id, minutes, part)], at)
        ledger.post(session, [posting])


def main(url: str, run_id: int) -> None:
    in_chunks_of(pytest.MonkeyPatch(), 100)
    begin = partial(db.begin, connect(url, pool_size=1))

    def tell(_chunk: expiries.Chunk) -> None:
        print("chunk", flush=True)

    while load_run(begin, run_id).finished_at is None:
        go_on(begin, SHORT_LEASE, run_id, now=NOON, watch=tell)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
