"""A sweep that should not have been: seen before, and taken back afterwards."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
from sqlmodel import col, select

from billing import ledger
from billing.cli.reading import ask_at
from billing.db import Begin
from billing.errors import RefusedError
from billing.expiry.preview import Preview, preview
from billing.expiry.undo import SweepRunningError, SweepUndoneError, SweepUnknownError, undo_sweep
from billing.ledger import expiries
from billing.ledger.expiries import Restored
from billing.models import HourEntry
from billing.states import EntryKind, Part, SweepState
from tests.support.factories import add_student
from tests.support.hours import add_lot
from tests.support.sweeps import NOON, add_lots, expiries_of, load_run, lots_of, move, open_sweep, swept

CUTOFF = NOON - timedelta(hours=24)
LATER = NOON + timedelta(hours=3)


@pytest.fixture(autouse=True)
def every_balance_holds(begin: Begin) -> Iterator[None]:
    yield
    assert ledger.violations(begin) == []


@pytest.fixture
def ana(begin: Begin) -> int:
    return add_student(begin, at=NOON)


def undo(begin: Begin, run_id: int | None) -> Restored:
    assert run_id is not None
    with begin() as session:
        return undo_sweep(session, run_id, at=LATER)


def foreseen(url: str, **more: int) -> Preview:
    return ask_at(url, lambda connection: preview(connection, cutoff=CUTOFF, **more))


def test_what_is_foreseen_is_what_happens(begin: Begin, database_url: str) -> None:
    """A dry run that counts by another rule than the sweep is worse than none."""
    add_lots(begin, students=4, lots_each=3, expires_at=CUTOFF + timedelta(hours=1))  # the last of each is not due yet
    before = foreseen(database_url)
    run = swept(begin)
    assert (before.students, before.lots, before.minutes) == (run.students, run.lots, run.minutes) == (4, 8, 480)
    assert {(loss.lots, loss.minutes, loss.expires_at) for loss in before.losses} == {
        (2, 120, CUTOFF - timedelta(hours=1))
    }
    assert foreseen(database_url) == Preview(0, 0, 0, [])


def test_a_preview_names_those_who_lose_most(begin: Begin, database_url: str, ana: int) -> None:
    """Somebody reads it before a thousand people lose something."""
    add_lots(begin, students=5, lots_each=1, expires_at=CUTOFF)
    add_lot(begin, ana, 600, at=NOON, expires_at=CUTOFF)
    found = foreseen(database_url, most=1)
    assert (found.students, [loss.email for loss in found.losses]) == (6, ["ana@example.com"])
    assert foreseen(database_url, student_id=ana).students == 1


def test_an_undone_sweep_gives_everything_back(begin: Begin, ana: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each lot has what it had, by an entry that says which run was undone; nothing of the history is rewritten."""
    monkeypatch.setattr(expiries, "PAGE", 7)
    students = add_lots(begin, students=9, lots_each=2, expires_at=CUTOFF)
    alive = add_lot(begin, ana, 30, at=NOON, expires_at=NOON + timedelta(days=9))
    run = swept(begin)
    assert undo(begin, run.id) == Restored(9, 18, 18 * 60)
    for student in students:
        assert {(lot.minutes_left, lot.minutes_expired) for lot in lots_of(begin, student)} == {(60, 0)}
    with begin() as session:
        entries = session.exec(
            select(HourEntry).where(HourEntry.kind == EntryKind.RESTORE).order_by(col(HourEntry.id))
        ).all()
    lots = [lot.id for student in students for lot in lots_of(begin, student)]
    assert {entry.source for entry in entries} == {f"sweep:{run.id}:lot:{lot}:undone" for lot in lots}
    assert {(entry.minutes, entry.at, entry.sweep_run_id) for entry in entries} == {(60, LATER, run.id)}
    assert len(expiries_of(begin)) == 18
    assert lots_of(begin, ana)[0].id == alive
    after = load_run(begin, run.id or 0)
    assert (after.state, after.undone_at, after.lots) == (SweepState.UNDONE, LATER, 18)


def test_what_was_given_back_is_still_expired(begin: Begin, ana: int) -> None:
    """Undoing is for extending afterwards; who does nothing loses the hours to the next sweep, under a new source."""
    lot = add_lot(begin, ana, 60, at=NOON, expires_at=CUTOFF)
    undo(begin, swept(begin).id)
    with begin() as session:
        assert ledger.lock_accounts(session, [ana])[ana].available(NOON) == 0
    assert swept(begin, grace_hours=48).lots == 0
    again = swept(begin)
    assert expiries_of(begin)[-1].source == f"lot:{lot}:expired:2"
    assert undo(begin, again.id).minutes == 60


def test_only_what_is_still_expired_comes_back(begin: Begin, ana: int) -> None:
    """Support has given a part back by hand meanwhile; it must not come twice."""
    partly, wholly = (add_lot(begin, ana, 60, at=NOON, expires_at=CUTOFF) for _ in range(2))
    run = swept(begin)
    move(begin, partly, 45, Part.EXPIRED, EntryKind.RESTORE)
    move(begin, wholly, 60, Part.EXPIRED, EntryKind.RESTORE)
    assert undo(begin, run.id) == Restored(1, 1, 15)
    assert {(lot.minutes_left, lot.minutes_expired) for lot in lots_of(begin, ana)} == {(60, 0)}


def test_only_the_hours_of_that_run_come_back(begin: Begin, ana: int) -> None:
    """The sweep of the night before was right."""
    lot = add_lot(begin, ana, 60, at=NOON, expires_at=CUTOFF)
    move(begin, lot, -20, Part.HELD, EntryKind.HOLD)
    first = swept(begin)
    move(begin, lot, 20, Part.HELD, EntryKind.RELEASE)
    second = swept(begin)
    assert (first.minutes, second.minutes) == (40, 20)
    assert undo(begin, second.id).minutes == 20
    assert undo(begin, first.id).minutes == 40


def test_a_lot_that_one_run_took_twice_comes_back_once_and_whole(begin: Begin, ana: int) -> None:
    """Hours came back to it while the run was killed and begun again."""
    lot = add_lot(begin, ana, 60, at=NOON, expires_at=CUTOFF)
    move(begin, lot, -20, Part.HELD, EntryKind.HOLD)
    run_id = open_sweep(begin)
    order = expiries.Order(run_id, CUTOFF, NOON)
    for _ in range(2):
        with begin() as session:
            expiries.expire_next(session, order, expiries.START, 1)
        if not lots_of(begin, ana)[0].minutes_left and lots_of(begin, ana)[0].minutes_held:
            move(begin, lot, 20, Part.HELD, EntryKind.RELEASE)
    with begin() as session:
        assert expiries.restore_run(session, run_id, at=LATER) == Restored(1, 1, 60)


def test_lots_that_changed_hands_come_back_to_whom_has_them(begin: Begin, ana: int) -> None:
    """A guest's packages went to the account of the same address after the sweep."""
    add_lot(begin, ana, 60, at=NOON, expires_at=CUTOFF)
    run = swept(begin)
    account = add_student(begin, "account@example.com", at=NOON)
    with begin() as session:
        ledger.transfer_all(session, ana, account, at=NOON)
    assert undo(begin, run.id).minutes == 60
    assert [lot.minutes_left for lot in lots_of(begin, account)] == [60]


@pytest.mark.parametrize("case", [SweepUnknownError, SweepRunningError, SweepUndoneError])
def test_what_cannot_be_undone_is_refused(begin: Begin, ana: int, case: type[RefusedError]) -> None:
    """Each with the reason, and with nothing done."""
    add_lot(begin, ana, 60, at=NOON, expires_at=CUTOFF)
    ids: dict[type[RefusedError], int | None] = {SweepUnknownError: 999, SweepRunningError: open_sweep(begin)}
    finished = swept(begin)
    undo(begin, finished.id)
    ids[SweepUndoneError] = finished.id
    with pytest.raises(case):
        undo(begin, ids[case])
    assert lots_of(begin, ana)[0].minutes_left == 60


def test_an_undo_of_a_large_run_is_not_slow(begin: Begin) -> None:
    """The planner knows nothing of a run of last night; a plan that reads all of it for each lot is cut off."""
    add_lots(begin, students=3_000, lots_each=2, expires_at=CUTOFF)
    assert undo(begin, swept(begin).id) == Restored(3_000, 6_000, 6_000 * 60)
