"""Draw the numbers, freeze the facts, print: receipts that wait.

Their numbers come from one counter, so workers go one after the other; who finds another at it hands back.
"""

from datetime import datetime

import structlog

from billing import work
from billing.batches import Batches
from billing.config import Settings
from billing.db import Begin, repeated
from billing.errors import LockTimeoutError, TransientError
from billing.messages import FollowUp, Hints, Message, ReceiptsWaiting
from billing.models import Receipt
from billing.receipts.facts import Issuer
from billing.receipts.issue import hand_back_or_give_up, hand_back_unworked, issue_alone, issue_batch

log = structlog.get_logger(__name__)


def drain(begin: Begin, leases: work.Leases, hints: Hints, *, settings: Settings, now: datetime) -> list[Message]:
    issuer = Issuer.of(settings)
    receipts = Batches(
        Receipt,
        ReceiptsWaiting(),
        work.RECEIPT_BATCH,
        together=lambda claim: _work_together(begin, claim, issuer, now),
        alone=lambda claim: _work_alone(begin, claim, issuer, leases.terms, now),
        is_shared=False,
    )
    return receipts.drain(begin, leases, hints)


def _work_together(begin: Begin, claim: work.Claim[Receipt], issuer: Issuer, now: datetime) -> list[FollowUp]:
    try:
        repeated(begin, lambda session: issue_batch(session, claim, issuer, now=now))
    except LockTimeoutError:
        repeated(begin, lambda session: hand_back_unworked(session, claim))
    return []


def _work_alone(
    begin: Begin, claim: work.Claim[Receipt], issuer: Issuer, terms: work.LeaseTerms, now: datetime
) -> list[FollowUp]:
    """One that cannot be printed keeps no other from its number."""
    try:
        repeated(begin, lambda session: issue_alone(session, claim, issuer, terms, now=now))
    except LockTimeoutError:
        repeated(begin, lambda session: hand_back_unworked(session, claim))
    except TransientError:
        raise
    except Exception as error:
        log.exception("receipt_broke", receipt_id=str(claim.row.id))
        reason = f"{type(error).__name__}: {error}"
        repeated(begin, lambda session: hand_back_or_give_up(session, claim, reason))
    return []
