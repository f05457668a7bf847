"""Work the events that wait: state, ledger and outcome of many in one transaction."""

from collections.abc import Sequence
from datetime import datetime

from billing import work
from billing.batches import Batches
from billing.db import Begin, repeated
from billing.deployment import Deployment
from billing.messages import EventsWaiting, FollowUp, Hints, Message
from billing.models import WebhookEvent
from billing.purchases.news import Context
from billing.webhooks.settle import settle_alone, settle_batch


def drain(begin: Begin, leases: work.Leases, hints: Hints, *, deployment: Deployment, now: datetime) -> list[Message]:
    context, terms = Context(deployment, now), leases.terms
    events = Batches(
        WebhookEvent,
        EventsWaiting(),
        work.EVENT_BATCH,
        together=lambda claim: _work_together(begin, claim, context),
        alone=lambda claim: _work_alone(begin, claim, context, terms),
    )
    return events.drain(begin, leases, hints)


def _work_together(begin: Begin, claim: work.Claim[WebhookEvent], context: Context) -> Sequence[FollowUp]:
    return repeated(begin, lambda session: settle_batch(session, claim, context))


def _work_alone(
    begin: Begin, claim: work.Claim[WebhookEvent], context: Context, terms: work.LeaseTerms
) -> Sequence[FollowUp]:
    return repeated(begin, lambda session: settle_alone(session, claim, context, terms))
