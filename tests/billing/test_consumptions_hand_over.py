"""Lessons of a guest whose hours go to an account: they go on with the hours that they were booked with."""

import threading
from collections.abc import Iterator
from datetime import datetime

import pytest

from billing.db import Begin
from billing.ids import new_id
from billing.messages import LinkStudent
from billing.models import StudentLink
from billing.states import ConsumptionActKind, ConsumptionState
from billing.student_links import follow_link
from tests.support.factories import add_student, open_now
from tests.support.hours import Lessons

S = ConsumptionState


class Merging(Lessons):
    """The usual student is a guest, and there is an account that is to have the guest's hours."""

    def __init__(self, begin: Begin, now: datetime) -> None:
        super().__init__(begin, now)
        self.account = add_student(begin, "old@example.com", at=now, external_id="ana")

    def merge(self) -> None:
        """The account proves the guest's address."""
        link = StudentLink(
            id=new_id(),
            external_id="ana",
            email="ana@example.com",
            name="Ana",
            request_id="request-of-a-test",
            requested_at=self.now,
        )
        open_now(link)
        with self.begin() as session:
            session.add(link)
        follow_link(self.begin, self.leases, LinkStudent(link_id=link.id), now=self.now)


@pytest.fixture
def lessons(begin: Begin, now: datetime) -> Iterator[Merging]:
    """Whatever a test did, every balance can be proven after it."""
    lessons = Merging(begin, now)
    yield lessons
    assert lessons.violations() == []


def test_lessons_go_with_the_hours(lessons: Merging) -> None:
    """The account sees them, and what follows is done with its hours."""
    lessons.give(120)
    consumed, held = lessons.consumed(30), lessons.held(40)
    lessons.merge()
    assert {lessons.record(record_id).student_id for record_id in (consumed, held)} == {lessons.account}
    acts = [lessons.refund(consumed), lessons.capture(held, 50)]
    lessons.work()
    assert [lessons.ending(act) for act in acts] == ["done", "done"]
    assert (lessons.left(lessons.account), lessons.left(lessons.student_id)) == (70, 0)


def test_a_lesson_that_is_not_decided_yet_is_paid_by_the_account(lessons: Merging) -> None:
    lessons.give(60)
    (record,) = lessons.book(45)
    lessons.merge()
    lessons.work()
    assert (lessons.state(record.id)[0], lessons.left(lessons.account)) == (S.CONSUMED, 15)


def test_a_session_that_the_account_has_too_is_not_paid_twice(lessons: Merging) -> None:
    """One person booked twice under two names: what is not decided yet is refused."""
    lessons.give(60)
    lessons.give(60, student_id=lessons.account)
    (first,) = lessons.book(60, lessons.account, session_id="algebra")
    (second,) = lessons.book(60, session_id="algebra")
    lessons.merge()
    lessons.work()
    assert lessons.state(first.id)[0] is S.CONSUMED
    assert lessons.state(second.id) == (S.REFUSED, "invalid_state")
    assert lessons.ending(lessons.booking_of(second).id) == "invalid_state"
    assert lessons.left(lessons.account) == 60


def test_a_group_with_one_person_under_two_names_is_refused_for_all(lessons: Merging) -> None:
    other = lessons.another_student()
    for student_id in (lessons.student_id, lessons.account, other):
        lessons.give(60, student_id=student_id)
    records = lessons.book(60, lessons.student_id, lessons.account, other)
    lessons.merge()
    lessons.work()
    assert {lessons.state(record.id) for record in records} == {(S.REFUSED, "invalid_state")}
    assert (lessons.left(lessons.account), lessons.left(other)) == (120, 60)


def test_two_lessons_of_one_session_that_both_have_hours_are_followed_each(lessons: Merging) -> None:
    """The guest's stays the guest's, for the account has one; what is done with it moves the account's hours."""
    lessons.give(60)
    lessons.give(60, student_id=lessons.account)
    mine = lessons.held(40, session_id="algebra")
    (theirs,) = lessons.hold(40, lessons.account, session_id="algebra")
    lessons.work()
    lessons.merge()
    assert lessons.record(mine).student_id == lessons.student_id
    acts = [lessons.capture(mine, 50), lessons.release(theirs.id)]
    lessons.work()
    assert [lessons.ending(act) for act in acts] == ["done", "done"]
    assert (lessons.minutes(mine), lessons.left(lessons.account)) == ((0, 50, 0), 70)
    refund = lessons.refund(mine)
    lessons.work()
    assert (lessons.ending(refund), lessons.left(lessons.account)) == ("done", 120)


def test_members_of_a_group_with_one_account_do_not_spend_the_same_hours(lessons: Merging) -> None:
    """Booked under two names, captured after they were put together: each alone could be longer, both could not."""
    lessons.give(60)
    lessons.give(70, student_id=lessons.account)
    records = lessons.hold(60, lessons.student_id, lessons.account)
    lessons.work()
    lessons.merge()
    longer = lessons.ask_all(ConsumptionActKind.CAPTURE, records[0].group_id, 70)
    lessons.work()
    assert (lessons.ending(longer), lessons.left(lessons.account)) == ("insufficient_balance", 10)
    both = lessons.ask_all(ConsumptionActKind.CAPTURE, records[0].group_id, 65)
    lessons.work()
    assert (lessons.ending(both), lessons.left(lessons.account)) == ("done", 0)


def test_a_hold_lapses_to_whom_its_lot_went(lessons: Merging) -> None:
    lessons.give(60)
    record_id = lessons.held(60)
    lessons.merge()
    lessons.pass_time(days=3)
    lessons.lapse()
    assert (lessons.state(record_id)[0], lessons.left(lessons.account)) == (S.LAPSED, 60)


def test_refused_lessons_go_too(lessons: Merging) -> None:
    """They are history, and nothing stands in their way."""
    lessons.give(60, student_id=lessons.account)
    (kept,) = lessons.book(60, lessons.account, session_id="algebra")
    refused = lessons.consumed(60, session_id="algebra")
    lessons.merge()
    assert {lessons.record(record_id).student_id for record_id in (kept.id, refused)} == {lessons.account}


def test_lessons_that_are_worked_during_the_hand_over_lose_nothing(lessons: Merging) -> None:
    """Workers and the hand-over lock in one order: each lesson is paid once, from whoever has the hours by then."""
    lessons.give(600)
    records = [lessons.hold(30)[0] for _ in range(10)]
    lessons.work()
    for record in records:
        lessons.capture(record.id)
    threads = [threading.Thread(target=run) for run in (lessons.work, lessons.merge, lessons.work)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("billing.work.HOURS_BATCH", 3)
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for _ in range(4):
            lessons.work()
    assert {lessons.state(record.id)[0] for record in records} == {S.CONSUMED}
    assert (lessons.left(lessons.account), lessons.left(lessons.student_id)) == (300, 0)
