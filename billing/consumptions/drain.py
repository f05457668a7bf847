"""Decide what the platform asked for, in batches: claim, then consumptions, ledger and outcomes in one transaction.

An act that was tried before is worked alone, so that one that kills its worker takes no other with it.
"""

from datetime import datetime

import structlog

from billing import work
from billing.consumptions.settle import settle_alone, settle_batch
from billing.db import Begin, repeated
from billing.errors import TransientError
from billing.messages import FollowUp, Hints, HoursWaiting, Message, tell
from billing.models import ConsumptionAct

log = structlog.get_logger(__name__)
TRIED_AT_ONCE = 20
"""Acts worked alone for one hint, so that a heap of them does not keep fresh ones waiting."""


def drain(begin: Begin, leases: work.Leases, hints: Hints, *, now: datetime) -> list[Message]:
    """Work one batch of fresh acts, then some tried ones; asks to be called again where more of those may wait."""
    hints.taken(HoursWaiting)
    with begin() as session:
        fresh = work.claim_batch(session, ConsumptionAct, work.HOURS_BATCH, leases.terms)
    if fresh is not None:
        if len(fresh.rows) == work.HOURS_BATCH:
            hints.send(HoursWaiting())  # others may join while this batch is worked
        tell(hints, _work_together(begin, leases, fresh, now))
    more = _work_tried(begin, leases, hints, now)
    return [HoursWaiting()] if more else []


def _work_together(
    begin: Begin, leases: work.Leases, claim: work.Claim[ConsumptionAct], now: datetime
) -> list[FollowUp]:
    with leases.held(claim.token):
        try:
            return repeated(begin, lambda session: settle_batch(session, claim, now=now))
        except TransientError:
            raise
        except Exception:
            log.exception("consumption_batch_broke", acts=len(claim.rows))
            repeated(begin, lambda session: work.break_up(session, claim))
            return []


def _work_tried(begin: Begin, leases: work.Leases, hints: Hints, now: datetime) -> bool:
    """Work acts that were tried before, each alone; True where more of them may wait."""
    for _ in range(TRIED_AT_ONCE):
        with begin() as session:
            claim = work.claim_tried(session, ConsumptionAct, leases.terms)
        if claim is None:
            return False
        tell(hints, _work_alone(begin, leases, claim, now))
    return True


def _work_alone(begin: Begin, leases: work.Leases, claim: work.Claim[ConsumptionAct], now: datetime) -> list[FollowUp]:
    with leases.held(claim.token):
        return repeated(begin, lambda session: settle_alone(session, claim, leases.terms, now=now))
