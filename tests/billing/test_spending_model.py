"""Random lives of students against a small model of the contract: lots, lessons and a clock, and nothing of our code.

The seed is printed with a failure; SPENDING_SEED repeats it.
"""

import os
import random
from collections.abc import Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, seed
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import text
from sqlmodel import Session

from billing import ledger
from billing.db import Begin
from billing.expiry.sweep import start_sweep, sweep_lots
from billing.expiry.undo import undo_sweep
from billing.ids import new_id
from billing.models import Consumption, ConsumptionAct
from billing.states import ConsumptionActKind, SweepTrigger
from tests.support.hours import Lessons, make_act, make_booking

STUDENTS = 3
LAPSES_AFTER = timedelta(hours=24)
MICROSECOND = timedelta(microseconds=1)

EXAMPLES, STEPS = 32, 80

GIVEN = st.sampled_from([60, 90, 120, 240, 600])
DAYS = st.sampled_from([1, 2, 3, 10, 45, None])
WHO = st.sampled_from([{0}, {1}, {2}, {0}, {1}, {2}, {0, 1}, {1, 2}, {0, 1, 2}])
MINUTES = st.sampled_from([1, 15, 30, 45, 60, 90, 240])
LATER = [ConsumptionActKind.CAPTURE, ConsumptionActKind.RELEASE, ConsumptionActKind.REFUND]
WISHED = st.sampled_from([None, 1, 15, 30, 60, 61, 100])


@dataclass
class Hours:
    """A lot: hours that came together."""

    expires_at: datetime | None
    is_paid: bool
    place: int
    left: int
    held: int = 0
    consumed: int = 0
    expired: int = 0

    def is_good(self, now: datetime) -> bool:
        return self.expires_at is None or now < self.expires_at

    @property
    def turn(self) -> tuple[Any, ...]:
        """What expires first is taken first; of two that expire together the free one, then the older one."""
        return (self.expires_at is None, self.expires_at or 0, self.is_paid, self.place)


@dataclass
class Lesson:
    """What one student was booked for; `taken` is how much of which of the student's lots."""

    student: int
    minutes: int
    ends_at: datetime | None
    state: str = "requested"
    word: str | None = None
    """Why it was refused; None where others of its group are why, whose words are `words`."""
    words: set[str] = field(default_factory=set)
    taken: dict[int, int] = field(default_factory=dict)
    returned: int = 0

    def is_over(self, now: datetime) -> bool:
        return self.ends_at is not None and now >= self.ends_at + LAPSES_AFTER

    @property
    def shown(self) -> tuple[str, int, int, int]:
        """State, and minutes held, consumed and returned."""
        total = sum(self.taken.values())
        is_held = self.state == "held"
        return (self.state, total if is_held else 0, 0 if is_held else total, self.returned)

    @property
    def next_acts(self) -> Sequence[ConsumptionActKind]:
        if self.state == "consumed" or (self.state == "requested" and self.ends_at is None):
            return (ConsumptionActKind.REFUND,)
        is_open = self.state in ("requested", "held")
        return (ConsumptionActKind.CAPTURE, ConsumptionActKind.CAPTURE, ConsumptionActKind.RELEASE) if is_open else ()


class Refused(Exception):  # noqa: N818  # an answer
    pass


@dataclass
class World:
    """What should be there: the lots of each student, and every lesson by its id."""

    now: datetime
    students: list[list[Hours]] = field(default_factory=lambda: [[] for _ in range(STUDENTS)])
    lessons: dict[UUID, Lesson] = field(default_factory=dict)

    def give(self, student: int, minutes: int, expires_at: datetime | None, *, is_paid: bool) -> None:
        lots = self.students[student]
        lots.append(Hours(expires_at, is_paid, len(lots), minutes))

    def perform(self, act: str, members: Sequence[UUID], minutes: int | None) -> set[str]:
        """Words of refusal of those who cannot; where there are any, nothing has happened but the refusal."""
        before = deepcopy((self.students, self.lessons))
        words: dict[UUID, str] = {}
        for member in members:
            try:
                getattr(self, act)(self.lessons[member], minutes)
            except Refused as refusal:
                words[member] = str(refusal)
        if words:
            self.students, self.lessons = before
            if act == "book":
                for member in members:
                    lesson = self.lessons[member]
                    lesson.state, lesson.word = "refused", words.get(member)
                    lesson.words = set(words.values())
        return set(words.values())

    def book(self, lesson: Lesson, _minutes: int | None) -> None:
        if lesson.is_over(self.now):
            raise Refused("invalid_state")
        self.take(lesson, lesson.minutes)
        lesson.state = "consumed" if lesson.ends_at is None else "held"
        self.count(lesson, lesson.taken, 1)

    def capture(self, lesson: Lesson, minutes: int | None) -> None:
        self.demand_hold(lesson)
        held = sum(lesson.taken.values())
        wanted = held if minutes is None else minutes
        if wanted < held:
            self.give_back(lesson, held - wanted)
        self.count(lesson, lesson.taken, -1)
        if wanted > held:
            self.take(lesson, wanted - held)
        lesson.state = "consumed"
        self.count(lesson, lesson.taken, 1)

    def release(self, lesson: Lesson, _minutes: int | None) -> None:
        self.demand_hold(lesson)
        self.give_back(lesson, sum(lesson.taken.values()))
        lesson.state = "released"

    def refund(self, lesson: Lesson, minutes: int | None) -> None:
        if lesson.state != "consumed":
            raise Refused("invalid_state")
        total = sum(lesson.taken.values())
        wanted = total if minutes is None else minutes
        if wanted > total:
            raise Refused("refund_exceeds_consumption")
        self.give_back(lesson, wanted)
        lesson.returned += wanted
        lesson.state = "consumed" if lesson.taken else "refunded"

    def lapse(self) -> None:
        for lesson in self.lessons.values():
            if lesson.state == "held" and lesson.is_over(self.now):
                self.give_back(lesson, sum(lesson.taken.values()))
                lesson.state = "lapsed"

    def sweep(self, grace: timedelta) -> dict[tuple[int, int], int]:
        """What was written off of which lots."""
        taken = {}
        for student, lots in enumerate(self.students):
            for lot in lots:
                if lot.left and lot.expires_at is not None and lot.expires_at <= self.now - grace:
                    taken[student, lot.place] = lot.left
                    lot.expired, lot.left = lot.expired + lot.left, 0
        return taken

    def undo(self, taken: dict[tuple[int, int], int]) -> None:
        for (student, place), minutes in taken.items():
            lot = self.students[student][place]
            part = min(minutes, lot.expired)
            lot.expired, lot.left = lot.expired - part, lot.left + part

    def demand_hold(self, lesson: Lesson) -> None:
        if lesson.state != "held" or lesson.is_over(self.now):
            raise Refused("invalid_state")

    def take(self, lesson: Lesson, minutes: int) -> None:
        """From good lots to the lesson, minute by minute in the order of their turns."""
        lots = self.students[lesson.student]
        good = sorted((lot for lot in lots if lot.is_good(self.now)), key=lambda lot: lot.turn)
        if sum(lot.left for lot in good) < minutes:
            raise Refused("insufficient_balance" if good else "package_expired" if lots else "no_packages")
        for lot in good:
            part = min(lot.left, minutes)
            lot.left -= part
            minutes -= part
            if part:
                lesson.taken[lot.place] = lesson.taken.get(lot.place, 0) + part

    def give_back(self, lesson: Lesson, minutes: int) -> None:
        """From the lesson to its lots, to those first whose turn comes last."""
        lots = self.students[lesson.student]
        for place in sorted(lesson.taken, key=lambda place: lots[place].turn, reverse=True):
            part = min(lesson.taken[place], minutes)
            minutes -= part
            self.count(lesson, {place: part}, -1)
            lots[place].left += part
            lesson.taken[place] -= part
        lesson.taken = {place: part for place, part in lesson.taken.items() if part}

    def count(self, lesson: Lesson, parts: dict[int, int], sign: int) -> None:
        """Count minutes of lots as held or consumed, as the lesson's state is."""
        for place, part in parts.items():
            lot = self.students[lesson.student][place]
            if lesson.state == "held":
                lot.held += sign * part
            else:
                lot.consumed += sign * part


@dataclass(frozen=True)
class Group:
    id: UUID
    members: Sequence[UUID]


@dataclass(frozen=True)
class Wish:
    act: ConsumptionAct
    members: Sequence[UUID]
    bookings: Sequence[Consumption] = ()


@dataclass(frozen=True)
class Sweep:
    run_id: int
    taken: dict[tuple[int, int], int]


class Spending(RuleBasedStateMachine):
    """Wishes gather until a worker comes, who may find one of them or a batch."""

    groups: Bundle[Group] = Bundle("groups")
    sweeps: Bundle[Sweep] = Bundle("sweeps")

    def __init__(self, begin: Begin, start: datetime) -> None:
        super().__init__()
        self.lessons = Lessons(begin, start, email=f"{new_id().hex}@example.com")
        self.world = World(start)
        self.ids = [self.lessons.student_id, *(self.lessons.another_student() for _ in range(STUDENTS - 1))]
        self.wishes: list[Wish] = []
        self.words: dict[UUID, set[str]] = {}
        self.number = 0
        self.is_checked = True

    @initialize(given=st.lists(st.tuples(st.integers(0, STUDENTS - 1), GIVEN, DAYS), min_size=2, max_size=6))
    def begin_with(self, given: list[tuple[int, int, float | None]]) -> None:
        for student, minutes, days in given:
            self.give(student, minutes, days, is_paid=True)

    @rule(student=st.integers(0, STUDENTS - 1), minutes=GIVEN, days=DAYS, is_paid=st.booleans())
    def give(self, student: int, minutes: int, days: float | None, *, is_paid: bool) -> None:
        self.lessons.give(minutes, days=days, student_id=self.ids[student], value_cents=100 * is_paid)
        expires_at = None if days is None else self.world.now + timedelta(days=days)
        self.world.give(student, minutes, expires_at, is_paid=is_paid)
        self.is_checked = False

    @rule(target=groups, students=WHO, minutes=MINUTES)
    def consume(self, students: set[int], minutes: int) -> Group:
        return self.book(sorted(students), minutes, None)

    @rule(target=groups, students=WHO, minutes=MINUTES, hours=st.sampled_from([1, 12, 30, 100, 300]))
    def hold(self, students: set[int], minutes: int, hours: int) -> Group:
        return self.book(sorted(students), minutes, self.world.now + timedelta(hours=hours))

    def book(self, students: Sequence[int], minutes: int, ends_at: datetime | None) -> Group:
        owners = [self.ids[student] for student in students]
        at = self.asked_at()
        rows, act = make_booking(owners, minutes, at=at, session_id=f"session-{self.number}", ends_at=ends_at)
        for student, row in zip(students, rows, strict=True):
            self.world.lessons[row.id] = Lesson(student, minutes, ends_at)
        group = Group(act.group_id, [row.id for row in rows])
        self.wishes.append(Wish(act, group.members, rows))
        return group

    @rule(
        group=groups, which=st.integers(0, STUDENTS), minutes=WISHED, choice=st.integers(0, 2), is_urgent=st.booleans()
    )
    def follow(self, group: Group, which: int, minutes: int | None, choice: int, *, is_urgent: bool) -> None:
        """What the platform would do next, as things are."""
        if kinds := self.world.lessons[group.members[0]].next_acts:
            self.ask(kinds[choice % len(kinds)], group, which, minutes)
            if is_urgent:
                self.work_together()

    @rule(group=groups, which=st.integers(0, STUDENTS), minutes=WISHED, kind=st.sampled_from(LATER))
    def err(self, group: Group, which: int, minutes: int | None, kind: ConsumptionActKind) -> None:
        self.ask(kind, group, which, minutes)

    def ask(self, kind: ConsumptionActKind, group: Group, which: int, minutes: int | None) -> None:
        """About one of the group, or about all of it where there is none of that number."""
        one = group.members[which] if which < len(group.members) else None
        if kind is ConsumptionActKind.RELEASE:
            minutes = None
        act = make_act(kind, group.id, at=self.asked_at(), minutes=minutes, consumption_id=one)
        self.wishes.append(Wish(act, group.members if one is None else [one]))

    @precondition(lambda self: self.wishes)
    @rule()
    def work_together(self) -> None:
        for wish in self.wishes:
            self.enter(wish)
        self.work()
        for wish in self.wishes:
            self.expect(wish)
        self.wishes = []

    @precondition(lambda self: self.wishes)
    @rule()
    def work_one_by_one(self) -> None:
        """As acts are worked whose batch broke, or whose worker died."""
        for wish in self.wishes:
            wish.act.attempts = 1
            self.enter(wish)
            self.work()
            self.expect(wish)
        self.wishes = []

    @rule()
    def lapse(self) -> None:
        self.lessons.lapse()
        self.world.lapse()
        self.is_checked = False

    @rule(target=sweeps, grace_hours=st.sampled_from([0, 24]))
    def sweep(self, grace_hours: int) -> Sweep:
        now, begin = self.lessons.now, self.lessons.begin
        (message,) = start_sweep(begin, SweepTrigger.NIGHTLY, grace_hours=grace_hours, now=now)
        assert sweep_lots(begin, self.lessons.leases.terms, message, now=now) == []
        self.is_checked = False
        return Sweep(message.run_id, self.world.sweep(timedelta(hours=grace_hours)))

    @rule(sweep=consumes(sweeps))
    def undo(self, sweep: Sweep) -> None:
        with self.lessons.begin() as session:
            undo_sweep(session, sweep.run_id, at=self.lessons.now)
        self.world.undo(sweep.taken)
        self.is_checked = False

    @rule(hours=st.sampled_from([0.1, 0.5, 1, 5, 24]))
    def pass_time(self, hours: float) -> None:
        self.move_to(self.world.now + timedelta(hours=hours))

    @rule(is_before=st.booleans())
    def pass_time_to_an_end(self, *, is_before: bool) -> None:
        """To the very instant of the next expiry or lapse, or to the last one before it."""
        ends = [end for end in self.ends() if end > self.world.now]
        if ends and min(ends) - self.world.now < timedelta(days=2):
            self.move_to(max(self.world.now, min(ends) - is_before * MICROSECOND))

    @invariant()
    def all_is_as_in_the_model(self) -> None:
        """Looked at after each step that can have changed anything."""
        if self.is_checked:
            return
        with self.lessons.begin() as session:
            self.check_lots(session)
            self.check_lessons(session)
            self.check_acts(session)
            assert session.execute(VIOLATIONS, {"low": self.ids[0], "high": self.ids[-1]}).all() == []
        self.is_checked = True

    def check_lots(self, session: Session) -> None:
        known = [
            (student_id, lot.left, lot.held, lot.consumed, lot.expired)
            for student_id, lots in zip(self.ids, self.world.students, strict=True)
            for lot in lots
        ]
        assert session.execute(LOTS, {"students": self.ids}).all() == known
        sums = {row[0]: tuple(row[1:]) for row in session.execute(BALANCES, {"students": self.ids})}
        for student_id in self.ids:
            lots_of = [lot[1:] for lot in known if lot[0] == student_id]
            assert sums.get(student_id, NOTHING) == tuple(map(sum, zip(NOTHING, *lots_of, strict=True)))

    def check_lessons(self, session: Session) -> None:
        rows = session.execute(LESSONS, {"students": self.ids}).all()
        waiting = {row.id for wish in self.wishes for row in wish.bookings}
        assert {row.id for row in rows} == set(self.world.lessons) - waiting
        for row in rows:
            lesson = self.world.lessons[row.id]
            assert (row.state, row.minutes_held, row.minutes_consumed, row.minutes_returned) == lesson.shown
            words: set[str | None] = {lesson.word} if lesson.word else {*lesson.words} or {None}
            assert row.error_type in words

    def check_acts(self, session: Session) -> None:
        """A group is told one of the words of those who were at fault."""
        endings = session.execute(ENDINGS, {"acts": list(self.words)}).all()
        assert len(endings) == len(self.words)
        for act_id, ending in endings:
            assert ending in (self.words[act_id] or {"done"})
        self.words = {}

    def enter(self, wish: Wish) -> None:
        with self.lessons.begin() as session:
            session.add_all([*wish.bookings, wish.act])

    def work(self) -> None:
        """A hint that comes twice changes nothing more."""
        assert self.lessons.work() == []
        assert self.lessons.work() == []

    def expect(self, wish: Wish) -> None:
        self.words[wish.act.id] = self.world.perform(str(wish.act.act), wish.members, wish.act.minutes)
        self.is_checked = False

    def ends(self) -> Iterator[datetime]:
        for lots in self.world.students:
            yield from (lot.expires_at for lot in lots if lot.expires_at)
        held = (lesson for lesson in self.world.lessons.values() if lesson.state == "held")
        yield from (lesson.ends_at + LAPSES_AFTER for lesson in held if lesson.ends_at)

    def move_to(self, instant: datetime) -> None:
        self.world.now = self.lessons.now = instant

    def asked_at(self) -> datetime:
        """Wishes come one after the other, whatever the clock of lessons says."""
        self.number += 1
        return self.world.now + self.number * MICROSECOND


NOTHING = (0, 0, 0, 0)
LOTS = text("""
    SELECT student_id, minutes_left, minutes_held, minutes_consumed, minutes_expired FROM hour_lot
    WHERE student_id = ANY(:students) ORDER BY student_id, id
""")
BALANCES = text("""
    SELECT student_id, minutes_left, minutes_held, minutes_consumed, minutes_expired FROM student_balance
    WHERE student_id = ANY(:students)
""")
VIOLATIONS = text("SELECT * FROM violations_of(:low, :high)")
LESSONS = text("SELECT * FROM consumption WHERE student_id = ANY(:students)")
ENDINGS = text("SELECT id, coalesce(error_type, state) FROM consumption_act WHERE id = ANY(:acts)")


@pytest.mark.timeout(900)  # needed only where something was found and is made small
def test_lives_of_students_go_as_the_contract_says(begin: Begin, now: datetime) -> None:
    """Whatever students, the platform and the clock do: hours are where the contract says, after every step."""
    number = int(os.environ.get("SPENDING_SEED") or random.randrange(1_000_000))
    print(f"SPENDING_SEED={number}")

    class Life(Spending):
        def __init__(self) -> None:
            super().__init__(begin, now)

    terms = hypothesis_settings(
        max_examples=EXAMPLES,
        stateful_step_count=STEPS,
        deadline=None,
        database=None,
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(seed(number)(Life), settings=terms)
    assert ledger.violations(begin) == []
