"""What each act does to a consumption: decided on lots and minutes in memory, without a database."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from billing.consumptions.records import Record
from billing.ledger import Account, Move, Posting
from billing.models import ConsumptionAct
from billing.states import ConsumptionActKind, ConsumptionMode, ConsumptionState, EntryKind, Part


class Fault(StrEnum):
    """Why an act cannot be done to a consumption."""

    SHORT = "short"
    """There are not so many minutes; which of the words of NoBooking says why is looked up afterwards."""
    INVALID_STATE = "invalid_state"
    UNDECIDED = "undecided"
    """The act has overtaken the booking that it is about."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a consumption is afterwards, and the entries that bring it about, in their order."""

    after: Record
    postings: Sequence[Posting]


Decision = Callable[[ConsumptionAct, Record, Account, datetime], Plan | Fault]


def book(_act: ConsumptionAct, record: Record, account: Account, now: datetime) -> Plan | Fault:
    """Take or hold from the lots that expire first, in as many of them as it needs."""
    if record.state is not ConsumptionState.REQUESTED or record.is_lapsed(now):
        return Fault.INVALID_STATE
    parts = _spendable(account, record.minutes, now)
    if parts is None:
        return Fault.SHORT
    source = f"session:{record.session_id}:student:{record.student_id}"
    if record.mode is ConsumptionMode.HOLD:
        after = replace(record, state=ConsumptionState.HELD, held=record.minutes, parts=parts)
        return Plan(after, [_taking(record, EntryKind.HOLD, Part.HELD, parts, source, now)])
    after = replace(record, state=ConsumptionState.CONSUMED, consumed=record.minutes, parts=parts)
    return Plan(after, [_taking(record, EntryKind.CONSUME, Part.CONSUMED, parts, source, now)])


def capture(act: ConsumptionAct, record: Record, account: Account, now: datetime) -> Plan | Fault:
    """Turn a hold into a consumption: of the minutes held, of fewer, or of more, which are taken like any others.

    What is held was good when it was held, so it is consumed though its lot may have expired since.
    """
    if fault := _fault_of_hold(record, now):
        return fault
    minutes = act.minutes or record.held
    extra = _spendable(account, max(0, minutes - record.held), now)
    if extra is None:
        return Fault.SHORT
    parts = _first(_in_turn(record, account), min(minutes, record.held)) + extra
    after = replace(record, state=ConsumptionState.CONSUMED, held=0, consumed=minutes, parts=parts)
    consumed = _taking(record, EntryKind.CONSUME, Part.CONSUMED, parts, _source(act, record, "consume"), now)
    return Plan(after, [_release(record, _source(act, record, "release"), now), consumed])


def release(act: ConsumptionAct, record: Record, _account: Account, now: datetime) -> Plan | Fault:
    if fault := _fault_of_hold(record, now):
        return fault
    after = replace(record, state=ConsumptionState.RELEASED, held=0, parts=Counter())
    return Plan(after, [_release(record, _source(act, record, "release"), now)])


def refund(act: ConsumptionAct, record: Record, account: Account, now: datetime) -> Plan | Fault:
    """Give back to the lots it was taken from, to those first that live longest; an expired one stays expired."""
    if record.state is not ConsumptionState.CONSUMED:
        return _wrong_state(record)
    minutes = act.minutes or record.consumed
    if minutes > record.consumed:
        return Fault.INVALID_STATE
    given = _first(reversed(_in_turn(record, account)), minutes)
    is_whole = minutes == record.consumed
    after = replace(
        record,
        state=ConsumptionState.REFUNDED if is_whole else ConsumptionState.CONSUMED,
        consumed=record.consumed - minutes,
        returned=record.returned + minutes,
        parts=record.parts - given,
    )
    source = _source(act, record, "restore")
    return Plan(after, [_giving(record, EntryKind.RESTORE, Part.CONSUMED, given, source, now)])


def lapse(record: Record, now: datetime) -> Plan:
    """Give back a hold that nobody captured or released in time."""
    after = replace(record, state=ConsumptionState.LAPSED, held=0, parts=Counter())
    return Plan(after, [_release(record, f"consumption:{record.id}:lapsed", now)])


DECISIONS: Mapping[ConsumptionActKind, Decision] = {
    ConsumptionActKind.BOOK: book,
    ConsumptionActKind.CAPTURE: capture,
    ConsumptionActKind.RELEASE: release,
    ConsumptionActKind.REFUND: refund,
}


def _fault_of_hold(record: Record, now: datetime) -> Fault | None:
    if record.state is not ConsumptionState.HELD:
        return _wrong_state(record)
    return Fault.INVALID_STATE if record.is_lapsed(now) else None


def _wrong_state(record: Record) -> Fault:
    return Fault.UNDECIDED if record.state is ConsumptionState.REQUESTED else Fault.INVALID_STATE


def _spendable(account: Account, minutes: int, now: datetime) -> Counter[int] | None:
    """So many minutes of which lots; None where they are not there."""
    if minutes > max(0, account.available(now)):
        return None
    return _first([(lot.id, lot.left) for lot in account.spendable(now)], minutes)


def _in_turn(record: Record, account: Account) -> list[tuple[int, int]]:
    """Its lots and their minutes, in the order in which lots are spent."""
    return sorted(record.parts.items(), key=lambda part: account.lots[part[0]].turn)


def _first(lots: Iterable[tuple[int, int]], minutes: int) -> Counter[int]:
    """The first so many minutes of these."""
    found: Counter[int] = Counter()
    for lot_id, there in lots:
        if not minutes:
            break
        found[lot_id] = min(there, minutes)
        minutes -= found[lot_id]
    return found


def _release(record: Record, source: str, now: datetime) -> Posting:
    return _giving(record, EntryKind.RELEASE, Part.HELD, record.parts, source, now)


def _taking(record: Record, kind: EntryKind, part: Part, lots: Counter[int], source: str, now: datetime) -> Posting:
    moves = [Move(lot_id, -minutes, part) for lot_id, minutes in lots.items()]
    return Posting(record.owner_id, kind, source, moves, now, consumption_id=record.id)


def _giving(record: Record, kind: EntryKind, part: Part, lots: Counter[int], source: str, now: datetime) -> Posting:
    moves = [Move(lot_id, minutes, part) for lot_id, minutes in lots.items()]
    return Posting(record.owner_id, kind, source, moves, now, consumption_id=record.id)


def _source(act: ConsumptionAct, record: Record, effect: str) -> str:
    return f"consumption_act:{act.id}:consumption:{record.id}:{effect}"
