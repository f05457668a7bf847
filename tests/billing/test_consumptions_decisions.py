"""The table of what can be done to a lesson's hours, decided without a database."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import product

import pytest

from billing.consumptions.decisions import DECISIONS, Fault, Plan, lapse
from billing.consumptions.records import LAPSES_AFTER, Record
from billing.ids import new_id
from billing.ledger import Account, Lot
from billing.states import (
    CONSUMPTION_MOVES,
    ConsumptionActKind,
    ConsumptionMode,
    ConsumptionState,
    LotOrigin,
    Part,
)
from tests.support.hours import make_act

A = ConsumptionActKind
S = ConsumptionState
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
DAY = timedelta(days=1)

ALLOWED = {
    (A.BOOK, S.REQUESTED): {ConsumptionMode.CONSUME: S.CONSUMED, ConsumptionMode.HOLD: S.HELD},
    (A.CAPTURE, S.HELD): {ConsumptionMode.HOLD: S.CONSUMED},
    (A.RELEASE, S.HELD): {ConsumptionMode.HOLD: S.RELEASED},
    (A.REFUND, S.CONSUMED): {ConsumptionMode.CONSUME: S.REFUNDED, ConsumptionMode.HOLD: S.REFUNDED},
}


def make_lot(lot_id: int, left: int, *, days: int | None = 10, held: int = 0, consumed: int = 0) -> Lot:
    parts = {**dict.fromkeys(Part, 0), Part.HELD: held, Part.CONSUMED: consumed}
    expires_at = None if days is None else NOON + days * DAY
    return Lot(lot_id, 1, LotOrigin.GRANT, 0, NOON - DAY, expires_at, left + held + consumed, left, parts)


def make_record(state: S, mode: ConsumptionMode = ConsumptionMode.HOLD, **parts: int) -> Record:
    """Of an hour that is held in or taken from lots: `lot_1=40, lot_2=20`."""
    found = Counter({int(name.removeprefix("lot_")): minutes for name, minutes in parts.items()})
    return Record(
        id=new_id(),
        group_id=new_id(),
        student_id=1,
        owner_id=1,
        session_id="algebra",
        mode=mode,
        minutes=60,
        ends_at=NOON + timedelta(hours=1) if mode is ConsumptionMode.HOLD else None,
        state=state,
        held=found.total() if state is S.HELD else 0,
        consumed=found.total() if state is S.CONSUMED else 0,
        parts=found,
    )


def decide(
    kind: A, record: Record, *lots: Lot, minutes: int | None = None, owed: int = 0, now: datetime = NOON
) -> Plan | Fault:
    act = make_act(kind, record.group_id, at=now, minutes=minutes)
    return DECISIONS[kind](act, record, Account(1, owed, {lot.id: lot for lot in lots}), now)


def moved(plan: Plan | Fault) -> list[tuple[str, dict[int, int]]]:
    """The entries: their kinds, and what came to each lot."""
    assert isinstance(plan, Plan)
    return [(posting.kind, {move.lot_id: move.minutes for move in posting.moves}) for posting in plan.postings]


@pytest.mark.parametrize(("kind", "state", "mode"), list(product(A, S, ConsumptionMode)))
def test_an_act_is_done_in_the_states_of_the_table_and_in_no_other(kind: A, state: S, mode: ConsumptionMode) -> None:
    """Each pair is decided once, here, and moves as the table of states allows."""
    has_minutes = state in (S.HELD, S.CONSUMED)
    record = make_record(state, mode, lot_1=60) if has_minutes else make_record(state, mode)
    plan = decide(kind, record, make_lot(1, 600, held=60, consumed=60))
    expected = ALLOWED.get((kind, state), {}).get(mode)
    if expected is None and state is S.HELD and mode is ConsumptionMode.CONSUME:
        return  # no row is held without an end
    if expected is None:
        assert plan is (Fault.UNDECIDED if state is S.REQUESTED else Fault.INVALID_STATE)
    else:
        assert isinstance(plan, Plan)
        assert plan.after.state is expected
        assert expected in CONSUMPTION_MOVES[state]


@pytest.mark.parametrize("mode", ConsumptionMode)
@pytest.mark.parametrize(
    ("lots", "owed", "taken"),
    [
        ([make_lot(1, 60)], 0, {1: -60}),
        ([make_lot(1, 59)], 0, None),
        ([make_lot(1, 59, days=9), make_lot(2, 1)], 0, {1: -59, 2: -1}),
        ([make_lot(1, 60, days=None), make_lot(2, 30)], 0, {2: -30, 1: -30}),
        ([make_lot(1, 60, days=0), make_lot(2, 60)], 0, {2: -60}),
        ([make_lot(1, 60, days=-1)], 0, None),
        ([make_lot(1, 90)], 30, {1: -60}),
        ([make_lot(1, 90)], 31, None),
        ([make_lot(1, 10)], 90, None),
        ([make_lot(1, 0), make_lot(2, 100)], 0, {2: -60}),
        ([], 0, None),
    ],
)
def test_a_booking_takes_what_expires_first_or_nothing(
    mode: ConsumptionMode, lots: list[Lot], owed: int, taken: dict[int, int] | None
) -> None:
    plan = decide(A.BOOK, make_record(S.REQUESTED, mode), *lots, owed=owed)
    if taken is None:
        assert plan is Fault.SHORT
    else:
        assert moved(plan) == [(mode.value, taken)]


@pytest.mark.parametrize(
    ("minutes", "entries"),
    [
        (None, [("release", {1: 40, 2: 20}), ("consume", {1: -40, 2: -20})]),
        (60, [("release", {1: 40, 2: 20}), ("consume", {1: -40, 2: -20})]),
        (50, [("release", {1: 40, 2: 20}), ("consume", {1: -40, 2: -10})]),
        (40, [("release", {1: 40, 2: 20}), ("consume", {1: -40})]),
        (1, [("release", {1: 40, 2: 20}), ("consume", {1: -1})]),
        (70, [("release", {1: 40, 2: 20}), ("consume", {1: -40, 2: -30})]),
        (95, [("release", {1: 40, 2: 20}), ("consume", {1: -40, 2: -50, 3: -5})]),
        (100, [("release", {1: 40, 2: 20}), ("consume", {1: -40, 2: -50, 3: -10})]),
        (101, None),
    ],
)
def test_a_capture_consumes_what_was_held_first(
    minutes: int | None, entries: list[tuple[str, dict[int, int]]] | None
) -> None:
    """Lot 1 has expired since: what is held of it is good, what is left of it is not."""
    lots = make_lot(1, 20, days=-1, held=40), make_lot(2, 30, held=20), make_lot(3, 10, days=None)
    plan = decide(A.CAPTURE, make_record(S.HELD, lot_1=40, lot_2=20), *lots, minutes=minutes)
    if entries is None:
        assert plan is Fault.SHORT
    else:
        assert moved(plan) == entries


def test_what_is_owed_keeps_a_longer_lesson_from_being_captured_but_not_the_hold() -> None:
    record, lots = make_record(S.HELD, lot_1=60), (make_lot(1, 10, held=60),)
    assert decide(A.CAPTURE, record, *lots, minutes=61, owed=10) is Fault.SHORT
    assert isinstance(decide(A.CAPTURE, record, *lots, minutes=60, owed=10), Plan)


@pytest.mark.parametrize(
    ("minutes", "given", "rest"),
    [(None, {3: 10, 2: 20, 1: 30}, {}), (60, {3: 10, 2: 20, 1: 30}, {}), (15, {3: 10, 2: 5}, {1: 30, 2: 15})],
)
def test_a_refund_goes_to_what_lives_longest(minutes: int | None, given: dict[int, int], rest: dict[int, int]) -> None:
    lots = make_lot(1, 0, days=5), make_lot(2, 0, days=6), make_lot(3, 0, days=None)
    record = make_record(S.CONSUMED, ConsumptionMode.CONSUME, lot_1=30, lot_2=20, lot_3=10)
    plan = decide(A.REFUND, record, *lots, minutes=minutes)
    assert moved(plan) == [("restore", given)]
    assert isinstance(plan, Plan)
    assert (plan.after.parts, plan.after.consumed) == (rest, sum(rest.values()))
    assert plan.after.returned == sum(given.values())


def test_no_more_is_refunded_than_is_still_taken() -> None:
    record = make_record(S.CONSUMED, ConsumptionMode.CONSUME, lot_1=30)
    assert decide(A.REFUND, record, make_lot(1, 0), minutes=31) is Fault.INVALID_STATE


@pytest.mark.parametrize("kind", [A.CAPTURE, A.RELEASE])
def test_a_hold_can_be_acted_on_until_it_lapses(kind: A) -> None:
    """To the microsecond: the instant a day after the lesson's end is too late."""
    record, lot = make_record(S.HELD, lot_1=60), make_lot(1, 0, held=60)
    assert record.ends_at is not None
    end = record.ends_at + LAPSES_AFTER
    assert isinstance(decide(kind, record, lot, now=end - timedelta(microseconds=1)), Plan)
    assert decide(kind, record, lot, now=end) is Fault.INVALID_STATE


def test_time_does_not_run_out_for_a_refund_of_what_was_captured() -> None:
    record = make_record(S.CONSUMED, lot_1=60)
    assert isinstance(decide(A.REFUND, record, make_lot(1, 0, consumed=60), now=NOON + 365 * DAY), Plan)


def test_entries_name_what_they_are_the_effect_of() -> None:
    """By these each effect is in the ledger once, however often it is worked."""
    record, lot = make_record(S.HELD, lot_1=60), make_lot(1, 0, held=60)
    act = make_act(A.CAPTURE, record.group_id, at=NOON)
    plan = DECISIONS[A.CAPTURE](act, record, Account(1, 0, {1: lot}), NOON)
    assert isinstance(plan, Plan)
    prefix = f"consumption_act:{act.id}:consumption:{record.id}"
    assert [posting.source for posting in plan.postings] == [f"{prefix}:release", f"{prefix}:consume"]
    assert [posting.source for posting in lapse(record, NOON).postings] == [f"consumption:{record.id}:lapsed"]


def test_every_kind_of_act_has_its_decision() -> None:
    assert set(DECISIONS) == set(A)
    assert set(CONSUMPTION_MOVES) == set(S)
