"""The end of acts' work: their effects, their outcomes and the rows of both, in one transaction."""

from collections.abc import Sequence
from datetime import datetime

import structlog
from sqlalchemy import text
from sqlalchemy.exc import InterfaceError, InternalError, OperationalError
from sqlmodel import Session

from billing import ledger, retry, work
from billing.consumptions import records
from billing.consumptions.decisions import Fault
from billing.consumptions.reckoning import Reckoning, Refusal
from billing.errors import TransientError
from billing.messages import ActDecided, FollowUp
from billing.models import ConsumptionAct
from billing.notifications.warn import note_low_balances

log = structlog.get_logger(__name__)
CLOSE = text("""
    UPDATE consumption_act AS act
    SET state = CASE WHEN over.error_type IS NULL THEN 'done' ELSE 'refused' END, error_type = over.error_type,
        decided_at = :now, due_at = NULL, hint_at = NULL, lease_until = NULL, lease_token = NULL, hints = 0
    FROM unnest(CAST(:ids AS uuid[]), CAST(:errors AS text[])) AS over (id, error_type)
    WHERE act.id = over.id
""")


def settle_batch(session: Session, claim: work.Claim[ConsumptionAct], *, now: datetime) -> list[FollowUp]:
    """All acts of a claim in a few statements, decided in the order in which they were asked for."""
    acts = sorted(work.resume(session, claim), key=lambda act: (act.requested_at, act.id))
    follow_ups = _decide(session, acts, now)
    log.info("consumption_acts_worked", acts=len(acts))
    return follow_ups


def settle_alone(
    session: Session, claim: work.Claim[ConsumptionAct], terms: work.LeaseTerms, *, now: datetime
) -> list[FollowUp]:
    """One act, unless it has cost too many workers."""
    (act,) = work.resume(session, claim)
    if work.is_worn_out(act, terms):
        work.give_up(act, f"lost {terms.lost_claims} times by the workers that had it")
        return []
    with structlog.contextvars.bound_contextvars(request_id=act.request_id):
        follow_ups = _try(session, act, now)
        log.info("consumption_act_worked", act_id=str(act.id))
        return follow_ups


def _try(session: Session, act: ConsumptionAct, now: datetime) -> list[FollowUp]:
    """A broken act undoes its own changes only; a database that is away or wants a repetition ends it all."""
    try:
        with session.begin_nested():
            return _decide(session, [act], now)
    except (TransientError, OperationalError, InterfaceError, InternalError):
        raise
    except Exception as error:
        log.exception("consumption_act_broke", act_id=str(act.id))
        reason = f"{type(error).__name__}: {error}"
        work.put_off_or_give_up(act, retry.after(retry.HANDLER_ERROR, act.deferrals), reason)
        return []


def _decide(session: Session, acts: Sequence[ConsumptionAct], now: datetime) -> list[FollowUp]:
    reckoning = Reckoning.locked(session, {act.group_id for act in acts}, now=now)
    endings = [(act, reckoning.perform(act)) for act in acts]
    ledger.post(session, reckoning.postings)
    records.write(session, reckoning.written(), now=now)
    over = [(act, refusal) for act, refusal in endings if not _waits(act, refusal)]
    _close(session, over, now)
    noted = note_low_balances(session, lowered, now=now) if (lowered := reckoning.lowered()) else ()
    return [*(ActDecided(act_id=act.id) for act, _ in over), *noted]


def _waits(act: ConsumptionAct, refusal: Refusal | None) -> bool:
    """Put an act off that has overtaken the booking it is about, as long as that may still be decided."""
    if refusal is not Fault.UNDECIDED or (wait := retry.after(retry.HANDLER_ERROR, act.deferrals)) is None:
        return False
    work.put_off(act, wait, "its booking is not decided yet")
    return True


def _close(session: Session, over: Sequence[tuple[ConsumptionAct, Refusal | None]], now: datetime) -> None:
    values = {"ids": [act.id for act, _ in over], "errors": [refusal and _word(refusal) for _, refusal in over]}
    session.execute(CLOSE, {**values, "now": now})


def _word(refusal: Refusal) -> str:
    return Fault.INVALID_STATE.value if refusal is Fault.UNDECIDED else refusal.value
