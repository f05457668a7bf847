"""Hours that are spent: rows as the door makes them, and a worker without a broker that does what they ask."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlmodel import col, select

from billing import ledger
from billing.consumptions.drain import drain
from billing.consumptions.lapse import lapse_holds
from billing.db import Begin
from billing.ids import new_id
from billing.ledger import Credit
from billing.messages import Message
from billing.models import Consumption, ConsumptionAct
from billing.states import ActState, ConsumptionActKind, ConsumptionMode, ConsumptionState, LotOrigin
from tests.support.factories import add_student, open_now
from tests.support.hints import KeptHints
from tests.support.leases import UnrenewedLeases

SCOPE = "service:platform"


def add_lot(
    begin: Begin, student_id: int, minutes: int, *, at: datetime, expires_at: datetime | None, value_cents: int = 0
) -> int:
    """A grant of so many minutes; the id of its lot."""
    source = f"grant:{new_id()}"
    with begin() as session:
        origin, start = LotOrigin.GRANT, datetime(2020, 1, 1, tzinfo=UTC)
        given = Credit(student_id, origin, source, None, minutes, value_cents, "eur", start, expires_at, at)
        ledger.credit(session, [given])
        found = session.execute(text("SELECT id FROM hour_lot WHERE source = :source"), {"source": source})
        return int(found.scalar_one())


def add_booking(begin: Begin, students: Sequence[int], minutes: int, **facts: Any) -> list[Consumption]:
    """As `make_booking`, in the database."""
    rows, act = make_booking(students, minutes, **facts)
    with begin() as session:
        session.add_all([*rows, act])
    return rows


def make_booking(
    students: Sequence[int],
    minutes: int,
    *,
    at: datetime,
    session_id: str = "s1",
    ends_at: datetime | None = None,
) -> tuple[list[Consumption], ConsumptionAct]:
    """A consumption of each student, or a hold where there is an `ends_at`, with the act that decides them all.

    They come in the order of the students; one alone is its own group.
    """
    ids = [new_id() for _ in students]
    group_id = ids[0] if len(ids) == 1 else new_id()
    rows = [
        Consumption(
            id=record_id,
            group_id=group_id,
            student_id=student_id,
            session_id=session_id,
            mode=ConsumptionMode.HOLD if ends_at else ConsumptionMode.CONSUME,
            minutes=minutes,
            ends_at=ends_at,
            state=ConsumptionState.REQUESTED,
            caller_sub="platform",
            requested_at=at,
        )
        for record_id, student_id in zip(ids, students, strict=True)
    ]
    return rows, make_act(ConsumptionActKind.BOOK, group_id, at=at)


def make_act(act: ConsumptionActKind, group_id: UUID, *, at: datetime, **facts: Any) -> ConsumptionAct:
    """An act that is due at once."""
    row = ConsumptionAct(
        id=new_id(),
        act=act,
        group_id=group_id,
        scope=SCOPE,
        request_id="request-of-a-test",
        state=ActState.REQUESTED,
        requested_at=at,
        **facts,
    )
    open_now(row)
    return row


class Lessons:
    """The platform on one side, a worker on the other, and a clock that tests move."""

    def __init__(self, begin: Begin, now: datetime, email: str = "ana@example.com") -> None:
        self.begin, self.now = begin, now
        self.hints = KeptHints()
        self.leases = UnrenewedLeases()
        self.student_id = add_student(begin, email, at=now)
        self.sessions = 0

    def another_student(self) -> int:
        return add_student(self.begin, f"{new_id().hex}@example.com", at=self.now)

    def give(
        self, minutes: int, *, days: float | None = 45, student_id: int | None = None, value_cents: int = 0
    ) -> int:
        """A lot that lives so many days; None: for ever."""
        expires_at = None if days is None else self.now + timedelta(days=days)
        owner = student_id or self.student_id
        return add_lot(self.begin, owner, minutes, at=self.now, expires_at=expires_at, value_cents=value_cents)

    def book(self, minutes: int, *students: int, session_id: str | None = None) -> list[Consumption]:
        return self._book(minutes, students, session_id, None)

    def hold(self, minutes: int, *students: int, session_id: str | None = None, hours: float = 1) -> list[Consumption]:
        """For a session that ends in so many hours."""
        return self._book(minutes, students, session_id, self.now + timedelta(hours=hours))

    def consumed(self, minutes: int, **more: Any) -> UUID:
        """Booked and worked: the id of the consumption."""
        (record,) = self.book(minutes, **more)
        self.work()
        return record.id

    def held(self, minutes: int, **more: Any) -> UUID:
        (record,) = self.hold(minutes, **more)
        self.work()
        return record.id

    def capture(self, record_id: UUID, minutes: int | None = None) -> UUID:
        return self.ask(ConsumptionActKind.CAPTURE, record_id, minutes)

    def release(self, record_id: UUID) -> UUID:
        return self.ask(ConsumptionActKind.RELEASE, record_id)

    def refund(self, record_id: UUID, minutes: int | None = None) -> UUID:
        return self.ask(ConsumptionActKind.REFUND, record_id, minutes)

    def ask(self, act: ConsumptionActKind, record_id: UUID, minutes: int | None = None) -> UUID:
        """The id of an act about one consumption; nobody has worked it yet."""
        group_id = self.record(record_id).group_id
        return self.add(make_act(act, group_id, at=self.now, minutes=minutes, consumption_id=record_id))

    def ask_all(self, act: ConsumptionActKind, group_id: UUID, minutes: int | None = None) -> UUID:
        return self.add(make_act(act, group_id, at=self.now, minutes=minutes))

    def add(self, act: ConsumptionAct) -> UUID:
        with self.begin() as session:
            session.add(act)
        return act.id

    def work(self) -> list[Message]:
        return drain(self.begin, self.leases, self.hints, now=self.now)

    def lapse(self) -> None:
        lapse_holds(self.begin, now=self.now)

    def make_due(self) -> None:
        with self.begin() as session:
            session.execute(text("UPDATE consumption_act SET due_at = clock_timestamp() WHERE due_at IS NOT NULL"))

    def pass_time(self, **units: float) -> None:
        self.now += timedelta(**units)

    def record(self, record_id: UUID) -> Consumption:
        with self.begin() as session:
            return session.get_one(Consumption, record_id)

    def state(self, record_id: UUID) -> tuple[ConsumptionState, str | None]:
        record = self.record(record_id)
        return record.state, record.error_type

    def minutes(self, record_id: UUID) -> tuple[int, int, int]:
        """Held, consumed, returned."""
        record = self.record(record_id)
        return record.minutes_held, record.minutes_consumed, record.minutes_returned

    def act(self, act_id: UUID) -> ConsumptionAct:
        with self.begin() as session:
            return session.get_one(ConsumptionAct, act_id)

    def ending(self, act_id: UUID) -> str:
        """How an act ended: `done`, the word of its refusal, or `requested`."""
        act = self.act(act_id)
        return act.error_type or str(act.state)

    def booking_of(self, record: Consumption) -> ConsumptionAct:
        with self.begin() as session:
            book = select(ConsumptionAct).where(col(ConsumptionAct.act) == ConsumptionActKind.BOOK)
            return session.exec(book.where(ConsumptionAct.group_id == record.group_id)).one()

    def lots(self, *columns: str, student_id: int | None = None) -> list[tuple[Any, ...]]:
        """These columns of each lot of a student, `left` where none is named, in the order of their ids."""
        names = ", ".join(f"minutes_{name}" for name in columns or ("left",))
        query = f"SELECT {names} FROM hour_lot WHERE student_id = :student ORDER BY id"  # noqa: S608
        return [tuple(row) for row in self.rows(query, student=student_id or self.student_id)]

    def left(self, student_id: int | None = None) -> int:
        return int(sum(left for (left,) in self.lots("left", student_id=student_id)))

    def entries(self, record_id: UUID | None = None) -> list[tuple[str, int]]:
        """Kinds and minutes, in their order; those of one consumption, or all that belong to some."""
        some = "consumption_id = :record" if record_id else "consumption_id IS NOT NULL"
        query = f"SELECT kind, minutes FROM hour_entry WHERE {some} ORDER BY id"  # noqa: S608
        return [tuple(row) for row in self.rows(query, **({"record": record_id} if record_id else {}))]

    def rows(self, query: str, **values: Any) -> Sequence[Any]:
        with self.begin() as session:
            return session.execute(text(query), values).all()

    def change(self, statement: str, **values: Any) -> None:
        """What no use case would do to the rows."""
        with self.begin() as session:
            session.execute(text(statement), values)

    def violations(self) -> Sequence[ledger.Violation]:
        return ledger.violations(self.begin)

    def _book(
        self, minutes: int, students: Sequence[int], session_id: str | None, ends_at: datetime | None
    ) -> list[Consumption]:
        """Of the usual student where none is named, for a new session where none is named."""
        self.sessions += 1
        name = session_id or f"session-{self.sessions}"
        who = students or (self.student_id,)
        return add_booking(self.begin, who, minutes, at=self.now, session_id=name, ends_at=ends_at)
