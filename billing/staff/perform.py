"""Do what staff asked for, and write down what it changed: the effect and the audit row are one transaction."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

import orjson
import structlog
from sqlalchemy import text
from sqlalchemy.exc import InterfaceError, InternalError, OperationalError
from sqlmodel import Session

from billing import retry, work
from billing.db import Begin, repeated
from billing.errors import RefusedError, TransientError
from billing.messages import ActDecided, FollowUp, PerformStaffAct
from billing.models import StaffAct
from billing.refunds.quote import Policy
from billing.staff.closings import close_case, close_finding
from billing.staff.deadletters import discard, park, replay
from billing.staff.effects import Context, Effect
from billing.staff.extend import bulk_extend, extend
from billing.staff.grants import correct, grant
from billing.staff.invoices import name_invoice
from billing.staff.plans import create_plan, edit_plan, set_plans
from billing.staff.refunds import refund
from billing.staff.sweeps import process_expired, take_back_sweep
from billing.states import ActState, StaffAction

log = structlog.get_logger(__name__)

Action = Callable[[Session, StaffAct, Context], Effect]

ACTIONS: Mapping[StaffAction, Action] = {
    StaffAction.EXTEND: extend,
    StaffAction.BULK_EXTEND: bulk_extend,
    StaffAction.GRANT: grant,
    StaffAction.CORRECT: correct,
    StaffAction.PROCESS_EXPIRED: process_expired,
    StaffAction.UNDO_SWEEP: take_back_sweep,
    StaffAction.REFUND: refund,
    StaffAction.SET_INVOICE: name_invoice,
    StaffAction.REPLAY: replay,
    StaffAction.PARK: park,
    StaffAction.DISCARD: discard,
    StaffAction.CLOSE_FINDING: close_finding,
    StaffAction.CLOSE_CASE: close_case,
    StaffAction.CREATE_PLAN: create_plan,
    StaffAction.EDIT_PLAN: edit_plan,
    StaffAction.SET_PLANS: set_plans,
}

MESSAGE_LENGTH = 500

DECIDE = text("""
    UPDATE staff_act
    SET state = :state, error_type = :error_type, error_message = :error_message, before = CAST(:before AS jsonb),
        after = CAST(:after AS jsonb), decided_at = :now, due_at = NULL, hint_at = NULL, lease_until = NULL,
        lease_token = NULL, hints = 0
    WHERE id = :id
""")


def perform_act(
    begin: Begin, leases: work.Leases, message: PerformStaffAct, *, zone: ZoneInfo, refunds: Policy, now: datetime
) -> Sequence[FollowUp]:
    """Work one act; for one that is decided, or in other hands, it does nothing."""
    with begin() as session:
        claim = work.claim_unless_worn_out(session, StaffAct, message.act_id, leases.terms)
    if claim is None:
        return []
    taken = claim
    with leases.held(taken.token):
        return repeated(begin, lambda session: _perform(session, taken, Context(zone, now, refunds)))


def _perform(session: Session, claim: work.Claim[StaffAct], context: Context) -> Sequence[FollowUp]:
    (act,) = work.resume(session, claim)
    with structlog.contextvars.bound_contextvars(request_id=act.request_id):
        return _try(session, act, context)


def _try(session: Session, act: StaffAct, context: Context) -> Sequence[FollowUp]:
    """A broken act undoes its own changes only; a database that is away or wants a repetition ends it all."""
    try:
        with session.begin_nested():
            effect = ACTIONS[act.action](session, act, context)
    except RefusedError as error:
        return _refuse(session, act, error, context.now)
    except (TransientError, OperationalError, InterfaceError, InternalError):
        raise
    except Exception as error:
        log.exception("staff_act_broke", act_id=str(act.id))
        reason = f"{type(error).__name__}: {error}"
        work.put_off_or_give_up(act, retry.after(retry.HANDLER_ERROR, act.deferrals), reason)
        return []
    _decide(session, act, ActState.DONE, context.now, before=_json(effect.before), after=_json(effect.after))
    return [ActDecided(act_id=act.id), *effect.follow_ups]


def _refuse(session: Session, act: StaffAct, error: RefusedError, now: datetime) -> Sequence[FollowUp]:
    message = str(error)[:MESSAGE_LENGTH]
    _decide(session, act, ActState.REFUSED, now, error_type=error.error_type, error_message=message)
    return [ActDecided(act_id=act.id)]


def _decide(session: Session, act: StaffAct, state: ActState, now: datetime, **facts: str | None) -> None:
    nothing = {"error_type": None, "error_message": None, "before": None, "after": None}
    session.execute(DECIDE, {**nothing, **facts, "state": state.value, "now": now, "id": act.id})


def _json(facts: Mapping[str, object] | None) -> str | None:
    return None if facts is None else orjson.dumps(facts).decode()
