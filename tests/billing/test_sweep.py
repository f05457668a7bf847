"""Expired hours: written off once each, never spendable meanwhile, whoever else is at work."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from functools import partial
from threading import Barrier
from typing import Any

import pytest
from sqlalchemy import text
from sqlmodel import Session, select

from billing import db, ledger, work
from billing.cli.reading import ask_at
from billing.db import Begin
from billing.errors import ConflictError, LeaseLostError
from billing.expiry import sweep
from billing.expiry.sweep import Went, go_on, start_sweep, sweep_lots
from billing.ids import new_id
from billing.ledger import Move, Posting, expiries
from billing.ledger.expiries import Chunk
from billing.messages import SweepLots
from billing.models import HourAllocation, Notification, StudentBalance, SweepRun
from billing.reads.balances import BalanceView, balance_of
from billing.reads.whose import of_id
from billing.states import EntryKind, NotificationKind, Part, SweepState, SweepTrigger
from tests.support.factories import add_student
from tests.support.hours import add_lot
from tests.support.records import bought
from tests.support.stack import eventually
from tests.support.sweeps import NOON, add_lots, expiries_of, in_chunks_of, load_run, lots_of, move, open_sweep, swept

TERMS = work.LeaseTerms()
CUTOFF = NOON - timedelta(hours=24)
MICROSECOND = timedelta(microseconds=1)
LATER = NOON + timedelta(days=30)


@pytest.fixture(autouse=True)
def every_balance_holds(begin: Begin) -> Iterator[None]:
    yield
    assert ledger.violations(begin) == []


@pytest.fixture
def ana(begin: Begin) -> int:
    return add_student(begin, at=NOON)


def read(url: str, student_id: int, now: datetime = NOON) -> BalanceView:
    found = ask_at(url, lambda connection: balance_of(connection, of_id(str(student_id)), now=now))
    assert found is not None
    return found


def test_what_expired_is_written_off_with_an_entry_for_each_lot(begin: Begin, ana: int) -> None:
    """A student who asks where her hours went is shown each package, when it was written off and by which run."""
    purchase = bought(begin, ana, at=NOON - timedelta(days=60), expires_at=CUTOFF)
    second = add_lot(begin, ana, 90, at=NOON, expires_at=CUTOFF - timedelta(days=3))
    add_lot(begin, ana, 30, at=NOON, expires_at=LATER)
    run = swept(begin)
    first = lots_of(begin, ana)[0]
    entries = expiries_of(begin)
    told = [(entry.source, entry.minutes, entry.balance_after, entry.purchase_id) for entry in entries]
    assert told == [
        (f"lot:{first.id}:expired", -600, 120, purchase.id),
        (f"lot:{second}:expired", -90, 30, None),
    ]
    assert {(entry.at, entry.sweep_run_id) for entry in entries} == {(NOON, run.id)}
    with begin() as session:
        parts = session.exec(select(HourAllocation).where(HourAllocation.minutes < 0)).all()
        balance = session.get_one(StudentBalance, ana)
    assert {(part.lot_id, part.minutes) for part in parts} == {(first.id, -600), (second, -90)}
    assert (balance.minutes_left, balance.minutes_expired) == (30, 690)
    assert [(lot.minutes_left, lot.minutes_expired, lot.times_expired) for lot in lots_of(begin, ana)] == [
        (0, 600, 1),
        (0, 90, 1),
        (30, 0, 0),
    ]
    assert (run.state, run.students, run.lots, run.minutes) == (SweepState.FINISHED, 1, 2, 690)
    assert run.due_at is None


def test_the_next_sweep_finds_nothing(begin: Begin, ana: int) -> None:
    """A second run, a doubled tick and a repeated message take nothing twice."""
    add_lot(begin, ana, 90, at=NOON, expires_at=CUTOFF)
    first = swept(begin)
    assert go_on(begin, TERMS, first.id or 0, now=NOON) is Went.ELSEWHERE
    again = swept(begin)
    assert (again.lots, again.chunks, len(expiries_of(begin))) == (0, 0, 1)


@pytest.mark.parametrize(("ends", "is_taken"), [(CUTOFF, True), (CUTOFF + MICROSECOND, False)])
def test_the_boundary_is_exact(begin: Begin, ana: int, ends: datetime, is_taken: bool) -> None:
    """The end of a package is the first instant that is too late, to the microsecond."""
    add_lot(begin, ana, 60, at=NOON, expires_at=ends)
    assert swept(begin).lots == is_taken


@pytest.mark.parametrize("early", [timedelta(), MICROSECOND])
def test_reads_and_sweep_draw_the_same_line(begin: Begin, database_url: str, ana: int, early: timedelta) -> None:
    """A balance that says five hours before the sweep and none after it would have lied before."""
    add_lot(begin, ana, 60, at=NOON, expires_at=NOON)
    before = read(database_url, ana, NOON - early)
    run = swept(begin, now=NOON - early, grace_hours=0)
    after = read(database_url, ana, NOON - early)
    assert (run.lots, before.minutes_expired, before.minutes_remaining) == ((0, 0, 60) if early else (1, 60, 0))
    assert (after.minutes_expired, after.minutes_remaining) == (before.minutes_expired, before.minutes_remaining)


def test_in_the_time_of_grace_hours_are_gone_but_not_written_off(begin: Begin, database_url: str, ana: int) -> None:
    """Support can extend a package that ended last night without undoing anything, and nobody books with it."""
    add_lot(begin, ana, 60, at=NOON, expires_at=NOON - timedelta(hours=23))
    assert swept(begin).lots == 0
    assert read(database_url, ana).minutes_expired == 60
    with begin() as session:
        assert ledger.lock_accounts(session, [ana])[ana].available(NOON) == 0
    assert swept(begin, now=NOON + timedelta(hours=1)).lots == 1


@pytest.mark.parametrize(
    ("ends", "first_night"),
    [
        ("2026-03-28T00:00Z", "2026-03-29T01:30Z"),  # spring: a night one hour shorter, and still more than 24 h later
        ("2026-03-29T00:00Z", "2026-03-30T01:30Z"),  # the day of the change has 23 hours
        ("2026-10-24T23:00Z", "2026-10-26T02:30Z"),  # the day of the change has 25 hours
        ("2026-10-26T00:00Z", "2026-10-27T02:30Z"),
    ],
)
def test_grace_is_hours_that_pass_also_where_clocks_change(begin: Begin, ana: int, ends: str, first_night: str) -> None:
    """The night after the day after is the one that takes a package, on the days with 23 and 25 hours too."""
    add_lot(begin, ana, 60, at=NOON, expires_at=datetime.fromisoformat(ends))
    night = datetime.fromisoformat(first_night)
    assert swept(begin, now=night - timedelta(days=1)).lots == 0
    assert swept(begin, now=night).lots == 1


def test_hours_that_are_held_for_a_lesson_stay_held(begin: Begin, ana: int) -> None:
    """A lesson that was booked in time is given, though it is after the expiry."""
    lot = add_lot(begin, ana, 60, at=NOON, expires_at=CUTOFF)
    move(begin, lot, -45, Part.HELD, EntryKind.HOLD)
    assert swept(begin).minutes == 15
    (found,) = lots_of(begin, ana)
    assert (found.minutes_left, found.minutes_held, found.minutes_expired) == (0, 45, 15)


def test_hours_that_come_back_to_an_expired_lot_are_written_off_another_time(begin: Begin, ana: int) -> None:
    """A hold that is released too late gives back hours that are over; the entry is one of its own."""
    lot = add_lot(begin, ana, 60, at=NOON, expires_at=CUTOFF)
    move(begin, lot, -45, Part.HELD, EntryKind.HOLD)
    swept(begin)
    for turn in (2, 3):
        move(begin, lot, 20, Part.HELD, EntryKind.RELEASE)
        assert swept(begin).minutes == 20
        assert expiries_of(begin)[-1].source == f"lot:{lot}:expired:{turn}"


def test_one_run_takes_all_that_a_week_without_any_left(begin: Begin) -> None:
    """Nights are missed when machines are; the first that is not missed makes up for them."""
    students = add_lots(begin, students=3, lots_each=7 * 24, expires_at=CUTOFF)
    run = swept(begin)
    assert (run.students, run.lots) == (len(students), 3 * 7 * 24)


def test_a_sweep_of_one_student_is_of_that_student(begin: Begin, ana: int) -> None:
    """Support tries it out on one account, or ends a dispute."""
    eva = add_student(begin, "eva@example.com", at=NOON)
    for student in (ana, eva):
        add_lot(begin, student, 60, at=NOON, expires_at=CUTOFF)
    assert swept(begin, student_id=eva).students == 1
    assert [lot.minutes_left for lot in (*lots_of(begin, ana), *lots_of(begin, eva))] == [60, 0]


def test_what_a_run_takes_was_settled_when_it_was_opened(begin: Begin, ana: int) -> None:
    """A run that waited for a week does not take what expired since: its row says what it was for."""
    add_lot(begin, ana, 60, at=NOON, expires_at=CUTOFF + MICROSECOND)
    run_id = open_sweep(begin)
    assert go_on(begin, TERMS, run_id, now=LATER) is Went.FINISHED
    assert load_run(begin, run_id).lots == 0


def test_many_chunks_are_one_run(begin: Begin, monkeypatch: pytest.MonkeyPatch) -> None:
    """However large the heap, no statement and no transaction is."""
    in_chunks_of(monkeypatch, 7)
    add_lots(begin, students=50, lots_each=3, expires_at=CUTOFF)
    run = swept(begin)
    assert (run.students, run.lots, run.minutes) == (50, 150, 150 * 60)
    assert run.chunks > 5
    assert len({entry.source for entry in expiries_of(begin)}) == 150


def test_a_student_with_more_lots_than_a_statement_takes_loses_each_once(
    begin: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever one account has heaped up, a statement stays short."""
    monkeypatch.setattr(expiries, "MOST_AT_ONCE", 3)
    add_lots(begin, students=3, lots_each=8, expires_at=CUTOFF)
    assert swept(begin).lots == 24
    assert len(expiries_of(begin)) == 24


def test_a_long_sweep_makes_room_and_is_called_again(begin: Begin, ana: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The queue has other work, and a task that runs for minutes is killed by its time limit."""
    add_lot(begin, ana, 60, at=NOON, expires_at=CUTOFF)
    message = SweepLots(run_id=open_sweep(begin))
    with monkeypatch.context() as patch:
        patch.setattr(sweep, "LONGEST_SECONDS", -1)
        assert sweep_lots(begin, TERMS, message, now=NOON) == [message]
    run = load_run(begin, message.run_id)
    assert (run.state, run.lease_token, run.deferrals) == (SweepState.RUNNING, None, 1)
    assert sweep_lots(begin, TERMS, message, now=NOON) == []
    assert load_run(begin, message.run_id).lots == 1


def test_who_lost_the_run_writes_nothing_more(begin: Begin, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that was frozen wakes up while another goes on with its run: its next chunk ends before it begins."""
    in_chunks_of(monkeypatch, 2)
    add_lots(begin, students=6, lots_each=1, expires_at=CUTOFF)
    run_id = open_sweep(begin)

    def take_over(_chunk: Chunk) -> None:
        with begin() as session:
            session.execute(text("UPDATE sweep_run SET lease_token = :token"), {"token": new_id()})

    with pytest.raises(LeaseLostError):
        go_on(begin, TERMS, run_id, now=NOON, watch=take_over)
    assert (load_run(begin, run_id).lots, len(expiries_of(begin))) == (2, 2)


def test_each_chunk_renews_the_claim(begin: Begin, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sweep lasts longer than a claim; while it lives nobody else begins it."""
    in_chunks_of(monkeypatch, 1)
    add_lots(begin, students=4, lots_each=1, expires_at=CUTOFF)
    run_id = open_sweep(begin)
    leases = []

    def note(_chunk: Chunk) -> None:
        run = load_run(begin, run_id)
        leases.append(run.lease_until)
        assert run.hint_at is not None
        assert run.lease_until is not None
        assert abs(run.hint_at - run.lease_until) < timedelta(seconds=1)

    assert go_on(begin, TERMS, run_id, now=NOON, watch=note) is Went.FINISHED
    assert len(set(leases)) == len(leases) == 5


def test_a_run_that_ends_its_workers_becomes_a_dead_letter(begin: Begin) -> None:
    """Somebody looks at it; the hourly sweep goes on without it."""
    run_id = open_sweep(begin)
    with begin() as session:
        session.execute(text("UPDATE sweep_run SET attempts = :attempts"), {"attempts": TERMS.lost_claims})
    assert go_on(begin, TERMS, run_id, now=NOON) is Went.ELSEWHERE
    assert load_run(begin, run_id).gave_up_at is not None


def test_students_whom_somebody_holds_come_last(begin: Begin, database_url: str) -> None:
    """A sweep of a million lots does not stand still because one student is being paid for."""
    first, *others = add_lots(begin, students=5, lots_each=2, expires_at=CUTOFF)
    run_id = open_sweep(begin)
    held, free = threading.Event(), threading.Event()

    def hold() -> None:
        with begin() as session:
            ledger.lock_balances(session, [first])
            held.set()
            assert free.wait(10)

    with ThreadPoolExecutor(2) as pool:
        holding = pool.submit(hold)
        assert held.wait(10)
        sweeping = pool.submit(go_on, begin, TERMS, run_id, now=NOON)
        eventually(lambda: load_run(begin, run_id).lots == 2 * len(others), 5)
        assert {entry.student_id for entry in expiries_of(begin)} == set(others)
        free.set()
        holding.result()
        assert sweeping.result() is Went.FINISHED
    assert load_run(begin, run_id).students == 5


def test_a_student_who_is_held_for_too_long_is_tried_again(begin: Begin, database_url: str, ana: int) -> None:
    """The run stays open and due, and has lost no claim by waiting."""
    add_lot(begin, ana, 60, at=NOON, expires_at=CUTOFF)
    run_id = open_sweep(begin)
    engine = db.connect(database_url, "tests", lock_timeout="50ms")
    impatient: Begin = partial(db.begin, engine)
    with begin() as session:
        ledger.lock_balances(session, [ana])
        assert go_on(impatient, TERMS, run_id, now=NOON) is Went.WAITING
    run = load_run(begin, run_id)
    assert (run.state, run.deferrals, run.lease_token) == (SweepState.RUNNING, 1, None)
    assert run.due_at is not None
    with begin() as session:
        session.execute(text("UPDATE sweep_run SET due_at = clock_timestamp(), hint_at = clock_timestamp()"))
    assert go_on(impatient, TERMS, run_id, now=NOON) is Went.FINISHED
    engine.dispose()
    assert load_run(begin, run_id).lots == 1


def test_sweeps_at_once_share_the_work(begin: Begin, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two schedulers, a nightly and an hourly run, and somebody's command: each lot is in one of them."""
    in_chunks_of(monkeypatch, 20)
    add_lots(begin, students=200, lots_each=2, expires_at=CUTOFF)
    runs = [open_sweep(begin) for _ in range(6)]
    start = Barrier(len(runs))

    def work_on(run_id: int) -> Went:
        start.wait(10)
        return go_on(begin, TERMS, run_id, now=NOON)

    with ThreadPoolExecutor(len(runs)) as pool:
        assert set(pool.map(work_on, runs)) == {Went.FINISHED}
    found = [load_run(begin, run_id) for run_id in runs]
    assert (sum(run.lots for run in found), sum(run.minutes for run in found)) == (400, 400 * 60)
    assert len({entry.source for entry in expiries_of(begin)}) == 400


def test_a_lesson_and_a_sweep_at_the_same_instant_never_take_the_same_minute(begin: Begin) -> None:
    """The clock of a worker that books may be behind that of the one that sweeps; the lot knows who was first."""
    students = add_lots(begin, students=60, lots_each=1, expires_at=CUTOFF, minutes=60)
    start = Barrier(2)
    before = CUTOFF - timedelta(seconds=1)

    def teach() -> int:
        start.wait(10)
        return sum(spend(begin, student, 60, now=before) for student in students)

    def write_off() -> int:
        run_id = open_sweep(begin)
        start.wait(10)
        while go_on(begin, TERMS, run_id, now=NOON) is not Went.FINISHED:
            pass
        return load_run(begin, run_id).lots

    with ThreadPoolExecutor(2) as pool:
        lessons, losses = pool.submit(teach), pool.submit(write_off)
        assert lessons.result() + losses.result() == len(students)


def spend(begin: Begin, student_id: int, minutes: int, *, now: datetime) -> bool:
    """A lesson, as far as there are hours for it."""

    def take(session: Session) -> bool:
        account = ledger.lock_accounts(session, [student_id])[student_id]
        if account.available(now) < minutes:
            return False
        moves = [Move(account.spendable(now)[0].id, -minutes, Part.CONSUMED)]
        posting = Posting(student_id, EntryKind.CONSUME, f"test:{new_id()}", moves, now)
        ledger.post(session, [posting])
        return True

    return db.repeated(begin, take)


def late(begin: Begin, now: datetime = NOON) -> list[SweepLots]:
    return [*start_sweep(begin, SweepTrigger.LATE, grace_hours=24, now=now)]


def test_an_hour_in_which_nothing_is_due_leaves_no_trace(begin: Begin, ana: int) -> None:
    """The list of runs shows what happened, not 23 empty lines a day."""
    lot_ends = CUTOFF + MICROSECOND
    add_lot(begin, ana, 60, at=NOON, expires_at=lot_ends)
    assert late(begin) == []
    (message,) = late(begin, NOON + timedelta(hours=1))
    assert late(begin, NOON + timedelta(hours=1)) == [], "a run is at it already"
    assert sweep_lots(begin, TERMS, message, now=NOON) == []
    assert late(begin, NOON + timedelta(hours=2)) == []
    with begin() as session:
        (run,) = session.exec(select(SweepRun)).all()
    assert (run.trigger, run.lots) == (SweepTrigger.LATE, 1)


def test_a_night_in_which_nothing_is_due_is_on_record(begin: Begin) -> None:
    """That it ran is what somebody wants to know in the morning."""
    (message,) = start_sweep(begin, SweepTrigger.NIGHTLY, grace_hours=24, now=NOON)
    assert sweep_lots(begin, TERMS, message, now=NOON) == []
    assert load_run(begin, message.run_id).finished_at is not None


def notes(begin: Begin) -> set[tuple[NotificationKind, str]]:
    with begin() as session:
        return {(note.topic, note.subject) for note in session.exec(select(Notification))}


def test_students_hear_of_each_lot_where_that_is_wished(begin: Begin, ana: int) -> None:
    """Support that clears up old packages tells people; the nightly sweep has warned them before."""
    lots = [add_lot(begin, ana, 60, at=NOON, expires_at=CUTOFF) for _ in range(2)]
    swept(begin, is_told=True)
    told = {subject for topic, subject in notes(begin) if topic is NotificationKind.EXPIRED}
    assert told == {f"lot:{lot}:expired" for lot in lots}


def test_who_has_nothing_left_is_told_so(begin: Begin, ana: int) -> None:
    """The next lesson could not be booked."""
    add_lot(begin, ana, 60, at=NOON, expires_at=CUTOFF)
    swept(begin)
    assert {topic for topic, _ in notes(begin)} == {NotificationKind.EMPTY_BALANCE}


def test_a_deadlock_repeats_the_chunk(begin: Begin, ana: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the database chose as a victim wrote nothing, and counts nothing twice."""
    add_lot(begin, ana, 60, at=NOON, expires_at=CUTOFF)
    once: Callable[..., Chunk] = expiries.expire_next
    failed: list[Chunk] = []

    def fail_once(*given: object, **more: object) -> Chunk:
        chunk = once(*given, **more)
        if not failed:
            failed.append(chunk)
            raise ConflictError("chosen as a victim")
        return chunk

    monkeypatch.setattr(expiries, "expire_next", fail_once)
    run = swept(begin)
    assert (run.lots, run.minutes, run.chunks) == (1, 60, 1)


def test_chunks_are_as_large_as_the_machine_is_quick(begin: Begin, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a machine that does ten things at once a chunk of a fixed size would run into the limit of a statement."""
    sizes: dict[float, list[int]] = {0.0: [], 1e9: []}
    monkeypatch.setattr(sweep, "FIRST", 100)
    monkeypatch.setattr(sweep, "FEWEST", 50)
    for seconds, found in sizes.items():
        monkeypatch.setattr(sweep, "CHUNK_SECONDS", seconds)
        add_lots(begin, students=400, lots_each=1, expires_at=CUTOFF, name=f"student-{seconds}")
        go_on(begin, TERMS, open_sweep(begin), now=NOON, watch=partial(_note_size, found))
    assert sizes[0.0] == [100, 50, 50, 50, 50, 50, 50, 0]
    assert sizes[1e9] == [100, 150, 150, 0]


def _note_size(sizes: list[int], chunk: Chunk) -> None:
    sizes.append(len(chunk.lots))


def test_a_chunk_that_was_cut_off_is_tried_smaller(begin: Begin, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten commands at once on a busy machine must not all end at the limit of a statement, with nothing done."""
    add_lots(begin, students=100, lots_each=1, expires_at=CUTOFF)
    whole: Callable[..., Chunk] = expiries.expire_next
    asked: list[int] = []

    def too_slow_for_many(session: Session, **given: Any) -> Chunk:
        asked.append(given["most"])
        if given["most"] > 20:
            session.execute(text("SET LOCAL statement_timeout = '1ms'"))
            session.execute(text("SELECT pg_sleep(5)"))
        return whole(session, **given)

    monkeypatch.setattr(expiries, "expire_next", too_slow_for_many)
    assert swept(begin).lots == 100
    assert asked[:3] == [200, 50, 12]
