"""Hours for lessons: taken once, never more than there are, and in batches that keep the order of the wishes."""

import threading
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

import psycopg
import pytest

from billing import ledger, work
from billing.consumptions import decisions, settle
from billing.db import Begin
from billing.errors import DatabaseUnavailableError, LeaseLostError
from billing.ledger import Move, Posting
from billing.messages import ActDecided, HoursWaiting, SendNotification
from billing.models import Consumption, ConsumptionAct
from billing.states import ActState, ConsumptionActKind, ConsumptionState, EntryKind, Part
from tests.support.hints import KeptHints
from tests.support.hours import Lessons
from tests.support.leases import UnrenewedLeases
from tests.support.statements import counted

S = ConsumptionState
REFUSED = "insufficient_balance"
MICROSECOND = timedelta(microseconds=1)


@pytest.fixture
def lessons(begin: Begin, now: datetime) -> Iterator[Lessons]:
    """Whatever a test did, every balance can be proven after it."""
    lessons = Lessons(begin, now)
    yield lessons
    assert lessons.violations() == []


def test_a_lesson_is_paid_with_hours(lessons: Lessons) -> None:
    lessons.give(600)
    record_id = lessons.consumed(90)
    record = lessons.record(record_id)
    assert (record.state, record.minutes_consumed, record.decided_at) == (S.CONSUMED, 90, lessons.now)
    assert lessons.lots("left", "consumed") == [(510, 90)]
    assert lessons.entries(record_id) == [("consume", -90)]


def test_the_entry_names_the_session_and_the_student(lessons: Lessons) -> None:
    """What was taken is found years later by the words of the platform, and taken once for them."""
    lessons.give(600)
    record_id = lessons.consumed(90, session_id="algebra-7")
    source = f"session:algebra-7:student:{lessons.student_id}"
    assert lessons.rows("SELECT source, consumption_id FROM hour_entry WHERE kind = 'consume'") == [(source, record_id)]


def test_whoever_waits_for_a_decision_is_told(lessons: Lessons) -> None:
    """Done or refused: the platform's waiting request is answered at once."""
    lessons.give(60)
    done = lessons.booking_of(lessons.book(60)[0])
    lessons.pass_time(seconds=1)
    refused = lessons.booking_of(lessons.book(60)[0])
    assert lessons.work() == []
    assert lessons.hints.notified == [ActDecided(act_id=done.id), ActDecided(act_id=refused.id)]
    assert [lessons.ending(act.id) for act in (done, refused)] == ["done", REFUSED]


def test_hours_are_taken_from_what_expires_first(lessons: Lessons) -> None:
    """Split where one package is not enough; what never expires is touched last."""
    for days in (None, 30, 10, 20):
        lessons.give(60, days=days)
    record_id = lessons.consumed(150)
    assert lessons.lots("left") == [(60,), (30,), (0,), (0,)]
    assert lessons.entries(record_id) == [("consume", -150)]
    parts = "SELECT minutes FROM hour_allocation WHERE minutes < 0 ORDER BY lot_id"
    assert lessons.rows(parts) == [(-30,), (-60,), (-60,)]


def test_free_hours_go_before_paid_ones_that_end_with_them(lessons: Lessons) -> None:
    lessons.give(60, value_cents=1500)
    lessons.give(60)
    lessons.consumed(30)
    assert lessons.lots("left") == [(60,), (30,)]


def test_an_expired_package_is_skipped_though_no_sweep_came(lessons: Lessons) -> None:
    lessons.give(60, days=1)
    lessons.give(60, days=2)
    lessons.pass_time(days=1)
    lessons.consumed(60)
    assert lessons.lots("left") == [(60,), (0,)]


@pytest.mark.parametrize(("early", "state"), [(MICROSECOND, S.CONSUMED), (timedelta(), S.REFUSED)])
def test_a_package_is_good_to_the_last_microsecond(lessons: Lessons, early: timedelta, state: S) -> None:
    """`expires_at` is the first instant at which hours cannot be taken any more."""
    lessons.give(60, days=1)
    lessons.pass_time(days=1)
    lessons.now -= early
    record_id = lessons.consumed(60)
    assert lessons.state(record_id)[0] is state


@pytest.mark.parametrize("prepare", ["nothing", "expired", "short", "spent", "given back", "owed"])
def test_a_refusal_says_what_a_booking_would_be_told(lessons: Lessons, prepare: str) -> None:
    """The words of `check-booking`: no package, none that lives, or not enough in it."""
    expected = {"nothing": "no_packages", "expired": "package_expired", "given back": "no_packages"}
    prepare_hours(lessons, prepare)
    entries = lessons.entries()
    record_id = lessons.consumed(61)
    assert lessons.state(record_id) == (S.REFUSED, expected.get(prepare, REFUSED))
    assert lessons.entries() == entries


def prepare_hours(lessons: Lessons, prepare: str) -> None:
    if prepare == "nothing":
        return
    lessons.give(60, days=1)
    if prepare == "expired":
        lessons.pass_time(days=1)
    elif prepare == "spent":
        lessons.consumed(60)
    elif prepare == "given back":
        give_back_everything(lessons)
    elif prepare == "owed":
        lessons.give(30)
        lessons.change("UPDATE student_balance SET minutes_owed = 30")


def give_back_everything(lessons: Lessons) -> None:
    """As a refund of the whole package does it."""
    ((lot_id, minutes),) = lessons.rows("SELECT id, minutes_left FROM hour_lot")
    moves = [Move(lot_id, -minutes, Part.REFUNDED)]
    with lessons.begin() as session:
        ledger.lock_accounts(session, [lessons.student_id])
        ledger.post(session, [Posting(lessons.student_id, EntryKind.REFUND, "refund:1", moves, lessons.now)])


def test_what_is_owed_is_not_there_to_be_taken(lessons: Lessons) -> None:
    lessons.give(60)
    lessons.change("UPDATE student_balance SET minutes_owed = 20")
    refused, taken = lessons.consumed(41), lessons.consumed(40)
    assert (lessons.state(refused), lessons.state(taken)) == ((S.REFUSED, REFUSED), (S.CONSUMED, None))


def test_a_refused_lesson_can_be_asked_for_again(lessons: Lessons) -> None:
    """It moved nothing, so its session is free: the student buys hours and the platform tries once more."""
    first = lessons.consumed(60, session_id="algebra")
    lessons.give(60)
    second = lessons.consumed(60, session_id="algebra")
    assert (lessons.state(first)[0], lessons.state(second)[0]) == (S.REFUSED, S.CONSUMED)


def test_wishes_of_a_batch_are_decided_in_their_order(lessons: Lessons) -> None:
    """Who asked first gets the last hours, whatever the ids say."""
    lessons.give(60)
    records = []
    for second in (3, 1, 2):
        lessons.now += timedelta(seconds=second)
        records += lessons.book(60)
        lessons.now -= timedelta(seconds=second)
    lessons.work()
    assert [lessons.state(record.id)[0] for record in records] == [S.REFUSED, S.CONSUMED, S.REFUSED]


def test_what_follows_in_a_batch_sees_what_came_before(lessons: Lessons) -> None:
    """Booked, given back and booked again, all in one transaction."""
    lessons.give(60)
    (first,) = lessons.book(60)
    lessons.pass_time(seconds=1)
    refund = lessons.refund(first.id)
    lessons.pass_time(seconds=1)
    (second,) = lessons.book(60)
    lessons.work()
    assert lessons.ending(refund) == "done"
    assert [lessons.state(record.id)[0] for record in (first, second)] == [S.REFUNDED, S.CONSUMED]
    assert lessons.entries() == [("consume", -60), ("restore", 60), ("consume", -60)]


def test_a_batch_costs_as_many_statements_as_one(lessons: Lessons) -> None:
    """One hot student, or a hundred: the database is asked the same few questions."""
    students = [lessons.another_student() for _ in range(10)]
    for student_id in students:
        lessons.give(600, student_id=student_id)
    asked = []
    for round_of in (students[:1], students):
        for student_id in round_of:
            for _ in range(4):
                lessons.book(30, student_id)
        with counted() as statements:
            lessons.work()
        asked.append(len(statements))
    assert asked[0] == asked[1] <= 13


def test_acts_of_one_group_change_all_or_nothing(lessons: Lessons) -> None:
    """A lesson for three costs all three, or nobody: the one without hours is told why, the others are told too."""
    rich, other, poor = (lessons.another_student() for _ in range(3))
    for student_id in (rich, other):
        lessons.give(60, student_id=student_id)
    records = lessons.book(60, rich, poor, other)
    lessons.pass_time(seconds=1)
    (good,) = lessons.book(60, rich)
    lessons.work()
    assert {lessons.state(record.id) for record in records} == {(S.REFUSED, "no_packages")}
    assert lessons.ending(lessons.booking_of(records[0]).id) == "no_packages"
    assert lessons.state(good.id)[0] is S.CONSUMED
    assert [lessons.left(student_id) for student_id in (rich, other, poor)] == [0, 60, 0]


def test_each_at_fault_in_a_group_has_a_reason_of_its_own(lessons: Lessons) -> None:
    rich, poor, late = (lessons.another_student() for _ in range(3))
    lessons.give(60, student_id=rich)
    lessons.give(60, student_id=late, days=1)
    lessons.give(60, student_id=rich, days=9)
    lessons.pass_time(days=1)
    records = lessons.book(60, rich, poor, late)
    lessons.work()
    words = [lessons.state(record.id)[1] for record in records]
    assert words[1:] == ["no_packages", "package_expired"]
    assert words[0] == lessons.ending(lessons.booking_of(records[0]).id)
    assert words[0] in words[1:]


def test_a_group_that_all_can_pay_is_taken_from_all(lessons: Lessons) -> None:
    ana, eva = lessons.another_student(), lessons.another_student()
    for student_id in (ana, eva):
        lessons.give(60, student_id=student_id)
    records = lessons.book(60, ana, eva)
    lessons.work()
    assert {lessons.state(record.id)[0] for record in records} == {S.CONSUMED}
    assert lessons.left(ana) == lessons.left(eva) == 0


def test_two_lessons_at_once_are_not_paid_with_the_same_hours(lessons: Lessons) -> None:
    """Two of four hours on a balance of five: one passes, whichever, and one is refused."""
    lessons.give(300)
    records = [lessons.book(240)[0] for _ in range(2)]
    work_at_once(lessons, workers=2, at_most=1)
    states = sorted(lessons.state(record.id)[0] for record in records)
    assert (states, lessons.left()) == ([S.CONSUMED, S.REFUSED], 60)


@pytest.mark.parametrize("at_most", [1, 7, 200])
def test_a_hundred_lessons_at_once_take_exactly_what_is_there(lessons: Lessons, at_most: int) -> None:
    """Twenty hours are eighty quarters: eighty pass, twenty are refused, nothing is left and nothing is lost."""
    for _ in range(4):
        lessons.give(300)
    records = [lessons.book(15)[0] for _ in range(100)]
    work_at_once(lessons, workers=6, at_most=at_most)
    states = [lessons.state(record.id)[0] for record in records]
    assert (states.count(S.CONSUMED), states.count(S.REFUSED)) == (80, 20)
    assert (lessons.left(), len(lessons.entries())) == (0, 80)


def test_groups_that_share_students_never_wait_in_a_circle(lessons: Lessons) -> None:
    """Whoever locks many locks them in one order: nobody is sent away, and nobody pays twice."""
    students = [lessons.another_student() for _ in range(4)]
    for student_id in students:
        lessons.give(300, student_id=student_id)
    orders = [students[turn:] + students[:turn] for turn in range(4)]
    records = [record for order in orders * 5 for record in lessons.book(15, *order)]
    work_at_once(lessons, workers=4, at_most=1)
    assert {lessons.state(record.id)[0] for record in records} == {S.CONSUMED}
    assert [lessons.left(student_id) for student_id in students] == [0, 0, 0, 0]


def work_at_once(lessons: Lessons, *, workers: int, at_most: int) -> None:
    """Each worker drains until there is nothing left, with batches of this size."""

    def run() -> None:
        while lessons.rows("SELECT FROM consumption_act WHERE due_at IS NOT NULL AND lease_until IS NULL"):
            lessons.work()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("billing.work.HOURS_BATCH", at_most)
        run_at_once([run] * workers)


def run_at_once(runs: Sequence[Callable[[], object]]) -> None:
    threads = [threading.Thread(target=run) for run in runs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_what_was_taken_can_be_given_back_in_parts(lessons: Lessons) -> None:
    """To the package that lives longest first: hours that come back should not be the next to expire."""
    lessons.give(60, days=10)
    lessons.give(60, days=20)
    record_id = lessons.consumed(90)
    part = lessons.refund(record_id, 40)
    lessons.work()
    assert (lessons.ending(part), lessons.state(record_id)[0]) == ("done", S.CONSUMED)
    assert (lessons.minutes(record_id), lessons.lots("left")) == ((0, 50, 40), [(10,), (60,)])
    rest = lessons.refund(record_id)
    lessons.work()
    assert (lessons.ending(rest), lessons.state(record_id)[0]) == ("done", S.REFUNDED)
    assert (lessons.minutes(record_id), lessons.lots("left")) == ((0, 0, 90), [(60,), (60,)])
    assert lessons.entries(record_id) == [("consume", -90), ("restore", 40), ("restore", 50)]


@pytest.mark.parametrize(
    ("first", "second", "ending", "left"),
    [
        (None, None, "invalid_state", 90),
        (30, 61, "invalid_state", 30),
        (30, 60, "done", 90),
        (90, 1, "invalid_state", 90),
    ],
)
def test_no_more_is_given_back_than_was_taken(
    lessons: Lessons, first: int | None, second: int | None, ending: str, left: int
) -> None:
    lessons.give(90)
    record_id = lessons.consumed(90)
    lessons.refund(record_id, first)
    lessons.work()
    again = lessons.refund(record_id, second)
    lessons.work()
    assert (lessons.ending(again), lessons.left()) == (ending, left)


def test_hours_given_back_to_an_expired_package_stay_expired(lessons: Lessons) -> None:
    """They are the sweep's; a lesson that did not take place must not make hours live longer."""
    lessons.give(60, days=1)
    record_id = lessons.consumed(60)
    lessons.pass_time(days=2)
    lessons.refund(record_id)
    lessons.work()
    assert (lessons.state(record_id)[0], lessons.left()) == (S.REFUNDED, 60)
    assert lessons.state(lessons.consumed(60)) == (S.REFUSED, "package_expired")


@pytest.mark.parametrize("act", [ConsumptionActKind.CAPTURE, ConsumptionActKind.RELEASE])
def test_what_is_consumed_is_neither_captured_nor_released(lessons: Lessons, act: ConsumptionActKind) -> None:
    lessons.give(60)
    record_id = lessons.consumed(30)
    act_id = lessons.ask(act, record_id)
    lessons.work()
    assert (lessons.ending(act_id), lessons.left()) == ("invalid_state", 30)


def test_a_group_is_given_back_to_all_or_nobody(lessons: Lessons) -> None:
    ana, eva = lessons.another_student(), lessons.another_student()
    for student_id in (ana, eva):
        lessons.give(60, student_id=student_id)
    records = lessons.book(60, ana, eva)
    lessons.work()
    lessons.refund(records[1].id, 30)
    lessons.work()
    too_much = lessons.ask_all(ConsumptionActKind.REFUND, records[0].group_id, 60)
    lessons.work()
    assert (lessons.ending(too_much), lessons.left(ana)) == ("invalid_state", 0)
    whole = lessons.ask_all(ConsumptionActKind.REFUND, records[0].group_id)
    lessons.work()
    assert (lessons.ending(whole), lessons.left(ana), lessons.left(eva)) == ("done", 60, 60)


def test_students_who_run_low_are_told(lessons: Lessons) -> None:
    """The note is written with what causes it, and its mail is asked for once it is committed."""
    lessons.give(600)
    lessons.consumed(60)
    assert lessons.hints.sent == []
    lessons.consumed(530)
    ((noted,),) = lessons.rows("SELECT id FROM notification")
    assert lessons.hints.sent == [SendNotification(notification_id=noted)]


def test_a_worker_that_dies_with_a_claim_takes_nothing(lessons: Lessons) -> None:
    """Between the claim and the commit nothing has happened; whoever comes next does it once."""
    lessons.give(600)
    lessons.leases = UnrenewedLeases(seconds=0.001)
    (record,) = lessons.book(90)
    with lessons.begin() as session:
        assert work.claim_batch(session, ConsumptionAct, 200, lessons.leases.terms)
    assert lessons.state(record.id)[0] is S.REQUESTED
    for _ in range(3):
        lessons.work()
    assert (lessons.state(record.id)[0], lessons.left(), len(lessons.entries())) == (S.CONSUMED, 510, 1)


def test_a_worker_that_wakes_up_late_changes_nothing(lessons: Lessons) -> None:
    """Its claim is in other hands by then, and the row's token says so."""
    lessons.give(600)
    lessons.book(90)
    with lessons.begin() as session:
        sleeper = work.claim_batch(session, ConsumptionAct, 200, work.LeaseTerms(seconds=0.001))
    assert sleeper is not None
    lessons.work()
    with pytest.raises(LeaseLostError), lessons.begin() as session:
        settle.settle_batch(session, sleeper, now=lessons.now)
    assert (lessons.left(), len(lessons.entries())) == (510, 1)


def test_a_batch_that_breaks_as_a_whole_is_worked_one_by_one(lessons: Lessons, monkeypatch: pytest.MonkeyPatch) -> None:
    """One broken wish does not keep its neighbours waiting, and at last becomes a dead letter."""
    lessons.give(600)
    (good,) = lessons.book(30)
    (bad,) = lessons.book(31)
    break_bookings_of(monkeypatch, 31)
    lessons.work()
    assert (lessons.state(good.id)[0], lessons.state(bad.id)[0]) == (S.CONSUMED, S.REQUESTED)
    for _ in range(6):
        lessons.make_due()
        lessons.work()
    dead = lessons.booking_of(bad)
    assert (dead.state, dead.due_at, lessons.state(bad.id)[0]) == (ActState.REQUESTED, None, S.REQUESTED)
    assert "ZeroDivisionError" in (dead.last_error or "")
    assert lessons.rows("SELECT kind, subject FROM dead_letter") == [("consumption_act", str(dead.id))]


def test_a_database_that_is_away_breaks_no_batch(lessons: Lessons, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is no fault of the acts: they keep their claim and come again when its time is over."""
    lessons.give(60)
    (record,) = lessons.book(60)

    def away(*arguments: object, **more: object) -> None:
        raise DatabaseUnavailableError

    monkeypatch.setattr("billing.ledger.post", away)
    with pytest.raises(DatabaseUnavailableError):
        lessons.work()
    act = lessons.booking_of(record)
    assert (act.attempts, act.deferrals, act.gave_up_at) == (1, 0, None)


def break_bookings_of(monkeypatch: pytest.MonkeyPatch, minutes: int) -> None:
    def broken(act: Any, record: Any, account: Any, now: datetime) -> Any:
        if record.minutes == minutes:
            raise ZeroDivisionError
        return decisions.book(act, record, account, now)

    good = decisions.DECISIONS
    monkeypatch.setattr("billing.consumptions.reckoning.DECISIONS", {**good, ConsumptionActKind.BOOK: broken})


def test_an_act_that_kills_its_workers_becomes_a_dead_letter(lessons: Lessons) -> None:
    """Claims that end without a word are counted before any work, so a killer is found out."""
    lessons.give(60)
    (record,) = lessons.book(60)
    lessons.change("UPDATE consumption_act SET attempts = 6")
    lessons.work()
    assert (lessons.state(record.id)[0], lessons.left()) == (S.REQUESTED, 60)
    assert lessons.booking_of(record).gave_up_at is not None


def test_an_act_that_overtakes_its_booking_waits_for_it(lessons: Lessons) -> None:
    """The booking may be in the hands of another worker, or be put off; then the order of the wishes still counts."""
    lessons.give(60)
    (record,) = lessons.hold(60)
    capture = lessons.capture(record.id)
    booking = lessons.booking_of(record).id
    lessons.change("UPDATE consumption_act SET due_at = due_at + interval '1 hour' WHERE id = :id", id=booking)
    lessons.work()
    assert (lessons.ending(capture), lessons.act(capture).deferrals) == ("requested", 1)
    lessons.change("UPDATE consumption_act SET due_at = clock_timestamp() WHERE id = :id", id=booking)
    lessons.work()
    lessons.make_due()
    lessons.work()
    assert (lessons.ending(capture), lessons.state(record.id)[0]) == ("done", S.CONSUMED)


def test_an_act_does_not_wait_for_ever_for_its_booking(lessons: Lessons) -> None:
    lessons.give(60)
    (record,) = lessons.hold(60)
    booking = lessons.booking_of(record).id
    dead = "UPDATE consumption_act SET due_at = NULL, hint_at = NULL, gave_up_at = now() WHERE id = :id"
    lessons.change(dead, id=booking)
    release = lessons.release(record.id)
    for _ in range(6):
        lessons.make_due()
        lessons.work()
    assert lessons.ending(release) == "invalid_state"


def test_a_full_batch_calls_for_others_before_it_works(lessons: Lessons, monkeypatch: pytest.MonkeyPatch) -> None:
    """A rush of bookings is worked by all workers, not by the one that was hinted."""
    monkeypatch.setattr("billing.work.HOURS_BATCH", 2)
    lessons.give(600)
    for _ in range(3):
        lessons.book(30)
    lessons.work()
    assert lessons.hints.sent == [HoursWaiting()]
    assert lessons.hints.taken_kinds == [HoursWaiting]
    lessons.hints = KeptHints()
    lessons.work()
    assert (lessons.hints.sent, lessons.left()) == ([], 510)


def test_a_heap_of_tried_acts_leaves_room_for_fresh_ones(lessons: Lessons, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("billing.batches.TRIED_AT_ONCE", 1)
    lessons.give(600)
    for _ in range(2):
        lessons.book(30)
    lessons.change("UPDATE consumption_act SET attempts = 1")
    assert lessons.work() == [HoursWaiting()]
    assert lessons.left() == 570


def test_a_second_look_finds_nothing_to_do(lessons: Lessons) -> None:
    """Hints are doubled and late; what is decided stays as it was."""
    lessons.give(600)
    record_id = lessons.consumed(90)
    before = lessons.record(record_id), lessons.entries()
    lessons.work()
    after: tuple[Consumption, Any] = lessons.record(record_id), lessons.entries()
    assert (before[0].model_dump(), before[1]) == (after[0].model_dump(), after[1])


def test_a_balance_that_is_held_for_long_wears_no_act_out(lessons: Lessons, database_url: str) -> None:
    """No worker is lost by waiting for a lock; those of other students, taken together with it, are decided soon."""
    other = lessons.another_student()
    lessons.give(600)
    lessons.give(600, student_id=other)
    (mine,), (theirs,) = lessons.book(60), lessons.book(60, other)
    with psycopg.connect(database_url.replace("+psycopg", "")) as holder:
        holder.execute("SELECT FROM student_balance WHERE student_id = %s FOR UPDATE", [lessons.student_id])
        for _ in range(2):
            lessons.work()
        assert lessons.record(theirs.id).state is S.CONSUMED
        assert lessons.record(mine.id).state is S.REQUESTED
        holder.rollback()
    lessons.change("UPDATE consumption_act SET due_at = clock_timestamp() WHERE due_at IS NOT NULL")
    lessons.work()
    assert lessons.record(mine.id).state is S.CONSUMED
    assert lessons.rows("SELECT attempts - 1 - deferrals FROM consumption_act") == [(0,), (0,)]
