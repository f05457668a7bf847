"""Decide what the platform asked for: consumptions, ledger and outcomes of many acts in one transaction."""

from collections.abc import Sequence
from datetime import datetime

from billing import work
from billing.batches import Batches
from billing.consumptions.settle import settle_alone, settle_batch
from billing.db import Begin, repeated
from billing.messages import FollowUp, Hints, HoursWaiting, Message
from billing.models import ConsumptionAct


def drain(begin: Begin, leases: work.Leases, hints: Hints, *, now: datetime) -> list[Message]:
    acts = Batches(
        ConsumptionAct,
        HoursWaiting(),
        work.HOURS_BATCH,
        together=lambda claim: _work_together(begin, claim, now),
        alone=lambda claim: _work_alone(begin, claim, leases.terms, now),
    )
    return acts.drain(begin, leases, hints)


def _work_together(begin: Begin, claim: work.Claim[ConsumptionAct], now: datetime) -> Sequence[FollowUp]:
    return repeated(begin, lambda session: settle_batch(session, claim, now=now))


def _work_alone(
    begin: Begin, claim: work.Claim[ConsumptionAct], terms: work.LeaseTerms, now: datetime
) -> Sequence[FollowUp]:
    return repeated(begin, lambda session: settle_alone(session, claim, terms, now=now))
