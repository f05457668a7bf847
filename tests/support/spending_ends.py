"""Instants at which something is over, and what people try just then: the boundaries that a microsecond decides."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from uuid import UUID

from billing.states import ConsumptionActKind, PurchaseState
from tests.support.spending_model import MICROSECOND, Hours, beginning, day_of, end_of
from tests.support.spending_stage import Stage

GRACE = timedelta(hours=24)
NOTHING = timedelta()
LONGEST_WAIT = timedelta(days=3)
OFFSETS = [-MICROSECOND, NOTHING, NOTHING, MICROSECOND]

Try = Callable[[], object]
Kind = Callable[[Stage], "Iterator[End]"]


@dataclass(frozen=True)
class End:
    """From `at` on something is over."""

    at: datetime
    tries: Sequence[Try]


def come_to(stage: Stage, kinds: Sequence[Kind], offset: timedelta, choice: int) -> None:
    """To the next end of the first kind of which there is one, or right beside it; what it decides about is tried."""
    latest = stage.now + LONGEST_WAIT
    for kind in kinds:
        if due := [end for end in kind(stage) if stage.now < end.at <= latest]:
            end = min(due, key=lambda end: end.at)
            stage.move_to(max(stage.now, end.at + offset))
            end.tries[choice % len(end.tries)]()
            return


def ends_of_hours(stage: Stage) -> Iterator[End]:
    for student, lots in enumerate(stage.world.students):
        for lot in lots:
            if lot.expires_at and lot.left:
                yield End(lot.expires_at, list(_tries_of_hours(stage, student, lot)))


def ends_of_grace(stage: Stage) -> Iterator[End]:
    """When the nightly sweep may take what is left."""
    for lots in stage.world.students:
        for lot in lots:
            if lot.expires_at and lot.left:
                yield End(lot.expires_at + GRACE, [partial(stage.sweep, GRACE)])


def ends_of_holds(stage: Stage) -> Iterator[End]:
    for member, lesson in stage.world.lessons.items():
        if lesson.lapses_at and lesson.state in ("held", "requested"):
            yield End(lesson.lapses_at, list(_tries_of_hold(stage, member)))


def end_of_day(stage: Stage) -> Iterator[End]:
    """Midnight in Lisbon, from which on a package that is paid or extended lasts for a day more."""
    at = beginning(day_of(stage.now) + timedelta(days=1))
    numbers = list(stage.world.packages)
    extensions = [partial(stage.extend, [number], 1, from_now=True) for number in numbers[-2:]]
    yield End(at, [partial(stage.grant, 0, 60, 1), partial(_sell_and_hear, stage), *extensions])


def ends_of_extensions(stage: Stage) -> Iterator[End]:
    """So many days after their end packages are extended by just as many, swept or not; or from now."""
    for number, package in stage.world.packages.items():
        if package.lot and package.lot.expires_at:
            for days in (1, 2):
                at = end_of(package.lot.expires_at - MICROSECOND, days)
                extensions = [partial(stage.extend, [number], days, from_now=is_new) for is_new in (False, True)]
                yield End(at, [*extensions, *(partial(_sweep_and, stage, extension) for extension in extensions)])


def _sweep_and(stage: Stage, extension: Try) -> None:
    stage.sweep(NOTHING)
    extension()


def _tries_of_hours(stage: Stage, student: int, lot: Hours) -> Iterator[Try]:
    """All that seems to be left is asked for, and what is really left."""
    there = sum(lot.left for lot in stage.world.students[student])
    yield lambda: _book(stage, student, there)
    yield lambda: _book(stage, student, stage.world.spendable(student))
    yield lambda: stage.correct(student, there)
    yield partial(stage.sweep, NOTHING)
    for number, package in stage.world.packages.items():
        if package.lot is lot:
            yield partial(stage.extend, [number], 1, from_now=False)


def _tries_of_hold(stage: Stage, member: UUID) -> Iterator[Try]:
    group = stage.groups[member]
    yield stage.lapse
    for kind in (ConsumptionActKind.CAPTURE, ConsumptionActKind.RELEASE):
        for members in ([member], group.members):
            yield partial(_ask, stage, kind, member, members)
    yield stage.work_together


def _ask(stage: Stage, kind: ConsumptionActKind, member: UUID, members: Sequence[UUID]) -> None:
    stage.ask(kind, stage.groups[member], members, None)
    stage.work_together()


def _book(stage: Stage, student: int, minutes: int) -> None:
    if minutes:
        stage.book([student], minutes, None)
        stage.work_together()


def _sell_and_hear(stage: Stage) -> None:
    sold = stage.sell(1, 60, 1, PurchaseState.PENDING)
    stage.tell(sold, stage.now)
    stage.hear()


KINDS: Sequence[Kind] = [ends_of_hours, ends_of_holds, ends_of_extensions, ends_of_grace, end_of_day]
