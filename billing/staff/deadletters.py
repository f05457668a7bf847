"""Dead letters that staff see to: worked anew, put aside, done with."""

from typing import Any

from sqlmodel import Session

from billing.deadletters.marks import mark
from billing.deadletters.names import LetterName
from billing.deadletters.reopen import reopen
from billing.errors import NotFoundError
from billing.models import StaffAct
from billing.reads.written import instant
from billing.staff.effects import Context, Effect
from billing.staff.wishes import Discard, Park, Replay
from billing.states import DeadLetterState


def replay(session: Session, act: StaffAct, context: Context) -> Effect:
    """`after.result` says whether it was opened anew; `newest_entry` is the last one of the ledger before that."""
    wish = Replay.model_validate(act.parameters)
    opened = reopen(session, _named(wish))
    found = opened.found
    before: dict[str, Any] = {
        "state": found.state,
        "attempts": found.attempts,
        "gave_up_at": found.gave_up_at and instant(found.gave_up_at),
        "reason": found.last_error,
    }
    after = {
        "result": found.result,
        "due_at": opened.due_at and instant(opened.due_at),
        "newest_entry": found.newest_entry,
    }
    return Effect(before, after, opened.hints)


def park(session: Session, act: StaffAct, context: Context) -> Effect:
    return _mark(session, act, Park.model_validate(act.parameters), DeadLetterState.PARKED)


def discard(session: Session, act: StaffAct, context: Context) -> Effect:
    return _mark(session, act, Discard.model_validate(act.parameters), DeadLetterState.DISCARDED)


def _mark(session: Session, act: StaffAct, wish: Park | Discard, state: DeadLetterState) -> Effect:
    before = mark(session, _named(wish), state, act.id)
    return Effect({"state": before}, {"state": state})


def _named(wish: Replay | Park | Discard) -> LetterName:
    """Raises NotFoundError where no row can be called so."""
    name = LetterName.of(wish.kind, wish.subject)
    if name is None:
        raise NotFoundError(f"there is no {wish.target}")
    return name
