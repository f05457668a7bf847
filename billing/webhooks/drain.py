"""Work the events that wait, in batches: claim, then state, ledger and outcome in one transaction.

An event that was tried before is worked alone, so that one that kills its worker takes no other with it.
"""

from datetime import datetime

import structlog

from billing import work
from billing.db import Begin, repeated
from billing.deployment import Deployment
from billing.errors import TransientError
from billing.messages import EventsWaiting, FollowUp, Hints, Message, tell
from billing.models import WebhookEvent
from billing.purchases.news import Context
from billing.webhooks.settle import settle_alone, settle_batch

log = structlog.get_logger(__name__)
TRIED_AT_ONCE = 20
"""Events worked alone for one hint, so that a heap of them does not keep fresh ones waiting."""


def drain(begin: Begin, leases: work.Leases, hints: Hints, *, deployment: Deployment, now: datetime) -> list[Message]:
    """Work one batch of fresh events, then some tried ones; asks to be called again where more of those may wait."""
    context = Context(deployment, now)
    hints.taken(EventsWaiting)
    with begin() as session:
        fresh = work.claim_batch(session, WebhookEvent, work.EVENT_BATCH, leases.terms)
    if fresh is not None:
        if len(fresh.rows) == work.EVENT_BATCH:
            hints.send(EventsWaiting())  # others may join while this batch is worked
        tell(hints, _work_together(begin, leases, fresh, context))
    more = _work_tried(begin, leases, hints, context)
    return [EventsWaiting()] if more else []


def _work_together(
    begin: Begin, leases: work.Leases, claim: work.Claim[WebhookEvent], context: Context
) -> list[FollowUp]:
    with leases.held(claim.token):
        try:
            return repeated(begin, lambda session: settle_batch(session, claim, context))
        except TransientError:
            raise
        except Exception:
            log.exception("event_batch_broke", events=len(claim.rows))
            repeated(begin, lambda session: work.break_up(session, claim))
            return []


def _work_tried(begin: Begin, leases: work.Leases, hints: Hints, context: Context) -> bool:
    """Work events that were tried before, each alone; True where more of them may wait."""
    for _ in range(TRIED_AT_ONCE):
        with begin() as session:
            claim = work.claim_tried(session, WebhookEvent, leases.terms)
        if claim is None:
            return False
        tell(hints, _work_alone(begin, leases, claim, context))
    return True


def _work_alone(begin: Begin, leases: work.Leases, claim: work.Claim[WebhookEvent], context: Context) -> list[FollowUp]:
    with leases.held(claim.token):
        return repeated(begin, lambda session: settle_alone(session, claim, context, leases.terms))
