"""Hours that move: out of what is left of a lot and back, with an entry for each step and nothing made or lost."""

import random
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from threading import Barrier

import pytest
from sqlalchemy.exc import IntegrityError
from sqlmodel import col, select

from billing import ledger
from billing.db import Begin
from billing.ledger import Account, Credit, Lot, Move, Posting
from billing.models import HourAllocation, HourEntry, HourLot, StudentBalance
from billing.states import EntryKind, LotOrigin, Part
from tests.support.factories import add_student
from tests.support.locks import until_somebody_waits
from tests.support.statements import counted

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
DAY = timedelta(days=1)

KINDS = {
    (Part.CONSUMED, False): EntryKind.CONSUME,
    (Part.CONSUMED, True): EntryKind.RESTORE,
    (Part.HELD, False): EntryKind.HOLD,
    (Part.HELD, True): EntryKind.RELEASE,
    (Part.REFUNDED, False): EntryKind.REFUND,
    (Part.FROZEN, False): EntryKind.FREEZE,
    (Part.FROZEN, True): EntryKind.THAW,
}
"""What an entry is called, by the part and whether minutes come back from it."""


def posting(student_id: int, source: str, *moves: Move, kind: EntryKind = EntryKind.CONSUME) -> Posting:
    return Posting(student_id, kind, source, moves, NOON)


def take(lot_id: int, minutes: int) -> Move:
    return Move(lot_id, -minutes, Part.CONSUMED)


def hold(lot_id: int, minutes: int) -> Move:
    return Move(lot_id, -minutes, Part.HELD)


def give(begin: Begin, student_id: int, *minutes: int) -> Sequence[int]:
    """Lots of so many minutes; gives their ids."""
    grants = [
        Credit(student_id, LotOrigin.GRANT, f"grant:{student_id}:{place}", None, each, 0, "eur", NOON, None, NOON)
        for place, each in enumerate(minutes)
    ]
    with begin() as session:
        ledger.credit(session, grants)
        statement = select(HourLot.id).where(HourLot.student_id == student_id).order_by(col(HourLot.id))
        return [lot_id for lot_id in session.exec(statement) if lot_id is not None]


def post(begin: Begin, *postings: Posting) -> None:
    with begin() as session:
        ledger.lock_accounts(session, {one.student_id for one in postings})
        ledger.post(session, postings)


def lots(begin: Begin) -> list[HourLot]:
    with begin() as session:
        return list(session.exec(select(HourLot).order_by(col(HourLot.id))))


def balance(begin: Begin, student_id: int) -> StudentBalance:
    with begin() as session:
        return session.get_one(StudentBalance, student_id)


def entries(begin: Begin, student_id: int) -> list[tuple[str, int, int]]:
    with begin() as session:
        statement = select(HourEntry).where(HourEntry.student_id == student_id).order_by(col(HourEntry.id))
        return [(row.source, row.minutes, row.balance_after) for row in session.exec(statement)]


@pytest.fixture
def ana(begin: Begin) -> int:
    return add_student(begin, at=NOON)


def test_a_move_is_an_entry_its_parts_the_lots_and_the_balance(begin: Begin, ana: int) -> None:
    """All four tell the same story, or one of them is wrong; a lesson that one lot cannot pay is split."""
    first, second = give(begin, ana, 60, 100)
    post(begin, posting(ana, "lesson", take(first, 60), take(second, 30)))
    assert [(lot.minutes_left, lot.minutes_consumed) for lot in lots(begin)] == [(0, 60), (70, 30)]
    assert (balance(begin, ana).minutes_left, balance(begin, ana).minutes_consumed) == (70, 90)
    assert entries(begin, ana)[-1] == ("lesson", -90, 70)
    with begin() as session:
        entry = session.exec(select(HourEntry).where(HourEntry.source == "lesson")).one()
        parts = session.exec(select(HourAllocation).where(HourAllocation.entry_id == entry.id)).all()
    assert {part.lot_id: part.minutes for part in parts} == {first: -60, second: -30}
    assert (entry.kind, entry.at) == (EntryKind.CONSUME, NOON)
    assert ledger.violations(begin) == []


@pytest.mark.parametrize(("part", "comes_back"), KINDS)
def test_minutes_go_to_their_part_and_come_back_from_it(
    begin: Begin, ana: int, part: Part, *, comes_back: bool
) -> None:
    """granted = left + consumed + expired + refunded + frozen + held, whatever is posted."""
    (lot_id,) = give(begin, ana, 60)
    out = posting(ana, "out", Move(lot_id, -40, part), kind=KINDS[part, False])
    back = posting(ana, "back", Move(lot_id, 25, part), kind=KINDS[part, comes_back])
    post(begin, out, *([back] if comes_back else []))
    (lot,) = lots(begin)
    there = 15 if comes_back else 40
    for row in (lot, balance(begin, ana)):
        assert (row.minutes_granted, row.minutes_left, getattr(row, f"minutes_{part}")) == (60, 60 - there, there)
    assert ledger.violations(begin) == []


def test_a_capture_is_two_entries_and_moves_nothing_that_is_left(begin: Begin, ana: int) -> None:
    """What was held is consumed, and the history shows both steps; the balance in between is the one it was then."""
    (lot_id,) = give(begin, ana, 60)
    post(begin, posting(ana, "hold", hold(lot_id, 45), kind=EntryKind.HOLD))
    release = posting(ana, "capture:release", Move(lot_id, 45, Part.HELD), kind=EntryKind.RELEASE)
    post(begin, release, posting(ana, "capture", take(lot_id, 30)))
    assert entries(begin, ana)[1:] == [("hold", -45, 15), ("capture:release", 45, 60), ("capture", -30, 30)]
    (lot,) = lots(begin)
    assert (lot.minutes_left, lot.minutes_held, lot.minutes_consumed) == (30, 0, 30)
    assert ledger.violations(begin) == []


def test_each_entry_of_a_batch_leaves_the_balance_that_the_next_begins_with(begin: Begin, ana: int) -> None:
    """Many lessons of many students are one statement, and each history still adds up line by line."""
    eva = add_student(begin, "eva@example.com", at=NOON)
    (of_ana,), (of_eva,) = give(begin, ana, 100), give(begin, eva, 50)
    post(
        begin,
        posting(eva, "e1", take(of_eva, 5)),
        posting(ana, "a1", take(of_ana, 10)),
        posting(ana, "a2", hold(of_ana, 20), kind=EntryKind.HOLD),
        posting(eva, "e2", take(of_eva, 7)),
        posting(ana, "a3", Move(of_ana, 20, Part.HELD), kind=EntryKind.RELEASE),
        posting(ana, "a4", take(of_ana, 40)),
    )
    assert entries(begin, ana)[1:] == [("a1", -10, 90), ("a2", -20, 70), ("a3", 20, 90), ("a4", -40, 50)]
    assert entries(begin, eva)[1:] == [("e1", -5, 45), ("e2", -7, 38)]
    assert ledger.violations(begin) == []


def test_a_batch_is_one_statement(begin: Begin, ana: int) -> None:
    """Two hundred lessons at once must not be six hundred round trips."""
    (lot_id,) = give(begin, ana, 600)
    with begin() as session:
        ledger.lock_accounts(session, [ana])
        with counted() as statements:
            ledger.post(session, [posting(ana, f"lesson:{number}", take(lot_id, 1)) for number in range(200)])
    assert len(statements) == 1
    assert balance(begin, ana).minutes_left == 400


def test_nothing_to_post_is_nothing_done(begin: Begin, ana: int) -> None:
    """A batch whose acts were all refused must not stumble over that."""
    with begin() as session:
        ledger.post(session, [])
    assert entries(begin, ana) == []


@pytest.mark.parametrize("sources", [("lesson", "new"), ("new", "lesson"), ("twin", "twin")])
def test_a_source_that_was_posted_before_refuses_the_whole(begin: Begin, ana: int, sources: tuple[str, str]) -> None:
    """Done twice by whatever defect, a lesson is paid once, and no half of the batch stays behind."""
    (lot_id,) = give(begin, ana, 100)
    post(begin, posting(ana, "lesson", take(lot_id, 10)))
    with pytest.raises(IntegrityError, match=r"uq_hour_entry_source|pk_hour_allocation"):
        post(begin, *(posting(ana, source, take(lot_id, 10)) for source in sources))
    assert balance(begin, ana).minutes_left == lots(begin)[0].minutes_left == 90
    assert [source for source, *_ in entries(begin, ana)][1:] == ["lesson"]
    assert ledger.violations(begin) == []


def test_a_lot_never_gives_more_than_it_has(begin: Begin, ana: int) -> None:
    """However much the student has elsewhere, and whoever computed it wrongly."""
    first, second = give(begin, ana, 60, 100)
    with pytest.raises(IntegrityError, match="minutes_not_negative"):
        post(begin, posting(ana, "good", take(second, 10)), posting(ana, "bad", take(first, 61)))
    assert [lot.minutes_left for lot in lots(begin)] == [60, 100]
    assert [source for source, *_ in entries(begin, ana)] == [f"grant:{ana}:0", f"grant:{ana}:1"]


def test_no_more_comes_back_than_went(begin: Begin, ana: int) -> None:
    """A lesson that is given back twice would make hours."""
    (lot_id,) = give(begin, ana, 60)
    post(begin, posting(ana, "lesson", take(lot_id, 30)))
    back = Move(lot_id, 20, Part.CONSUMED)
    post(begin, posting(ana, "back", back, kind=EntryKind.RESTORE))
    with pytest.raises(IntegrityError, match="minutes_not_negative"):
        post(begin, posting(ana, "back again", back, kind=EntryKind.RESTORE))
    assert balance(begin, ana).minutes_left == 50
    assert ledger.violations(begin) == []


def test_a_refused_batch_leaves_its_transaction_usable(begin: Begin, ana: int) -> None:
    """One bad act of many is undone, and the others go on."""
    (lot_id,) = give(begin, ana, 60)
    with begin() as session:
        ledger.lock_accounts(session, [ana])
        with pytest.raises(IntegrityError), session.begin_nested():
            ledger.post(session, [posting(ana, "bad", take(lot_id, 61))])
        ledger.post(session, [posting(ana, "good", take(lot_id, 10))])
    assert entries(begin, ana)[1:] == [("good", -10, 50)]
    assert ledger.violations(begin) == []


def a_lot(lot_id: int, *, ends: int | None, cents: int = 0, starts: int = 0, left: int = 60) -> Lot:
    expires_at = None if ends is None else NOON + ends * DAY
    return Lot(lot_id, 1, LotOrigin.GRANT, cents, NOON + starts * DAY, expires_at, left, left, dict.fromkeys(Part, 0))


IN_TURN = (
    a_lot(9, ends=1, cents=14_000, starts=-1),
    a_lot(8, ends=2, cents=0, starts=-1),
    a_lot(7, ends=2, cents=14_000, starts=-3),
    a_lot(4, ends=2, cents=14_000, starts=-2),
    a_lot(6, ends=2, cents=14_000, starts=-2),
    a_lot(3, ends=None, cents=0, starts=-2),
    a_lot(5, ends=None, cents=0, starts=-1),
    a_lot(2, ends=None, cents=14_000, starts=-9),
)
"""What expires first, then free before paid, then the oldest; what never expires last, each rule against the ids."""


def test_lots_are_spent_in_their_turn() -> None:
    """A student loses as little as can be; of two that end alike the free one goes first, so that money can go back.

    A turn that depends on how the lots lie in memory is none.
    """
    chance = random.Random(7)
    for _ in range(50):
        shown = chance.sample(IN_TURN, len(IN_TURN))
        account = Account(1, 0, {lot.id: lot for lot in shown})
        assert account.spendable(NOON) == list(IN_TURN)


def test_what_is_empty_or_expired_is_not_spendable() -> None:
    """A lot is dead from the instant of its end, swept or not."""
    account = Account(1, 0, {lot.id: lot for lot in (a_lot(1, ends=0), a_lot(2, ends=1, left=0), a_lot(3, ends=1))})
    assert [lot.id for lot in account.spendable(NOON)] == [3]
    assert [lot.id for lot in account.spendable(NOON - timedelta(microseconds=1))] == [1, 3]
    assert account.spendable(NOON + DAY) == []


def test_what_is_owed_is_spent_already() -> None:
    """A student who took more than a refund left pays that back first."""
    lots_ = {lot.id: lot for lot in (a_lot(1, ends=0), a_lot(2, ends=1), a_lot(3, ends=None))}
    assert Account(1, 0, lots_).available(NOON) == 120
    assert Account(1, 50, lots_).available(NOON) == 70
    assert Account(1, 150, lots_).available(NOON) == -30


def test_an_account_is_what_the_database_has(begin: Begin, ana: int) -> None:
    """Lots with minutes left, and those that somebody names though they are empty; not those of others."""
    spent, full = give(begin, ana, 60, 100)
    give(begin, add_student(begin, "eva@example.com", at=NOON), 30)
    post(begin, posting(ana, "lesson", take(spent, 60), hold(full, 30)))
    with begin() as session:
        plain = ledger.lock_accounts(session, [ana])[ana]
        named = ledger.lock_accounts(session, [ana], [spent])[ana]
    assert list(plain.lots) == [full]
    assert {lot.id: (lot.left, lot.parts[Part.CONSUMED], lot.parts[Part.HELD]) for lot in named.lots.values()} == {
        spent: (0, 60, 0),
        full: (70, 0, 30),
    }
    assert (named.lots[full].starts_at, named.lots[full].expires_at, named.owed) == (NOON, None, 0)


def test_the_account_of_somebody_new_is_empty_and_locked(begin: Begin, ana: int) -> None:
    """Whoever has never bought can be asked for hours, too."""
    with begin() as session:
        account = ledger.lock_accounts(session, [ana])[ana]
        assert (account.lots, account.available(NOON)) == ({}, 0)
    assert balance(begin, ana).minutes_left == 0


def test_two_at_once_lose_nothing(begin: Begin, ana: int) -> None:
    """Each looks, decides and posts under the lock: what one took the other sees, and the last hour is taken once."""
    give(begin, ana, 25, 25)
    start = Barrier(4)

    def teach(lane: int) -> int:
        start.wait(timeout=10)
        return sum(_take_next(begin, ana, f"lesson:{lane}:{turn}", 7) for turn in range(5))

    with ThreadPoolExecutor(4) as pool:
        done = sum(pool.map(teach, range(4)))
    assert done == 7
    assert [lot.minutes_left for lot in lots(begin)] == [0, 1]
    assert [after for *_, after in entries(begin, ana)][2:] == [50 - 7 * count for count in range(1, 8)]
    assert ledger.violations(begin) == []


def _take_next(begin: Begin, student_id: int, source: str, minutes: int) -> bool:
    """A lesson as a use case takes it: False where there are not so many minutes."""
    with begin() as session:
        account = ledger.lock_accounts(session, [student_id])[student_id]
        if account.available(NOON) < minutes:
            return False
        moves, wanted = [], minutes
        for lot in account.spendable(NOON):
            moves.append(take(lot.id, min(lot.left, wanted)))
            wanted += moves[-1].minutes
            if not wanted:
                break
        ledger.post(session, [posting(student_id, source, *moves)])
    return True


def test_whoever_waited_for_the_lock_sees_what_was_done_meanwhile(begin: Begin, ana: int) -> None:
    """Lots that are read with the eyes of before the wait would be spent twice, and those that came would be missed."""
    first, second = give(begin, ana, 60, 5)
    with ThreadPoolExecutor(1) as pool:
        with begin() as session:
            ledger.lock_accounts(session, [ana])
            waiting = pool.submit(_take_next, begin, ana, "second", 30)
            until_somebody_waits(begin)
            ledger.post(session, [posting(ana, "first", take(first, 60))])
            more = Credit(ana, LotOrigin.GRANT, "more", None, 26, 0, "eur", NOON, None, NOON)
            ledger.credit(session, [more])
        assert waiting.result(timeout=10) is True
    assert entries(begin, ana)[2:] == [("first", -60, 5), ("more", 26, 31), ("second", -30, 1)]
    assert [lot.minutes_left for lot in lots(begin)] == [0, 0, 1]
    assert second == lots(begin)[1].id


def test_whatever_is_posted_memory_and_database_agree(begin: Begin) -> None:
    """Use cases decide several acts in memory before they post them: what they reckon with is what will be there.

    Random moves that are possible, in batches of many students; every rule of the audit holds after each batch.
    """
    chance = random.Random(11)
    students = [add_student(begin, f"student-{number}@example.com", at=NOON) for number in range(3)]
    named = [lot_id for student in students for lot_id in give(begin, student, *chance.choices(range(30, 90), k=3))]
    count = 0
    for _ in range(25):
        with begin() as session:
            accounts = ledger.lock_accounts(session, students, named)
            batch = []
            for _ in range(chance.randrange(1, 9)):
                count += 1
                batch += _some_posting(chance, accounts[chance.choice(students)], f"move:{count}")
            ledger.post(session, batch)
        with begin() as session:
            assert ledger.lock_accounts(session, students, named) == accounts
        assert ledger.violations(begin) == []
    with begin() as session:
        assert {row.kind for row in session.exec(select(HourEntry))} == {EntryKind.CREDIT, *KINDS.values()}


def _some_posting(chance: random.Random, account: Account, source: str) -> list[Posting]:
    """One that its account can bear, over one lot or several, already applied; none where nothing is there to move."""
    part, comes_back = chance.choice(list(KINDS))
    moves = []
    for lot in chance.sample(list(account.lots.values()), chance.randrange(1, 4)):
        most = lot.parts[part] if comes_back else lot.left
        if most:
            minutes = chance.randrange(1, most + 1)
            moves.append(Move(lot.id, minutes if comes_back else -minutes, part))
    account.apply(moves)
    return [posting(account.student_id, source, *moves, kind=KINDS[part, comes_back])] if moves else []
