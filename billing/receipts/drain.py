"""Draw the numbers, freeze the facts, print: receipts that wait, in batches.

A batch that broke is handed back; what was tried before is worked alone, so that one that cannot be printed keeps no
other from its number.
"""

from collections.abc import Sequence
from datetime import datetime

import structlog

from billing import work
from billing.config import Settings
from billing.db import Begin, repeated
from billing.errors import LockTimeoutError, TransientError
from billing.messages import FollowUp, Hints, ReceiptsWaiting
from billing.models import Receipt
from billing.receipts.facts import Issuer
from billing.receipts.issue import hand_back_or_give_up, hand_back_unworked, issue_alone, issue_batch

log = structlog.get_logger(__name__)
TRIED_AT_ONCE = 20
"""Receipts worked alone for one hint, so that a heap of them does not keep fresh ones waiting."""


def drain(begin: Begin, leases: work.Leases, hints: Hints, *, settings: Settings, now: datetime) -> Sequence[FollowUp]:
    """Work one batch of fresh receipts, then some tried ones; asks to be called again where more may wait."""
    issuer = Issuer.of(settings)
    hints.taken(ReceiptsWaiting)
    with begin() as session:
        fresh = work.claim_batch(session, Receipt, work.RECEIPT_BATCH, leases.terms)
    if fresh is not None:
        _work_together(begin, leases, fresh, issuer, now)
    more = _work_tried(begin, leases, issuer, now)
    return [ReceiptsWaiting()] if more or (fresh is not None and len(fresh.rows) == work.RECEIPT_BATCH) else []


def _work_together(
    begin: Begin, leases: work.Leases, claim: work.Claim[Receipt], issuer: Issuer, now: datetime
) -> None:
    with leases.held(claim.token):
        try:
            repeated(begin, lambda session: issue_batch(session, claim, issuer, now=now))
        except LockTimeoutError:
            repeated(begin, lambda session: hand_back_unworked(session, claim))
        except TransientError:
            raise
        except Exception:
            log.exception("receipt_batch_broke", receipts=len(claim.rows))
            repeated(begin, lambda session: work.break_up(session, claim))


def _work_tried(begin: Begin, leases: work.Leases, issuer: Issuer, now: datetime) -> bool:
    """Work receipts that were tried before, each alone; True where more of them may wait."""
    for _ in range(TRIED_AT_ONCE):
        with begin() as session:
            claim = work.claim_tried(session, Receipt, leases.terms)
        if claim is None:
            return False
        _work_alone(begin, leases, claim, issuer, now)
    return True


def _work_alone(begin: Begin, leases: work.Leases, claim: work.Claim[Receipt], issuer: Issuer, now: datetime) -> None:
    with leases.held(claim.token):
        try:
            repeated(begin, lambda session: issue_alone(session, claim, issuer, leases.terms, now=now))
        except LockTimeoutError:
            repeated(begin, lambda session: hand_back_unworked(session, claim))
        except TransientError:
            raise
        except Exception as error:
            log.exception("receipt_broke", receipt_id=str(claim.row.id))
            reason = f"{type(error).__name__}: {error}"
            repeated(begin, lambda session: hand_back_or_give_up(session, claim, reason))
