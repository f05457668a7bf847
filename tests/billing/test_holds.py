"""Holds: hours that are set aside for a lesson, and taken, changed or given back when it is over."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest

from billing.consumptions import lapse, records
from billing.db import Begin
from billing.deployment import Deployment
from billing.secrets import Vault
from billing.states import ConsumptionActKind, ConsumptionState
from tests.billing.test_consumptions import run_at_once
from tests.support.hours import Lessons
from tests.support.office import Returns, intent_of

S = ConsumptionState
DAY = timedelta(days=1)
MICROSECOND = timedelta(microseconds=1)


@pytest.fixture
def lessons(begin: Begin, now: datetime) -> Iterator[Lessons]:
    """Whatever a test did, every balance can be proven after it."""
    lessons = Lessons(begin, now)
    yield lessons
    assert lessons.violations() == []


def test_a_hold_sets_hours_aside(lessons: Lessons) -> None:
    """They are neither spent nor there to be spent."""
    lessons.give(100)
    record_id = lessons.held(60)
    assert (lessons.state(record_id)[0], lessons.minutes(record_id)) == (S.HELD, (60, 0, 0))
    assert lessons.lots("left", "held", "consumed") == [(40, 60, 0)]
    assert lessons.entries(record_id) == [("hold", -60)]
    assert lessons.state(lessons.consumed(41)) == (S.REFUSED, "insufficient_balance")


@pytest.mark.parametrize(
    ("minutes", "left", "consumed", "entries"),
    [
        (None, 40, 60, [("hold", -60), ("release", 60), ("consume", -60)]),
        (60, 40, 60, [("hold", -60), ("release", 60), ("consume", -60)]),
        (45, 55, 45, [("hold", -60), ("release", 60), ("consume", -45)]),
        (1, 99, 1, [("hold", -60), ("release", 60), ("consume", -1)]),
        (100, 0, 100, [("hold", -60), ("release", 60), ("consume", -100)]),
    ],
)
def test_a_hold_is_captured_as_long_as_the_lesson_was(
    lessons: Lessons, minutes: int | None, left: int, consumed: int, entries: list[tuple[str, int]]
) -> None:
    """Exactly, shorter, or longer: what was held too much is free at once, what is missing is taken."""
    lessons.give(100)
    record_id = lessons.held(60)
    act = lessons.capture(record_id, minutes)
    lessons.work()
    assert (lessons.ending(act), lessons.state(record_id)[0]) == ("done", S.CONSUMED)
    assert (lessons.minutes(record_id), lessons.lots("left", "consumed", "held")) == (
        (0, consumed, 0),
        [(left, consumed, 0)],
    )
    assert lessons.entries(record_id) == entries


def test_a_lesson_that_took_longer_than_there_are_hours_is_not_captured(lessons: Lessons) -> None:
    """As a whole: the hold stays as it is, and the platform may capture less."""
    lessons.give(100)
    record_id = lessons.held(60)
    too_long = lessons.capture(record_id, 101)
    lessons.work()
    assert (lessons.ending(too_long), lessons.state(record_id)) == ("insufficient_balance", (S.HELD, None))
    assert lessons.lots("left", "held") == [(40, 60)]


def test_what_expires_first_is_consumed_first(lessons: Lessons) -> None:
    """A shorter lesson gives the hours back that live longest."""
    lessons.give(60, days=20)
    lessons.give(60, days=10)
    record_id = lessons.held(90)
    lessons.capture(record_id, 70)
    lessons.work()
    assert lessons.lots("left", "consumed", "held") == [(50, 10, 0), (0, 60, 0)]


def test_a_longer_lesson_goes_on_in_the_lots_it_held(lessons: Lessons) -> None:
    lessons.give(60, days=10)
    lessons.give(60, days=20)
    record_id = lessons.held(30)
    lessons.capture(record_id, 90)
    lessons.work()
    assert lessons.lots("left", "consumed", "held") == [(0, 60, 0), (30, 30, 0)]
    assert lessons.entries(record_id) == [("hold", -30), ("release", 30), ("consume", -90)]


def test_a_hold_outlives_its_package(lessons: Lessons) -> None:
    """The student booked in time: that the lesson is later than the package's end is not his fault."""
    lessons.give(60, days=1)
    record_id = lessons.held(60, hours=48)
    lessons.pass_time(days=2)
    act = lessons.capture(record_id)
    lessons.work()
    assert (lessons.ending(act), lessons.minutes(record_id)) == ("done", (0, 60, 0))


def test_what_is_released_to_an_expired_package_is_not_spendable(lessons: Lessons) -> None:
    """Neither the rest of a shorter lesson; the sweep takes it."""
    lessons.give(60, days=1)
    record_id = lessons.held(60, hours=48)
    lessons.pass_time(days=2)
    lessons.capture(record_id, 30)
    lessons.work()
    assert (lessons.minutes(record_id), lessons.lots("left", "consumed")) == ((0, 30, 0), [(30, 30)])
    assert lessons.state(lessons.consumed(1)) == (S.REFUSED, "package_expired")


def test_a_longer_lesson_is_not_paid_with_expired_hours(lessons: Lessons) -> None:
    """What is held of an expired package is good, what is left of it is not."""
    lessons.give(90, days=1)
    record_id = lessons.held(60, hours=48)
    lessons.pass_time(days=2)
    refused = lessons.capture(record_id, 61)
    lessons.work()
    assert lessons.ending(refused) == "package_expired"
    lessons.give(10)
    done = lessons.capture(record_id, 61)
    lessons.work()
    assert lessons.ending(done) == "done"
    assert lessons.lots("left", "consumed") == [(30, 60), (9, 1)]


@pytest.mark.parametrize(("early", "state"), [(MICROSECOND, S.HELD), (timedelta(), S.REFUSED)])
def test_a_hold_is_taken_to_the_last_microsecond_of_a_package(lessons: Lessons, early: timedelta, state: S) -> None:
    lessons.give(60, days=1)
    lessons.pass_time(days=1)
    lessons.now -= early
    assert lessons.state(lessons.held(60))[0] is state


def test_a_hold_is_captured_once(lessons: Lessons) -> None:
    """Two captures that both came through: one is done, the other is told that it is late."""
    lessons.give(100)
    record_id = lessons.held(60)
    acts = [lessons.capture(record_id), lessons.capture(record_id)]
    lessons.work()
    assert sorted(lessons.ending(act) for act in acts) == ["done", "invalid_state"]
    assert lessons.lots("left", "consumed") == [(40, 60)]


def test_a_released_hold_is_over(lessons: Lessons) -> None:
    lessons.give(60)
    record_id = lessons.held(60)
    act = lessons.release(record_id)
    lessons.work()
    assert (lessons.ending(act), lessons.state(record_id)[0], lessons.left()) == ("done", S.RELEASED, 60)
    late = [lessons.capture(record_id), lessons.release(record_id), lessons.refund(record_id)]
    lessons.work()
    assert {lessons.ending(act) for act in late} == {"invalid_state"}
    assert lessons.entries(record_id) == [("hold", -60), ("release", 60)]


def test_a_hold_is_not_refunded_but_what_was_captured_is(lessons: Lessons) -> None:
    lessons.give(60)
    record_id = lessons.held(60)
    early = lessons.refund(record_id)
    lessons.work()
    lessons.capture(record_id)
    lessons.work()
    good = lessons.refund(record_id)
    lessons.work()
    assert [lessons.ending(act) for act in (early, good)] == ["invalid_state", "done"]
    assert (lessons.state(record_id)[0], lessons.left()) == (S.REFUNDED, 60)


@pytest.mark.parametrize("act", [ConsumptionActKind.CAPTURE, ConsumptionActKind.RELEASE, ConsumptionActKind.REFUND])
@pytest.mark.parametrize("is_swept", [False, True])
def test_a_day_after_its_lesson_a_hold_is_over(lessons: Lessons, act: ConsumptionActKind, *, is_swept: bool) -> None:
    """From that instant on, whether somebody came to give the hours back or not."""
    lessons.give(60)
    record_id = lessons.held(60, hours=1)
    lessons.pass_time(hours=25)
    if is_swept:
        lessons.lapse()
    late = lessons.ask(act, record_id)
    lessons.work()
    assert lessons.ending(late) == "invalid_state"
    lessons.lapse()
    assert (lessons.state(record_id)[0], lessons.minutes(record_id), lessons.left()) == (S.LAPSED, (0, 0, 0), 60)


def test_to_the_last_microsecond_of_that_day_it_is_captured(lessons: Lessons) -> None:
    lessons.give(60)
    record_id = lessons.held(60, hours=1)
    lessons.pass_time(hours=25)
    lessons.now -= MICROSECOND
    lessons.lapse()
    act = lessons.capture(record_id)
    lessons.work()
    assert (lessons.ending(act), lessons.state(record_id)[0]) == ("done", S.CONSUMED)


def test_a_hold_that_is_worked_after_its_time_is_refused(lessons: Lessons) -> None:
    """It could be neither captured nor released: the hours would only be away until it lapses."""
    lessons.give(60)
    (record,) = lessons.hold(60, hours=1)
    lessons.pass_time(hours=25)
    lessons.work()
    assert (lessons.state(record.id), lessons.left()) == ((S.REFUSED, "invalid_state"), 60)


def test_a_lapsed_hold_gives_its_hours_back_once(lessons: Lessons) -> None:
    lessons.give(60, days=9)
    lessons.give(60, days=8)
    record_id = lessons.held(90)
    young = lessons.held(10, hours=2)
    lessons.pass_time(hours=25)
    for _ in range(2):
        lessons.lapse()
    assert lessons.lots("left", "held") == [(50, 10), (60, 0)]
    assert lessons.state(young)[0] is S.HELD
    assert lessons.entries(record_id) == [("hold", -90), ("release", 90)]
    source = f"consumption:{record_id}:lapsed"
    assert lessons.rows("SELECT source FROM hour_entry WHERE kind = 'release'") == [(source,)]


def test_many_lapse_in_chunks_whoever_else_is_at_it(lessons: Lessons, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beat may tick twice and a worker may be slow: each hold lapses once, and none is left."""
    monkeypatch.setattr(lapse, "CHUNK", 7)
    students = [lessons.another_student() for _ in range(5)]
    for student_id in students:
        lessons.give(600, student_id=student_id)
    for _ in range(10):
        for student_id in students:
            lessons.hold(30, student_id)
    lessons.work()
    assert [lessons.left(student_id) for student_id in students] == [300] * 5
    lessons.pass_time(days=3)
    run_at_once([lessons.lapse] * 4)
    lessons.lapse()
    assert [lessons.left(student_id) for student_id in students] == [600] * 5
    assert lessons.rows("SELECT count(*) FROM hour_entry WHERE kind = 'release'") == [(50,)]


def test_a_lapse_that_is_killed_half_way_goes_on_where_it_was(
    lessons: Lessons, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was committed is done, what was not is as if nobody had been there."""
    monkeypatch.setattr(lapse, "CHUNK", 2)
    lessons.give(600)
    for _ in range(5):
        lessons.hold(30)
    lessons.work()
    lessons.pass_time(days=3)
    with monkeypatch.context() as patch:
        patch.setattr(records, "write", dying_after(1))
        with pytest.raises(KeyboardInterrupt):
            lessons.lapse()
    assert lessons.left() == 450 + 60
    lessons.lapse()
    assert (lessons.left(), len(lessons.entries())) == (600, 10)


def dying_after(calls: int) -> object:
    write, made = records.write, list[int]()

    def run(*arguments: Any, **more: Any) -> None:
        write(*arguments, **more)
        made.append(1)
        if len(made) > calls:
            raise KeyboardInterrupt

    return run


def test_a_capture_and_a_lapse_at_once_leave_one_of_them(lessons: Lessons) -> None:
    """The job skips what a worker is at; the worker finds lapsed what the job had."""
    lessons.give(600)
    held = [lessons.held(30, hours=1) for _ in range(10)]
    lessons.pass_time(hours=25)
    for record_id in held:
        lessons.capture(record_id)
    run_at_once([lessons.work, lessons.lapse])
    lessons.lapse()
    assert {lessons.state(record_id)[0] for record_id in held} == {S.LAPSED}
    assert lessons.left() == 600


def test_a_group_is_captured_for_all_or_for_nobody(lessons: Lessons) -> None:
    """Minutes are of each; where one has not so many more, nobody is charged for the longer lesson."""
    ana, eva = lessons.another_student(), lessons.another_student()
    lessons.give(90, student_id=ana)
    lessons.give(60, student_id=eva)
    members = lessons.hold(60, ana, eva)
    lessons.work()
    longer = lessons.ask_all(ConsumptionActKind.CAPTURE, members[0].group_id, 90)
    lessons.work()
    assert (lessons.ending(longer), lessons.left(ana), lessons.left(eva)) == ("insufficient_balance", 30, 0)
    assert {lessons.state(record.id)[0] for record in members} == {S.HELD}
    shorter = lessons.ask_all(ConsumptionActKind.CAPTURE, members[0].group_id, 45)
    lessons.work()
    assert (lessons.ending(shorter), lessons.left(ana), lessons.left(eva)) == ("done", 45, 15)
    assert {lessons.minutes(record.id) for record in members} == {(0, 45, 0)}


def test_one_of_a_group_can_be_released_alone(lessons: Lessons) -> None:
    """Who is ill keeps the hours; the rest of the group is captured one by one."""
    ana, eva = lessons.another_student(), lessons.another_student()
    for student_id in (ana, eva):
        lessons.give(60, student_id=student_id)
    first, second = lessons.hold(60, ana, eva)
    lessons.work()
    alone = lessons.release(first.id)
    lessons.work()
    together = lessons.ask_all(ConsumptionActKind.CAPTURE, first.group_id)
    rest = lessons.capture(second.id)
    lessons.work()
    assert [lessons.ending(act) for act in (alone, together, rest)] == ["done", "invalid_state", "done"]
    assert [lessons.left(student_id) for student_id in (ana, eva)] == [60, 0]


@pytest.mark.parametrize("how", ["release", "refund"])
def test_hours_that_come_back_to_a_disputed_package_wait_for_the_verdict(
    begin: Begin, deployment: Deployment, vault: Vault, now: datetime, how: str
) -> None:
    """Book all, take the money back at the bank, release, and book again: nobody may have both."""
    returns, lessons = Returns(begin, deployment, vault, now), Lessons(begin, now)
    returns.proves = False
    purchase = returns.sold(student_id=lessons.student_id)
    booked = lessons.held(600) if how == "release" else lessons.consumed(600)
    made = returns.gateway.raise_dispute(intent_of(purchase), 14_000)
    returns.hear_of_dispute(made.id, "charge.dispute.created")
    (lessons.release if how == "release" else lessons.refund)(booked)
    lessons.work()
    assert lessons.record(lessons.consumed(60)).state is S.REFUSED
    returns.gateway.change_dispute(made.id, "won")
    returns.hear_of_dispute(made.id, "charge.dispute.closed")
    assert lessons.record(lessons.consumed(60)).state is S.CONSUMED
