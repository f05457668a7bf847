"""What staff ask for is accepted once, done once, and kept as it was decided."""

import threading
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError, OperationalError

from billing import ledger, retry
from billing.db import Begin
from billing.errors import IdempotencyMismatchError
from billing.ids import new_id
from billing.messages import ActDecided, SweepLots
from billing.models import SweepRun
from billing.staff import perform
from billing.staff.effects import Context, Effect
from billing.staff.grants import grant
from billing.staff.wishes import Correct, Extend, Grant, ProcessExpired, UndoSweep, Wish
from billing.states import ActState, StaffAction, SweepState, SweepTrigger
from tests.support.factories import add_student, minutes_left
from tests.support.records import DAY, bought
from tests.support.staff import REASON, StaffRoom
from tests.support.statements import counted


@pytest.fixture
def room(begin: Begin, database_url: str, now: datetime) -> StaffRoom:
    return StaffRoom(begin, database_url, now)


@pytest.fixture
def student(begin: Begin, now: datetime) -> int:
    return add_student(begin, at=now, external_id="user-1")


@pytest.fixture
def wish(student: int) -> Wish:
    return Grant(student_id=student, minutes=60, validity_days=30)


# --- accepting ---


def test_an_accepted_act_says_who_what_and_why(room: StaffRoom, wish: Wish, student: int) -> None:
    """The row is there before anybody does anything: what was asked cannot be denied."""
    with counted() as statements:
        accepted = room.accept(wish, key="k")
    assert [statement for statement in statements if "staff_act" in statement] == statements[-1:]
    row = room.row(accepted.id)
    assert (accepted.state, accepted.is_replay) == (ActState.REQUESTED, False)
    assert (row.action, row.target, row.reason) == (StaffAction.GRANT, f"student:{student}", REASON)
    assert row.parameters == {"student_id": student, "minutes": 60, "validity_days": 30}
    assert (row.actor, row.address, row.idempotency_key) == ("staff-1", "192.0.2.7", "k")
    assert row.due_at is not None
    assert row.hint_at is not None
    assert row.hint_at > row.due_at


def test_a_repeat_finds_the_act_and_its_state_of_now(room: StaffRoom, wish: Wish) -> None:
    first = room.accept(wish, key="k")
    again = room.accept(wish, key="k")
    assert (again.id, again.state, again.is_replay) == (first.id, ActState.REQUESTED, True)
    room.perform(first.id)
    again = room.accept(wish, key="k")
    assert (again.id, again.state, again.is_replay) == (first.id, ActState.DONE, True)


def test_a_key_belongs_to_its_actor(room: StaffRoom, wish: Wish) -> None:
    first = room.accept(wish, key="k")
    assert room.accept(wish, key="k", actor="staff-2").id != first.id


def test_a_key_with_another_body_is_a_mistake(room: StaffRoom, wish: Wish) -> None:
    room.accept(wish, key="k")
    with pytest.raises(IdempotencyMismatchError):
        room.accept(wish, key="k", body=b"other")


def test_a_refused_act_is_not_remembered(room: StaffRoom, student: int) -> None:
    """Who mends what was wrong may send the same again."""
    wish = Correct(student_id=student, minutes=60)
    first = room.accept(wish, key="k")
    room.perform(first.id)
    assert room.row(first.id).state is ActState.REFUSED
    bought(room.begin, student, at=room.now)
    again = room.accept(wish, key="k")
    assert (again.id != first.id, again.is_replay) == (True, False)
    room.perform(again.id)
    assert room.row(again.id).state is ActState.DONE


def test_the_same_request_again_is_not_a_second_act(room: StaffRoom, wish: Wish) -> None:
    """The door sends it again where it does not know whether it was committed."""
    act_id = new_id()
    first, again = room.accept(wish, id=act_id), room.accept(wish, id=act_id)
    assert (first.id, again.id, again.is_replay) == (act_id, act_id, False)


def test_a_crowd_with_one_key_makes_one_act(room: StaffRoom, wish: Wish) -> None:
    accepted = []
    threads = [threading.Thread(target=lambda: accepted.append(room.accept(wish, key="k"))) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(accepted) == 6
    assert len({one.id for one in accepted}) == 1
    assert [one.is_replay for one in accepted].count(False) == 1


# --- doing ---


def test_every_action_has_somebody_who_does_it() -> None:
    assert perform.ACTIONS.keys() == set(StaffAction)


def test_done_is_told_and_closed(room: StaffRoom, wish: Wish) -> None:
    act_id = room.accept(wish).id
    assert room.perform(act_id) == [ActDecided(act_id=act_id)]
    row = room.row(act_id)
    assert (row.state, row.decided_at, row.due_at, row.lease_token) == (ActState.DONE, room.now, None, None)


def test_a_refusal_is_told_and_kept_with_its_words(room: StaffRoom) -> None:
    act_id = room.accept(Extend(transaction_id=7, extension_days=1)).id
    assert room.perform(act_id) == [ActDecided(act_id=act_id)]
    row = room.row(act_id)
    assert (row.state, row.error_type, row.error_message) == (ActState.REFUSED, "not_found", "there is no package 7")
    assert (row.decided_at, row.due_at) == (room.now, None)


def test_done_twice_is_done_once(room: StaffRoom, wish: Wish, student: int) -> None:
    """A hint comes as often as it likes."""
    act_id = room.accept(wish).id
    room.perform(act_id)
    assert room.perform(act_id) == []
    assert minutes_left(room.begin, student) == 60


def test_two_workers_at_once_do_it_once(room: StaffRoom, wish: Wish, student: int) -> None:
    act_id = room.accept(wish).id
    threads = [threading.Thread(target=room.perform, args=(act_id,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert minutes_left(room.begin, student) == 60


class WorkerDiedError(OperationalError):
    def __init__(self) -> None:
        super().__init__("", {}, ConnectionError("cut"))


def test_a_worker_that_dies_leaves_nothing_behind(
    room: StaffRoom, wish: Wish, student: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the effect and the decision there is no moment at which only one of them is committed."""
    act_id = room.accept(wish).id

    def die(*_: Any, **__: Any) -> None:
        raise WorkerDiedError

    with monkeypatch.context() as patched:
        patched.setattr(perform, "_decide", die)
        with pytest.raises(Exception, match="database"):
            room.perform(act_id)
    assert minutes_left(room.begin, student) == 0
    assert room.row(act_id).state is ActState.REQUESTED
    room.run("UPDATE staff_act SET lease_until = clock_timestamp() - interval '1 second'")
    room.perform(act_id)
    assert room.row(act_id).state is ActState.DONE
    assert minutes_left(room.begin, student) == 60
    assert ledger.violations(room.begin) == []


def acting(monkeypatch: pytest.MonkeyPatch, action: perform.Action) -> None:
    actions: Mapping[StaffAction, perform.Action] = {**perform.ACTIONS, StaffAction.GRANT: action}
    monkeypatch.setattr(perform, "ACTIONS", actions)


def test_a_broken_act_is_put_off_and_given_up_at_last(
    room: StaffRoom, wish: Wish, student: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it did until it broke is undone, and people find it among the dead letters."""

    def breaks(session: Any, act: Any, context: Context) -> Effect:
        grant(session, act, context)
        raise LookupError("a mistake of ours")

    acting(monkeypatch, breaks)
    act_id = room.accept(wish).id
    for _ in range(len(retry.HANDLER_ERROR.seconds) + 1):
        assert room.row(act_id).gave_up_at is None
        assert room.perform(act_id) == []
        room.run(
            "UPDATE staff_act SET due_at = clock_timestamp(), hint_at = clock_timestamp() WHERE due_at IS NOT NULL"
        )
    row = room.row(act_id)
    assert (row.state, row.due_at, row.last_error) == (ActState.REQUESTED, None, "LookupError: a mistake of ours")
    assert row.gave_up_at is not None
    assert minutes_left(room.begin, student) == 0


def test_an_act_that_kills_its_workers_is_given_up(room: StaffRoom, wish: Wish) -> None:
    act_id = room.accept(wish).id
    room.run("UPDATE staff_act SET attempts = :lost", lost=room.leases.terms.lost_claims)
    assert room.perform(act_id) == []
    assert room.row(act_id).gave_up_at is not None


# --- what is kept ---


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE staff_act SET reason = 'another'",
        "UPDATE staff_act SET state = 'refused', error_type = 'x'",
        "DELETE FROM staff_act",
        "TRUNCATE staff_act CASCADE",
    ],
)
def test_a_decided_act_cannot_be_changed(room: StaffRoom, wish: Wish, statement: str) -> None:
    """Not even by whoever can write in the database by hand."""
    act = room.do(wish)
    with pytest.raises(IntegrityError, match="kept as it was decided"):
        room.run(statement)
    assert room.row(act.id) == act


def test_an_act_that_waits_cannot_be_made_unasked(room: StaffRoom, wish: Wish) -> None:
    room.accept(wish)
    with pytest.raises(IntegrityError, match="kept as it was decided"):
        room.run("DELETE FROM staff_act")


# --- sweeps ---


def test_a_sweep_of_staff_is_a_run_that_names_its_act(room: StaffRoom, student: int) -> None:
    bought(room.begin, student, at=room.now, expires_at=room.now + DAY)
    room.now += 3 * DAY
    act_id = room.accept(ProcessExpired(grace_hours=24)).id
    follow_ups = room.perform(act_id)
    assert follow_ups == [ActDecided(act_id=act_id), SweepLots(run_id=1)]
    with room.begin() as session:
        run = session.get_one(SweepRun, 1)
    assert (run.trigger, run.act_id, run.state) == (SweepTrigger.STAFF, act_id, SweepState.RUNNING)
    assert (run.grace_hours, run.cutoff) == (24, room.now - DAY)
    assert room.row(act_id).after == {"run_id": 1, "grace_hours": 24}


def test_a_sweep_is_taken_back(room: StaffRoom, student: int) -> None:
    bought(room.begin, student, at=room.now, expires_at=room.now + DAY)
    room.now += 3 * DAY
    assert room.do(UndoSweep(run_id=1)).error_type == "not_found"
    room.sweep()
    assert minutes_left(room.begin, student) == 0
    act = room.do(UndoSweep(run_id=1))
    assert act.after == {"run_id": 1, "students": 1, "lots": 1, "minutes": 600}
    assert minutes_left(room.begin, student) == 600
    assert room.do(UndoSweep(run_id=1)).error_type == "invalid_state"
    assert ledger.violations(room.begin) == []


def test_what_was_extended_is_not_given_back_twice(room: StaffRoom, student: int) -> None:
    """The extension brought it back already."""
    bought(room.begin, student, at=room.now, expires_at=room.now + DAY)
    room.now += 2 * DAY
    room.sweep()
    room.do(Extend(transaction_id=1, extension_days=30))
    act = room.do(UndoSweep(run_id=1))
    assert act.after is not None
    assert act.after["minutes"] == 0
    assert minutes_left(room.begin, student) == 600
    assert ledger.violations(room.begin) == []


def test_no_reason_is_no_act(room: StaffRoom, wish: Wish) -> None:
    """The database holds it too, whichever way the row is made."""
    for reason in ("", " padded "):
        with pytest.raises(IntegrityError):
            room.accept(wish, reason=reason)
    with room.begin() as session:
        assert session.execute(text("SELECT count(*) FROM staff_act")).scalar_one() == 0
