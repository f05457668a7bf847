"""A small model of the contract: packages, lessons and a clock, reckoned anew and by nothing of our code.

Minutes are counted lot by lot; days begin and end in Lisbon.
"""

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

LAPSES_AFTER = timedelta(hours=24)
LONGEST_DAYS = 1826
MICROSECOND = timedelta(microseconds=1)
LISBON = ZoneInfo("Europe/Lisbon")


def day_of(instant: datetime) -> date:
    return instant.astimezone(LISBON).date()


def beginning(day: date) -> datetime:
    """The first instant of which a calendar in Lisbon shows this day: midnight there, or an hour before that of UTC."""
    midnight = datetime.combine(day, time(), UTC)
    return min(one for one in (midnight - timedelta(hours=1), midnight) if day_of(one) >= day)


def end_of(last: datetime, days: int) -> datetime:
    """When hours end that last for so many whole days after the day of this instant."""
    return beginning(day_of(last) + timedelta(days=days + 1))


class Refused(Exception):  # noqa: N818  # an answer
    """With the word for it."""


@dataclass
class Hours:
    """A lot: hours that came together."""

    granted: int
    starts_at: datetime
    expires_at: datetime | None
    cents: int
    place: int
    left: int
    held: int = 0
    consumed: int = 0
    expired: int = 0
    refunded: int = 0
    sweeps: int = 0

    def is_good(self, now: datetime) -> bool:
        return self.expires_at is None or now < self.expires_at

    @property
    def turn(self) -> tuple[Any, ...]:
        """What expires first is taken first; of those that expire together the free one, then the oldest one."""
        return (self.expires_at is None, self.expires_at or 0, self.cents > 0, self.starts_at, self.place)


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

    @property
    def lapses_at(self) -> datetime | None:
        return self.ends_at and self.ends_at + LAPSES_AFTER

    def is_over(self, now: datetime) -> bool:
        return self.lapses_at is not None and now >= self.lapses_at

    @property
    def shown(self) -> tuple[str, int, int, int]:
        """State, and minutes held, consumed and returned."""
        total = sum(self.taken.values())
        is_held = self.state == "held"
        return (self.state, total if is_held else 0, 0 if is_held else total, self.returned)


@dataclass
class Package:
    """What was sold; its `lot` comes with the payment."""

    student: int
    minutes: int
    days: int | None
    cents: int
    accepted_at: datetime
    lot: Hours | None = None


@dataclass
class World:
    """What should be there: the lots of each student, every lesson by its id, every package by its number."""

    now: datetime
    students: list[list[Hours]] = field(default_factory=lambda: [[], [], []])
    lessons: dict[UUID, Lesson] = field(default_factory=dict)
    packages: dict[int, Package] = field(default_factory=dict)
    undone: set[int] = field(default_factory=set)

    def give(self, student: int, minutes: int, starts_at: datetime, expires_at: datetime | None, cents: int) -> Hours:
        lots = self.students[student]
        lots.append(Hours(minutes, starts_at, expires_at, cents, len(lots), minutes))
        return lots[-1]

    def pay(self, number: int, created: datetime, *, differs: bool) -> str:
        """What becomes of the news that a package was paid: hours come once, and for the right sum only."""
        package = self.packages[number]
        if differs:
            return "difference"
        if package.lot:
            return "late"
        paid_at = max(package.accepted_at, min(created, self.now))
        end = None if package.days is None else end_of(paid_at, package.days)
        package.lot = self.give(package.student, package.minutes, paid_at, end, package.cents)
        return "applied"

    def extend(self, numbers: Sequence[int], days: int, *, from_now: bool) -> None:
        """All of them, or none."""
        ends = [self.new_end(number, days, from_now=from_now) for number in sorted(numbers)]
        for lot, end in ends:
            lot.expires_at = end
            lot.left, lot.expired = lot.left + lot.expired, 0

    def new_end(self, number: int, days: int, *, from_now: bool) -> tuple[Hours, datetime]:
        if number not in self.packages:
            raise Refused("not_found")
        lot = self.packages[number].lot
        if lot is None or lot.expires_at is None:
            raise Refused("invalid_transaction_state")
        end = end_of(self.now if from_now else lot.expires_at - MICROSECOND, days)
        if end <= self.now:
            raise Refused("still_expired")
        if end <= lot.expires_at:
            raise Refused("extension_too_short")
        if end > end_of(self.now, LONGEST_DAYS):
            raise Refused("extension_too_long")
        return lot, end

    def grant(self, student: int, minutes: int, days: int) -> None:
        self.give(student, minutes, self.now, end_of(self.now, days), 0)

    def correct(self, student: int, minutes: int) -> None:
        if minutes > self.spendable(student):
            raise Refused("insufficient_balance")
        for lot, part in self.first(student, minutes):
            lot.left, lot.refunded = lot.left - part, lot.refunded + part

    def perform(self, act: str, members: Sequence[UUID], minutes: int | None) -> set[str]:
        """Words of refusal of those who cannot; where there are any, nothing has happened but the refusal."""
        before = deepcopy(([self.lots_of(member) for member in members], [self.lessons[member] for member in members]))
        words: dict[UUID, str] = {}
        for member in members:
            try:
                getattr(self, act)(self.lessons[member], minutes)
            except Refused as refusal:
                words[member] = str(refusal)
        if words:
            self.put_back(members, *before)
            if act == "book":
                self.refuse(members, words)
        return set(words.values())

    def put_back(self, members: Sequence[UUID], lots: Sequence[list[Hours]], lessons: Sequence[Lesson]) -> None:
        """The same objects as before, for packages know theirs."""
        for member, hours, lesson in zip(members, lots, lessons, strict=True):
            for lot, earlier in zip(self.lots_of(member), hours, strict=True):
                vars(lot).update(vars(earlier))
            self.lessons[member] = lesson

    def refuse(self, members: Sequence[UUID], words: dict[UUID, str]) -> None:
        for member in members:
            lesson = self.lessons[member]
            lesson.state, lesson.word, lesson.words = "refused", words.get(member), set(words.values())

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
            raise Refused("invalid_state")
        self.give_back(lesson, wanted)
        lesson.returned += wanted
        lesson.state = "consumed" if lesson.taken else "refunded"

    def lapse(self) -> None:
        for lesson in self.lessons.values():
            if lesson.state == "held" and lesson.is_over(self.now):
                self.give_back(lesson, sum(lesson.taken.values()))
                lesson.state = "lapsed"

    def sweep(self, grace: timedelta) -> list[tuple[Hours, int]]:
        """What was written off of which lots."""
        due = [lot for lots in self.students for lot in lots if lot.left and not lot.is_good(self.now - grace)]
        taken = [(lot, lot.left) for lot in due]
        for lot in due:
            lot.expired, lot.left, lot.sweeps = lot.expired + lot.left, 0, lot.sweeps + 1
        return taken

    def undo(self, run_id: int, taken: Sequence[tuple[Hours, int]]) -> None:
        if run_id in self.undone:
            raise Refused("invalid_state")
        self.undone.add(run_id)
        for lot, minutes in taken:
            part = min(minutes, lot.expired)
            lot.expired, lot.left = lot.expired - part, lot.left + part

    def demand_hold(self, lesson: Lesson) -> None:
        if lesson.state != "held" or lesson.is_over(self.now):
            raise Refused("invalid_state")

    def lots_of(self, member: UUID) -> list[Hours]:
        return self.students[self.lessons[member].student]

    def spendable(self, student: int) -> int:
        return sum(lot.left for lot in self.students[student] if lot.is_good(self.now))

    def first(self, student: int, minutes: int) -> list[tuple[Hours, int]]:
        """So many minutes of good lots, in the order of their turns."""
        parts = []
        for lot in sorted(self.students[student], key=lambda lot: lot.turn):
            part = min(lot.left, minutes) if lot.is_good(self.now) else 0
            minutes -= part
            parts += [(lot, part)] if part else []
        return parts

    def take(self, lesson: Lesson, minutes: int) -> None:
        """From good lots to the lesson. What was wholly taken back is no package when it comes to the words."""
        if self.spendable(lesson.student) < minutes:
            lots = [lot for lot in self.students[lesson.student] if lot.refunded < lot.granted]
            is_some_good = any(lot.is_good(self.now) for lot in lots)
            raise Refused("insufficient_balance" if is_some_good else "package_expired" if lots else "no_packages")
        for lot, part in self.first(lesson.student, minutes):
            lot.left -= part
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
