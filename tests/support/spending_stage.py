"""Whatever the platform, staff, Stripe and the clock do, done to the code and told to the model beside it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from billing.db import Begin
from billing.deployment import Deployment
from billing.expiry.sweep import start_sweep, sweep_lots
from billing.ids import new_id
from billing.models import Consumption, ConsumptionAct, StaffAct
from billing.staff.wishes import BulkExtend, Correct, Extend, Grant, UndoSweep, Wish
from billing.states import ActState, ConsumptionActKind, PurchaseState, SweepTrigger
from billing.webhooks.drain import drain
from tests.support.factories import add_event, add_purchase, event_body, intent_body, open_now
from tests.support.hints import KeptHints
from tests.support.hours import Lessons, make_act, make_booking
from tests.support.spending_model import MICROSECOND, Hours, Lesson, Package, Refused, World
from tests.support.staff import StaffRoom

STUDENTS = 3
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
CENTS = 1_000
ENDED = (PurchaseState.CANCELLED, PurchaseState.EXPIRED)
"""Purchases that nobody thought would be paid any more."""


@dataclass(frozen=True)
class Group:
    id: UUID
    members: Sequence[UUID]


@dataclass(frozen=True)
class Asked:
    """An act that no worker has seen yet."""

    act: ConsumptionAct
    members: Sequence[UUID]
    bookings: Sequence[Consumption] = ()


@dataclass(frozen=True)
class Sold:
    """A package and the bodies of what Stripe says of it."""

    number: int
    intent: dict[str, object]
    is_ended: bool


@dataclass(frozen=True)
class News:
    """An event that no worker has seen yet."""

    event_id: int
    number: int
    created: datetime
    differs: bool


@dataclass(frozen=True)
class Sweep:
    run_id: int
    taken: Sequence[tuple[Hours, int]]


@dataclass
class Stage:
    """`told` is what could be spent at earlier instants; `words` and `outcomes` are what acts and events came to."""

    lessons: Lessons
    room: StaffRoom
    deployment: Deployment
    world: World
    ids: Sequence[int]
    waiting: list[Asked] = field(default_factory=list)
    news: list[News] = field(default_factory=list)
    groups: dict[UUID, Group] = field(default_factory=dict)
    words: dict[UUID, set[str]] = field(default_factory=dict)
    outcomes: dict[int, str] = field(default_factory=dict)
    told: list[tuple[datetime, Sequence[int]]] = field(default_factory=list)
    number: int = 0
    is_checked: bool = True

    @classmethod
    def empty(cls, begin: Begin, url: str, deployment: Deployment, start: datetime) -> "Stage":
        lessons = Lessons(begin, start, email=f"{new_id().hex}@example.com")
        ids = [lessons.student_id, *(lessons.another_student() for _ in range(STUDENTS - 1))]
        return cls(lessons, StaffRoom(begin, url, start), deployment, World(start), ids)

    @property
    def now(self) -> datetime:
        return self.world.now

    @property
    def begin(self) -> Begin:
        return self.lessons.begin

    def move_to(self, instant: datetime) -> None:
        if instant > self.now:
            self.told.append((self.now, [self.world.spendable(student) for student in range(STUDENTS)]))
        self.world.now = self.lessons.now = self.room.now = instant

    def give(self, student: int, minutes: int, days: float | None, cents: int) -> None:
        """A lot as it may come from elsewhere, with an end that is at no midnight."""
        self.lessons.give(minutes, days=days, student_id=self.ids[student], value_cents=cents)
        expires_at = None if days is None else self.now + timedelta(days=days)
        self.world.give(student, minutes, LONG_AGO, expires_at, cents)
        self.is_checked = False

    def sell(self, student: int, minutes: int, days: int | None, state: PurchaseState) -> Sold:
        facts: dict[str, Any] = {"minutes": minutes, "validity_days": days, "price_cents": CENTS}
        purchase = add_purchase(self.begin, at=self.now, state=state, student_id=self.ids[student], **facts)
        assert purchase.transaction_id is not None
        self.world.packages[purchase.transaction_id] = Package(student, minutes, days, CENTS, self.now)
        return Sold(purchase.transaction_id, intent_body(purchase, self.deployment), state in ENDED)

    def tell(self, sold: Sold, created: datetime, *, differs: bool = False) -> None:
        """An event comes, which a worker will see; of a purchase that was given up it is worked at once."""
        created = created.replace(microsecond=0)
        intent = {**sold.intent, "amount_received": CENTS - 1} if differs else sold.intent
        body = event_body("payment_intent.succeeded", intent, at=created)
        self.news.append(News(add_event(self.begin, body, at=self.now), sold.number, created, differs))
        if sold.is_ended:
            self.hear()

    def hear(self) -> None:
        """A hint that comes twice changes nothing more."""
        for _ in range(2):
            hints = KeptHints()
            assert drain(self.begin, self.lessons.leases, hints, deployment=self.deployment, now=self.now) == []
        for one in self.news:
            self.outcomes[one.event_id] = self.world.pay(one.number, one.created, differs=one.differs)
        self.news = []
        self.is_checked = False

    def extend(self, numbers: Sequence[int], days: int, *, from_now: bool) -> None:
        more = {"extension_days": days, "extend_from_now": from_now}
        one = len(numbers) == 1
        wish: Wish = (
            Extend(transaction_id=numbers[0], **more) if one else BulkExtend(transaction_ids=tuple(numbers), **more)
        )
        self._staff(wish, lambda: self.world.extend(numbers, days, from_now=from_now))

    def grant(self, student: int, minutes: int, days: int) -> None:
        wish = Grant(student_id=self.ids[student], minutes=minutes, validity_days=days)
        self._staff(wish, lambda: self.world.grant(student, minutes, days))

    def correct(self, student: int, minutes: int) -> None:
        wish = Correct(student_id=self.ids[student], minutes=minutes)
        self._staff(wish, lambda: self.world.correct(student, minutes))

    def undo(self, sweep: Sweep) -> None:
        self._staff(UndoSweep(run_id=sweep.run_id), lambda: self.world.undo(sweep.run_id, sweep.taken))

    def _staff(self, wish: Wish, does: Callable[[], None]) -> None:
        """Worked at once, and hinted at again; no two acts of staff have the same instant."""
        act_id = self._accepted(wish)
        self.room.perform(act_id)
        assert self.room.perform(act_id) == []
        try:
            does()
            word = "done"
        except Refused as refusal:
            word = str(refusal)
        act = self.room.row(act_id)
        assert (act.error_type or act.state) == word
        self.move_to(self.now + MICROSECOND)
        self.is_checked = False

    def _accepted(self, wish: Wish) -> UUID:
        act = StaffAct(
            id=new_id(),
            action=wish.action,
            target=wish.target,
            parameters=wish.model_dump(mode="json"),
            reason="A test.",
            actor="staff-1",
            request_id="request-of-a-test",
            state=ActState.REQUESTED,
            requested_at=self.now,
        )
        open_now(act)
        with self.begin() as session:
            session.add(act)
        return act.id

    def book(self, students: Sequence[int], minutes: int, ends_at: datetime | None) -> Group:
        owners = [self.ids[student] for student in students]
        at = self._asked_at()
        rows, act = make_booking(owners, minutes, at=at, session_id=f"session-{self.number}", ends_at=ends_at)
        for student, row in zip(students, rows, strict=True):
            self.world.lessons[row.id] = Lesson(student, minutes, ends_at)
        group = Group(act.group_id, [row.id for row in rows])
        self.groups.update(dict.fromkeys(group.members, group))
        self.waiting.append(Asked(act, group.members, rows))
        return group

    def ask(self, kind: ConsumptionActKind, group: Group, members: Sequence[UUID], minutes: int | None) -> None:
        """About one of a group, or about all of it."""
        if kind is ConsumptionActKind.RELEASE:
            minutes = None
        one = members[0] if len(members) < len(group.members) else None
        act = make_act(kind, group.id, at=self._asked_at(), minutes=minutes, consumption_id=one)
        self.waiting.append(Asked(act, members))

    def work_together(self) -> None:
        for asked in self.waiting:
            self._enter(asked)
        self._work()
        for asked in self.waiting:
            self._expect(asked)
        self.waiting = []

    def work_one_by_one(self) -> None:
        """As acts are worked whose batch broke, or whose worker died."""
        for asked in self.waiting:
            asked.act.attempts = 1
            self._enter(asked)
            self._work()
            self._expect(asked)
        self.waiting = []

    def lapse(self) -> None:
        self.lessons.lapse()
        self.world.lapse()
        self.is_checked = False

    def sweep(self, grace: timedelta) -> Sweep:
        hours = round(grace / timedelta(hours=1))
        (message,) = start_sweep(self.begin, SweepTrigger.NIGHTLY, grace_hours=hours, now=self.now)
        assert sweep_lots(self.begin, self.lessons.leases.terms, message, now=self.now) == []
        self.is_checked = False
        return Sweep(message.run_id, self.world.sweep(grace))

    def _enter(self, asked: Asked) -> None:
        with self.begin() as session:
            session.add_all([*asked.bookings, asked.act])

    def _work(self) -> None:
        """A hint that comes twice changes nothing more."""
        assert self.lessons.work() == []
        assert self.lessons.work() == []

    def _expect(self, asked: Asked) -> None:
        self.words[asked.act.id] = self.world.perform(str(asked.act.act), asked.members, asked.act.minutes)
        self.is_checked = False

    def _asked_at(self) -> datetime:
        """Wishes come one after the other, whatever the clock of lessons says."""
        self.number += 1
        return self.now + self.number * MICROSECOND
