"""Asking about a payment of which nothing was heard: after five minutes, an hour, and then each day, for five days.

News that is lost is found out this way, whatever became of Stripe's events.
"""

from dataclasses import dataclass

import structlog
from sqlmodel import Session

from billing import retry, work
from billing.errors import PermanentError
from billing.gateway import GatewayError, Intent
from billing.messages import FollowUp
from billing.models import Purchase
from billing.purchases import changes, completion, lifecycle
from billing.purchases.answers import Record
from billing.purchases.asks import ask_later
from billing.purchases.desk import Desk
from billing.states import PurchaseState, Step

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Asking:
    """A claimed purchase whose intent somebody may have paid."""

    desk: Desk
    claim: work.Claim[Purchase]

    def pursue(self) -> Record:
        return self._heard(self.desk.gateway.retrieve_intent(self.claim.row.payment_intent_id or ""))

    def trouble(self, error: GatewayError) -> Record:
        def record(session: Session) -> list[FollowUp]:
            (purchase,) = work.resume(session, self.claim)
            reason = f"{error.error_type}: {error.message}"
            log.warning("asking_about_payment_put_off", purchase_id=str(purchase.id), error=str(error))
            if isinstance(error, PermanentError):
                work.give_up(purchase, reason)
            else:
                work.put_off(purchase, retry.after(retry.STRIPE, purchase.deferrals) or retry.LONGEST, reason)
            return []

        return record

    def _heard(self, intent: Intent) -> Record:
        def record(session: Session) -> list[FollowUp]:
            (purchase,) = work.resume(session, self.claim)
            purchase.asks += 1
            ask_later(purchase)
            self._apply(session, purchase, intent)
            log.info("payment_asked_about", purchase_id=str(purchase.id), intent_status=intent.status)
            return changes.noted(session)

        return record

    def _apply(self, session: Session, purchase: Purchase, intent: Intent) -> None:
        if intent.status == "succeeded":
            completion.complete_found(session, purchase, intent, self.desk.deployment, now=self.desk.now)
        elif intent.status == "canceled":
            self._move(session, purchase, intent, *lifecycle.end_of(purchase))
        elif intent.status == "processing":
            self._move(session, purchase, intent, PurchaseState.PROCESSING, Step.PAYMENT_PROCESSING)
        elif intent.error_type and lifecycle.can_move(purchase.state, PurchaseState.FAILED):
            lifecycle.fail_payment(session, purchase, intent, at=self.desk.now)

    def _move(self, session: Session, purchase: Purchase, intent: Intent, target: PurchaseState, step: Step) -> None:
        if lifecycle.can_move(purchase.state, target):
            lifecycle.move_to(purchase, target)
            lifecycle.note_step(session, purchase, step, cause=intent.id, at=self.desk.now)
            ask_later(purchase)
