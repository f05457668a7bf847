"""Whether the code is where the model is: lots, balances, lessons, acts, events, and what is told of earlier days."""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from types import TracebackType

from sqlalchemy import text
from sqlmodel import Session

from billing import db
from billing.reads.balances import balance_of
from billing.reads.ledger import explain
from billing.reads.pages import Slice
from billing.reads.whose import of_id
from tests.support.database import connect_async
from tests.support.spending_model import Hours
from tests.support.spending_stage import Stage

PARTS = "minutes_granted, minutes_left, minutes_held, minutes_consumed, minutes_expired, minutes_refunded"
LOTS = text(f"""
    SELECT student_id, {PARTS}, minutes_frozen, value_cents, starts_at, expires_at, times_expired FROM hour_lot
    WHERE student_id = ANY(:students) ORDER BY student_id, id
""")  # noqa: S608  # our own words
BALANCES = text(f"""
    SELECT student_id, {PARTS}, minutes_frozen, paid_cents, minutes_owed FROM student_balance
    WHERE student_id = ANY(:students)
""")  # noqa: S608  # our own words
NOTHING = (0,) * 8
VIOLATIONS = text("SELECT * FROM violations_of(:low, :high)")
LESSONS = text("SELECT * FROM consumption WHERE student_id = ANY(:students)")
ENDINGS = text("SELECT id, coalesce(error_type, state) FROM consumption_act WHERE id = ANY(:acts)")
OUTCOMES = text("SELECT id, outcome FROM webhook_event WHERE id = ANY(:events) AND due_at IS NULL")


class Telling:
    """The door's reads, asked again and again on one connection."""

    def __init__(self, url: str) -> None:
        self.runner = asyncio.Runner()
        self.engine = connect_async(url, pool_size=1)

    def __enter__(self) -> "Telling":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.runner.run(self.engine.dispose())
        self.runner.close()

    def spendable(self, student_id: int, now: datetime, instants: Sequence[datetime]) -> Sequence[int]:
        """Now, as the balance has it, and at each of these instants, as the ledger explains it."""
        return self.runner.run(self._spendable(student_id, now, instants))

    async def _spendable(self, student_id: int, now: datetime, instants: Sequence[datetime]) -> Sequence[int]:
        whose = of_id(str(student_id))
        async with db.begin_async(self.engine) as connection:
            balance = await balance_of(connection, whose, now=now)
            assert balance is not None
            told = [await explain(connection, whose, Slice(size=1), instant) for instant in instants]
            return [balance.minutes_remaining, *(explanation.minutes_remaining for _, explanation in told)]


def check(stage: Stage) -> None:
    """All that is there now."""
    with stage.begin() as session:
        _check_lots(session, stage)
        _check_lessons(session, stage)
        _check_acts(session, stage)
        _check_events(session, stage)
        assert session.execute(VIOLATIONS, {"low": stage.ids[0], "high": stage.ids[-1]}).all() == []


def check_telling(stage: Stage, telling: Telling, student: int, which: Sequence[int]) -> None:
    """What one student can spend, and could at some of the earlier instants, whatever became known since."""
    told = [stage.told[number] for number in which]
    instants = [*(at for at, _ in told), stage.now]
    now_spendable = stage.world.spendable(student)
    expected = [now_spendable, *(spendable[student] for _, spendable in told), now_spendable]
    assert telling.spendable(stage.ids[student], stage.now, instants) == expected


def _check_lots(session: Session, stage: Stage) -> None:
    students = zip(stage.ids, stage.world.students, strict=True)
    known = [(student_id, *_sums(lot), *_dates(lot)) for student_id, lots in students for lot in lots]
    assert session.execute(LOTS, {"students": stage.ids}).all() == known
    balances = {row[0]: tuple(row[1:]) for row in session.execute(BALANCES, {"students": stage.ids})}
    for student_id, lots in zip(stage.ids, stage.world.students, strict=True):
        sums = tuple(map(sum, zip(NOTHING, *map(_sums, lots), strict=True)))
        assert balances.get(student_id, (*NOTHING, 0)) == (*sums, 0)


def _sums(lot: Hours) -> tuple[int, ...]:
    """What adds up in a balance; nothing is frozen here."""
    return (lot.granted, lot.left, lot.held, lot.consumed, lot.expired, lot.refunded, 0, lot.cents)


def _dates(lot: Hours) -> tuple[datetime, datetime | None, int]:
    return (lot.starts_at, lot.expires_at, lot.sweeps)


def _check_lessons(session: Session, stage: Stage) -> None:
    rows = session.execute(LESSONS, {"students": stage.ids}).all()
    waiting = {row.id for asked in stage.waiting for row in asked.bookings}
    assert {row.id for row in rows} == set(stage.world.lessons) - waiting
    for row in rows:
        lesson = stage.world.lessons[row.id]
        assert (row.state, row.minutes_held, row.minutes_consumed, row.minutes_returned) == lesson.shown
        words: set[str | None] = {lesson.word} if lesson.word else {*lesson.words} or {None}
        assert row.error_type in words


def _check_acts(session: Session, stage: Stage) -> None:
    """A group is told one of the words of those who were at fault."""
    endings = session.execute(ENDINGS, {"acts": list(stage.words)}).all()
    assert len(endings) == len(stage.words)
    for act_id, ending in endings:
        assert ending in (stage.words[act_id] or {"done"})
    stage.words = {}


def _check_events(session: Session, stage: Stage) -> None:
    if stage.outcomes:
        rows = session.execute(OUTCOMES, {"events": list(stage.outcomes)})
        assert {row.id: row.outcome for row in rows} == stage.outcomes
    stage.outcomes = {}
