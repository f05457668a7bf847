"""Random lives of students against a small model of the contract: packages, lessons and a clock, none of our code.

The seed is printed with a failure; SPENDING_SEED repeats it.
"""

import os
import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import HealthCheck, seed
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from billing import ledger
from billing.db import Begin
from billing.deployment import Deployment
from billing.states import ConsumptionActKind, PurchaseState
from tests.support.spending_checks import Telling, check, check_telling
from tests.support.spending_ends import GRACE, KINDS, OFFSETS, come_to
from tests.support.spending_model import LONGEST_DAYS
from tests.support.spending_stage import CENTS, STUDENTS, Group, Sold, Stage, Sweep

EXAMPLES, STEPS = 16, 80

START = datetime(2026, 3, 2, 12, tzinfo=UTC)
STARTS = st.sampled_from(
    [
        START,
        datetime(2026, 3, 27, 23, 30, tzinfo=UTC),  # summer time begins on the 29th, at 01:00
        datetime(2026, 7, 14, 22, 30, tzinfo=UTC),
        datetime(2026, 10, 23, 22, 45, tzinfo=UTC),  # and ends on the 25th, at 01:00
    ]
)
WHOSE = st.integers(0, STUDENTS - 1)
GIVEN = st.sampled_from([60, 90, 120, 240, 600])
DAYS = st.sampled_from([1, 2, 3, 10, 45, None])
VALIDITY = st.sampled_from([1, 1, 2, 3, 10, 30, None])
LONGER = st.sampled_from([1, 1, 2, 3, 10, 30, LONGEST_DAYS - 1, LONGEST_DAYS])
WHO = st.sampled_from([{0}, {1}, {2}, {0}, {1}, {2}, {0, 1}, {1, 2}, {0, 1, 2}])
MINUTES = st.sampled_from([1, 15, 30, 45, 60, 90, 240])
WISHED = st.sampled_from([None, 1, 15, 30, 60, 61, 100])
OFFSET = st.sampled_from(OFFSETS)
CHOICE = st.integers(0, 59)
WHICH_END = st.sampled_from([0, 0, 1, 1, 1, 2, 2, 3, 4])
LENGTH = st.sampled_from([None, None, 1, 12, 30, 100])
TIMES = st.sampled_from([0, 1, 1, 2])

A, P = ConsumptionActKind, PurchaseState
LATER = [A.CAPTURE, A.RELEASE, A.REFUND]
NEXT = {"requested": LATER, "held": [A.CAPTURE, A.CAPTURE, A.RELEASE], "consumed": [A.REFUND] * 3}
UNPAID = st.sampled_from([P.PENDING, P.PENDING, P.PENDING, P.PROCESSING, P.FAILED, P.CANCELLED, P.EXPIRED])
SAID = st.sampled_from(["before it was bought", "then", "earlier", "now", "now", "in an hour"])


class Spending(RuleBasedStateMachine):
    """Wishes and news gather until a worker comes, who may find one of them or a batch.

    There are few rules with choices of their own, so that a life without some of the rules has a bit of everything.
    """

    def __init__(self, stage: Stage, telling: Telling) -> None:
        super().__init__()
        self.stage, self.telling = stage, telling
        self.groups: list[Group] = []
        self.packages: list[Sold] = []
        self.sweeps: list[Sweep] = []
        self.looks = 0

    @initialize(start=STARTS, given=st.lists(st.tuples(WHOSE, GIVEN, DAYS), min_size=2, max_size=6))
    def begin_with(self, start: datetime, given: list[tuple[int, int, float | None]]) -> None:
        self.stage.move_to(start)
        self.stage.told = []
        for student, minutes, days in given:
            self.stage.give(student, minutes, days, CENTS)

    @rule(student=WHOSE, minutes=GIVEN, days=DAYS, how=st.sampled_from(["granted", "given", "sold elsewhere"]))
    def give(self, student: int, minutes: int, days: int | None, how: str) -> None:
        if how == "granted":
            self.stage.grant(student, minutes, days or LONGEST_DAYS)
        else:
            self.stage.give(student, minutes, days, CENTS * (how == "sold elsewhere"))

    @rule(student=WHOSE, minutes=GIVEN, days=VALIDITY, state=UNPAID, times=TIMES, is_heard=st.booleans())
    def buy(
        self, student: int, minutes: int, days: int | None, state: PurchaseState, times: int, *, is_heard: bool
    ) -> None:
        """Paid at once as a rule, and told of it once or twice; a worker may hear of it later."""
        sold = self.stage.sell(student, minutes, days, state)
        for _ in range(times):
            self.stage.tell(sold, self.stage.now)
        if is_heard and self.stage.news:
            self.stage.hear()
        self.packages.append(sold)

    @rule(student=WHOSE, days=VALIDITY, minutes=MINUTES, is_together=st.booleans())
    def overtake(self, student: int, days: int | None, minutes: int, *, is_together: bool) -> None:
        """News of an older package come after those of a newer one, which mostly ends with it; a lesson is next."""
        older = self.stage.sell(student, 90, days, P.PENDING)
        paid_at = self.stage.now
        self.stage.move_to(paid_at + timedelta(minutes=1))
        newer = self.stage.sell(student, 90, days, P.PENDING)
        self.stage.tell(newer, self.stage.now)
        if not is_together:
            self.stage.hear()
        self.stage.tell(older, paid_at)
        self.stage.hear()
        self.packages += [older, newer]
        self.book({student}, minutes, None, is_urgent=True)

    @precondition(lambda self: self.packages)
    @rule(choice=CHOICE, said=SAID, differs=st.sampled_from([False, False, False, True]))
    def tell(self, choice: int, said: str, *, differs: bool) -> None:
        """News of a package that may be paid for long: repeated, late, of another clock, or of another sum."""
        sold = self.packages[choice % len(self.packages)]
        accepted_at, now = self.stage.world.packages[sold.number].accepted_at, self.stage.now
        hour = timedelta(hours=1)
        created = {"before it was bought": accepted_at - hour, "then": accepted_at + hour, "earlier": now - 5 * hour}
        self.stage.tell(sold, created.get(said, now + hour * (said == "in an hour")), differs=differs)

    @precondition(lambda self: self.packages)
    @rule(which=st.lists(CHOICE, min_size=1, max_size=3), days=LONGER, from_now=st.booleans())
    def extend(self, which: Sequence[int], days: int, *, from_now: bool) -> None:
        numbers = {self.packages[choice % len(self.packages)].number for choice in which}
        self.stage.extend(sorted(numbers), days, from_now=from_now)

    @rule(student=WHOSE, minutes=MINUTES, is_all=st.booleans(), choice=CHOICE)
    def take_back(self, student: int, minutes: int, choice: int, *, is_all: bool) -> None:
        """Hours that should not be there, or a sweep that should not have been."""
        if choice % 2 and self.sweeps:
            self.stage.undo(self.sweeps[choice % len(self.sweeps)])
        else:
            self.stage.correct(student, self.stage.world.spendable(student) or 1 if is_all else minutes)

    @rule(students=WHO, minutes=MINUTES, hours=LENGTH, is_urgent=st.booleans())
    def book(self, students: set[int], minutes: int, hours: int | None, *, is_urgent: bool) -> None:
        """Consume, or hold where the lesson has an end."""
        ends_at = None if hours is None else self.stage.now + timedelta(hours=hours)
        self.groups.append(self.stage.book(sorted(students), minutes, ends_at))
        if is_urgent:
            self.stage.work_together()

    @rule(students=WHO, minutes=MINUTES, hours=LENGTH)
    def hold(self, students: set[int], minutes: int, hours: int | None) -> None:
        self.book(students, minutes, hours or 2, is_urgent=True)

    @precondition(lambda self: self.live())
    @rule(which=WHOSE, minutes=WISHED, choice=CHOICE, is_urgent=st.booleans())
    def follow(self, which: int, minutes: int | None, choice: int, *, is_urgent: bool) -> None:
        """What the platform would do next, as things are."""
        live = (choice % 2 and self.live(["held"])) or self.live()
        member = live[choice % len(live)]
        self.ask(NEXT[self.stage.world.lessons[member].state][choice % 3], self.stage.groups[member], which, minutes)
        if is_urgent:
            self.stage.work_together()

    def live(self, states: Sequence[str] = tuple(NEXT)) -> Sequence[UUID]:
        return [member for member, lesson in self.stage.world.lessons.items() if lesson.state in states]

    @precondition(lambda self: self.groups)
    @rule(choice=CHOICE, which=WHOSE, minutes=WISHED, kind=st.sampled_from(LATER))
    def err(self, choice: int, which: int, minutes: int | None, kind: ConsumptionActKind) -> None:
        self.ask(kind, self.groups[choice % len(self.groups)], which, minutes)

    def ask(self, kind: ConsumptionActKind, group: Group, which: int, minutes: int | None) -> None:
        """About one of the group, or about all of it where there is none of that number."""
        members = group.members[which : which + 1] or group.members
        self.stage.ask(kind, group, members, minutes)

    @precondition(lambda self: self.stage.waiting or self.stage.news)
    @rule(is_together=st.booleans())
    def work(self, *, is_together: bool) -> None:
        if self.stage.news:
            self.stage.hear()
        if is_together:
            self.stage.work_together()
        else:
            self.stage.work_one_by_one()

    @rule(hours=st.sampled_from([0, 0.1, 1, 5, 24]), duty=st.sampled_from(["none", "lapse", "sweep", "early sweep"]))
    def pass_time(self, hours: float, duty: str) -> None:
        """And what is done now and then is done."""
        self.stage.move_to(self.stage.now + timedelta(hours=hours))
        if duty == "lapse":
            self.stage.lapse()
        elif duty != "none":
            self.sweeps.append(self.stage.sweep(GRACE if duty == "sweep" else timedelta()))

    @rule(first=WHICH_END, offset=OFFSET, choice=CHOICE)
    def come_to_an_end(self, first: int, offset: timedelta, choice: int) -> None:
        """To the instant from which on something is over, or beside it, and it is tried there."""
        come_to(self.stage, [*KINDS[first:], *KINDS[:first]], offset, choice)

    @rule(first=WHICH_END, offset=OFFSET, choice=CHOICE)
    def come_to_another_end(self, first: int, offset: timedelta, choice: int) -> None:
        """Twice as often as anything else, for mistakes are made at boundaries."""
        self.come_to_an_end(first, offset, choice)

    @invariant()
    def all_is_as_in_the_model(self) -> None:
        """Looked at after each step that can have changed anything."""
        if not self.stage.is_checked:
            check(self.stage)
            self.look_back()
            self.stage.is_checked = True

    def look_back(self) -> None:
        """Now and then a student is told of now, and of two instants of their life, an early and a late one."""
        self.looks += 1
        if told := self.looks % 2 and len(self.stage.told):
            check_telling(self.stage, self.telling, self.looks % STUDENTS, [self.looks * 7 % told, told - 1])


@pytest.mark.timeout(900)  # needed only where something was found and is made small
def test_lives_of_students_go_as_the_contract_says(begin: Begin, database_url: str, deployment: Deployment) -> None:
    """Whatever students, the platform, staff, Stripe and the clock do: hours are where the contract says, at each step.

    What could be spent at any instant is explained the same for ever after.
    """
    number = int(os.environ.get("SPENDING_SEED") or random.randrange(1_000_000))
    print(f"SPENDING_SEED={number}")

    class Life(Spending):
        def __init__(self) -> None:
            super().__init__(Stage.empty(begin, database_url, deployment, START), telling)

    terms = hypothesis_settings(
        max_examples=EXAMPLES,
        stateful_step_count=STEPS,
        deadline=None,
        database=None,
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
    )
    with Telling(database_url) as telling:
        run_state_machine_as_test(seed(number)(Life), settings=terms)
    assert ledger.violations(begin) == []
