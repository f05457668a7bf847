"""Rows of which many wait at once, worked in batches: claim, then all their effects in one transaction.

A row that was tried before is worked alone, so that one that kills its worker takes no other with it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic

import structlog
from sqlmodel import Session

from billing import retry, work
from billing.db import Begin, repeated
from billing.errors import LockTimeoutError, TransientError
from billing.messages import FollowUp, Hints, Message, tell
from billing.work.claims import Row

log = structlog.get_logger(__name__)
TRIED_AT_ONCE = 20
"""Rows worked alone for one hint, so that a heap of them does not keep fresh ones waiting."""


@dataclass(frozen=True, slots=True)
class Batches(Generic[Row]):
    """How rows of one kind are worked; `hint` stands for all of them that wait, `size` of them are worked together.

    Both ways commit by themselves, and give what is to be told then.
    """

    model: type[Row]
    hint: Message
    size: int
    together: Callable[[work.Claim[Row]], Sequence[FollowUp]]
    alone: Callable[[work.Claim[Row]], Sequence[FollowUp]]
    is_shared: bool = True
    """Other workers may join while a batch is worked."""

    def drain(self, begin: Begin, leases: work.Leases, hints: Hints) -> list[Message]:
        """Work one batch of fresh rows, then some tried ones; asks to be called again where more may wait."""
        hints.taken(type(self.hint))
        with begin() as session:
            fresh = work.claim_batch(session, self.model, self.size, leases.terms)
        is_full = fresh is not None and len(fresh.rows) == self.size
        if is_full and self.is_shared:
            hints.send(self.hint)
        if fresh is not None:
            tell(hints, self._work_together(begin, leases, fresh))
        more = self._work_tried(begin, leases, hints)
        return [self.hint] if more or (is_full and not self.is_shared) else []

    def _work_together(self, begin: Begin, leases: work.Leases, claim: work.Claim[Row]) -> Sequence[FollowUp]:
        with leases.held(claim.token):
            try:
                return self.together(claim)
            except LockTimeoutError as error:
                log.warning("batch_waits_for_a_lock", kind=self.model.kind, rows=len(claim.rows), error=str(error))
            except TransientError:
                raise
            except Exception:
                log.exception("batch_broke", kind=self.model.kind, rows=len(claim.rows))
            repeated(begin, lambda session: work.break_up(session, claim))
            return []

    def _work_tried(self, begin: Begin, leases: work.Leases, hints: Hints) -> bool:
        """True where more of them may wait."""
        for _ in range(TRIED_AT_ONCE):
            with begin() as session:
                claim = work.claim_tried(session, self.model, leases.terms)
            if claim is None:
                return False
            told = self._work_alone(begin, leases, claim)
            if told is None:
                return True
            tell(hints, told)
        return True

    def _work_alone(self, begin: Begin, leases: work.Leases, claim: work.Claim[Row]) -> Sequence[FollowUp] | None:
        """None where somebody else holds what it needs: it is handed back, for no worker is lost by waiting."""
        with leases.held(claim.token):
            try:
                return self.alone(claim)
            except LockTimeoutError as error:
                reason = str(error)
                repeated(begin, lambda session: _hand_back(session, claim, reason))
                return None


def _hand_back(session: Session, claim: work.Claim[Row], reason: str) -> None:
    for row in work.resume(session, claim):
        work.put_off(row, retry.after(retry.CROWDED, row.deferrals) or retry.LONGEST, reason)
