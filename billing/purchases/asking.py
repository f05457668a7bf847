"""Asking about a payment of which nothing was heard: news that is lost is found out this way."""

from collections.abc import Sequence
from dataclasses import dataclass

import structlog
from sqlmodel import Session
from structlog.contextvars import bound_contextvars

from billing import troubles, work
from billing.db import repeated
from billing.gateway import GatewayError, Intent
from billing.messages import AskAboutPayment, FollowUp
from billing.models import PaymentWatch, Purchase
from billing.purchases import changes, completion, lifecycle
from billing.purchases.desk import Desk
from billing.purchases.locks import lock_purchase
from billing.purchases.watches import watch_on
from billing.states import PAYABLE, PurchaseState, Step

log = structlog.get_logger(__name__)


def ask_about_payment(desk: Desk, message: AskAboutPayment) -> Sequence[FollowUp]:
    """For a payment that is settled, or is being cancelled, it asks nothing."""
    asking = repeated(desk.begin, lambda session: _take(session, desk, message))
    if asking is None:
        return []
    with bound_contextvars(request_id=asking.claim.row.request_id), desk.leases.held(asking.claim.token):
        try:
            intent = desk.gateway.retrieve_intent(asking.intent_id)
        except GatewayError as error:
            trouble = error
            return repeated(desk.begin, lambda session: asking.put_off(session, trouble))
        return repeated(desk.begin, lambda session: asking.heard(session, intent))


@dataclass(frozen=True, slots=True)
class Asking:
    desk: Desk
    claim: work.Claim[PaymentWatch]
    intent_id: str

    def put_off(self, session: Session, error: GatewayError) -> list[FollowUp]:
        """Again later; what Stripe will never answer is left to people."""
        (row,) = work.resume(session, self.claim)
        log.warning("asking_about_payment_put_off", purchase_id=str(row.id), error=str(error))
        troubles.put_off(row, error, error.wait_unless_final(row.deferrals))
        return []

    def heard(self, session: Session, intent: Intent) -> list[FollowUp]:
        purchase = lock_purchase(session, self.claim.row.id)  # first, as whoever completes it and ends its watch
        (row,) = work.resume(session, self.claim)
        watch_on(row)
        self._apply(session, purchase, intent)
        log.info("payment_asked_about", purchase_id=str(purchase.id), intent_status=intent.status)
        return changes.noted(session)

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


def _take(session: Session, desk: Desk, message: AskAboutPayment) -> Asking | None:
    claim = work.claim_unless_worn_out(session, PaymentWatch, message.purchase_id, desk.leases.terms)
    if claim is None:
        return None
    purchase = session.get_one(Purchase, message.purchase_id)
    if purchase.state in PAYABLE and purchase.payment_intent_id is not None:
        return Asking(desk, claim, purchase.payment_intent_id)
    work.close(claim.row)
    return None
