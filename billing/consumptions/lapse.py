"""Give back the hours of holds that nobody captured or released in time."""

from collections.abc import Sequence
from datetime import datetime

import structlog
from sqlmodel import Session

from billing import ledger
from billing.consumptions import decisions, records
from billing.db import Begin, repeated
from billing.messages import FollowUp

log = structlog.get_logger(__name__)
CHUNK = 500
"""Holds of one transaction."""


def lapse_holds(begin: Begin, *, now: datetime) -> Sequence[FollowUp]:
    """Chunk by chunk, each whole or not at all. Holds that somebody else is at are left to him, or to the next time."""
    while count := repeated(begin, lambda session: _lapse_some(session, now)):
        log.info("holds_lapsed", holds=count)
    return []


def _lapse_some(session: Session, now: datetime) -> int:
    held = records.lock_lapsed(session, CHUNK, now=now)
    if held:
        records.lock_accounts(session, held)
        plans = [decisions.lapse(record, now) for record in held]
        ledger.post(session, [posting for plan in plans for posting in plan.postings])
        records.write(session, [plan.after for plan in plans], now=now)
    return len(held)
