"""What Stripe answered, recorded under the claim's token; each answer is one transaction."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import structlog
from sqlmodel import Session

from billing import cases, retry, troubles, work
from billing.deployment import Deployment
from billing.errors import LeaseLostError, PermanentError, RefusedError
from billing.gateway import GatewayError, Intent, KeyReusedError, NotAskedError, StripeRefusedUsError
from billing.messages import FollowUp, PreparePayment
from billing.models import Purchase, StripeCall
from billing.purchases import calls, completion, lifecycle
from billing.purchases.watches import watch
from billing.recurring import Begun
from billing.secrets import Vault
from billing.stale.marks import mark
from billing.states import CallState, PurchaseState, StaleKind, Step
from billing.subscriptions.found import hand_to, keep_begun

Record = Callable[[Session], list[FollowUp]]
"""Writes an answer down in the transaction it is given, and says what should happen next beside what it notes."""

log = structlog.get_logger(__name__)
CAUSE = "payment"
GIVEN_UP = ("api_connection_error", "The payment service could not be reached in time; nothing was charged.")
WORN_OUT = ("api_error", "The payment could not be prepared; nothing was charged.")


@dataclass(frozen=True, slots=True)
class Answers:
    """The ways in which a pursuit of a claimed purchase can end."""

    claim: work.Claim[Purchase]
    call_id: UUID | None
    vault: Vault
    deployment: Deployment
    now: datetime

    def kept(self, intent: Intent) -> Record:
        """The intent is there: its id and secret are ours, and the buyer can pay."""

        def record(session: Session) -> list[FollowUp]:
            purchase, call = self._resume(session)
            calls.close_call(call, CallState.ANSWERED, at=self.now, object_id=intent.id)
            self._payable(session, purchase, intent.id, intent.client_secret)
            if intent.error_type and purchase.state is PurchaseState.PENDING:
                lifecycle.fail_payment(session, purchase, intent, at=self.now)
            log.info("payment_intent_kept", purchase_id=str(purchase.id), intent_id=intent.id)
            messages = self._go_on(purchase)
            completion.complete_found(session, purchase, intent, self.deployment, now=self.now)
            return messages

        return record

    def begun(self, begun: Begun) -> Record:
        """The subscription is there, and its first invoice can be paid. What became of it since is asked for."""

        def record(session: Session) -> list[FollowUp]:
            there, invoice = begun.subscription, begun.invoice
            subscription_id = keep_begun(session, self.claim.row.student_id or 0, there)
            purchase, call = self._resume(session)
            calls.close_call(call, CallState.ANSWERED, at=self.now, object_id=there.id)
            purchase.subscription_id = subscription_id
            hand_to(session, subscription_id, purchase.student_id or 0)  # who may be another by now
            self._payable(session, purchase, invoice.payment_intent_id or "", invoice.client_secret or "")
            request_id = purchase.request_id
            mark(session, StaleKind.SUBSCRIPTION, there.id, purchase_id=purchase.id, request_id=request_id, at=self.now)
            log.info("subscription_kept", purchase_id=str(purchase.id), subscription_id=there.id)
            return self._go_on(purchase)

        return record

    def not_there(self) -> Record:
        """Looked for and not found: sent again, under a new key where the old one may be forgotten by now."""

        def record(session: Session) -> list[FollowUp]:
            purchase, call = self._resume(session)
            if calls.is_too_old(call, self.now):
                calls.close_call(call, CallState.LAPSED, at=self.now)
            work.put_off(purchase, timedelta(), "not found at Stripe")
            return [PreparePayment(purchase_id=purchase.id)]

        return record

    def ended(self, object_id: str | None) -> Record:
        """Its time was up, and Stripe says that nothing can be paid any more."""

        def record(session: Session) -> list[FollowUp]:
            purchase, call = self._resume(session)
            state = CallState.ANSWERED if object_id else CallState.LAPSED
            calls.close_call(call, state, at=self.now, object_id=object_id)
            self._fail(session, purchase, *GIVEN_UP)
            work.close(purchase)
            log.warning("purchase_given_up", purchase_id=str(purchase.id), object_id=object_id)
            return []

        return record

    def trouble(self, error: GatewayError, *, is_look: bool = False, is_over: bool) -> Record:
        if isinstance(error, PermanentError):
            return self._refused(error)
        return self._put_off(error, is_look=is_look, is_over=is_over)

    @staticmethod
    def wear_out(session: Session, purchase: Purchase, *, at: datetime) -> None:
        """So many workers were lost over it that it is left to people."""
        if purchase.state is PurchaseState.QUEUED:
            lifecycle.fail(session, purchase, *WORN_OUT, cause=CAUSE, at=at)
        work.give_up(purchase, purchase.last_error or "lost by every worker that had it")

    @staticmethod
    def refuse(session: Session, purchase: Purchase, refusal: RefusedError, *, at: datetime) -> None:
        """Our own rules forbid it, so Stripe is not asked."""
        if purchase.state is PurchaseState.QUEUED:
            lifecycle.fail(session, purchase, refusal.error_type, str(refusal), cause=CAUSE, at=at)
        work.close(purchase)

    def _refused(self, error: GatewayError) -> Record:
        """Stripe will never do this: the buyer is told, and where it is our own fault a person is too."""

        def record(session: Session) -> list[FollowUp]:
            purchase, call = self._resume_known(session)
            key = call.idempotency_key if call else str(purchase.id)
            if call is not None:
                calls.close_call(call, CallState.REFUSED, at=self.now)
                call.error_type = error.error_type
            if isinstance(error, KeyReusedError):
                cases.open_case(session, "key_reused", key, purchase_id=purchase.id, detail=str(error), at=self.now)
            self._fail(session, purchase, error.error_type, error.message)
            work.close(purchase)
            log.warning("purchase_refused", purchase_id=str(purchase.id), error_type=error.error_type, code=error.code)
            return []

        return record

    def _put_off(self, error: GatewayError, *, is_look: bool, is_over: bool) -> Record:
        """Again later, and the buyer sees why; being refused ourselves does not use up the buyer's time."""

        def record(session: Session) -> list[FollowUp]:
            purchase, call = self._resume_known(session)
            wait = error.wait_after(purchase.deferrals)
            if call is not None:
                call.error_type = error.error_type
            if isinstance(error, NotAskedError | StripeRefusedUsError):
                purchase.give_up_at += wait
            if call is not None and isinstance(error, NotAskedError) and not is_over:
                calls.uncount(call, is_look=is_look)
            if is_over:
                self._fail(session, purchase, *GIVEN_UP)
            else:
                wait = max(retry.AT_ONCE, min(wait, purchase.give_up_at - self.now))
                purchase.error_type, purchase.error_message = error.error_type, error.message
            troubles.put_off(purchase, error, wait)
            log.warning("payment_put_off", purchase_id=str(purchase.id), error=str(error), seconds=wait.total_seconds())
            return []

        return record

    def _fail(self, session: Session, purchase: Purchase, error_type: str, message: str) -> None:
        if purchase.state is PurchaseState.QUEUED:
            lifecycle.fail(session, purchase, error_type, message, cause=CAUSE, at=self.now)

    @staticmethod
    def _go_on(purchase: Purchase) -> list[FollowUp]:
        """The intent is known now, so a wish to cancel that came meanwhile can be followed."""
        if purchase.cancel_requested_at is None:
            work.close(purchase)
            return []
        work.put_off(purchase, timedelta(), "to be cancelled")
        return [PreparePayment(purchase_id=purchase.id)]

    def _payable(self, session: Session, purchase: Purchase, intent_id: str, client_secret: str) -> None:
        purchase.payment_intent_id = intent_id
        watch(session, purchase, at=self.now)
        if purchase.state is PurchaseState.QUEUED:
            purchase.client_secret = self.vault.seal(client_secret)
            purchase.error_type = purchase.error_message = None
            lifecycle.move_to(purchase, PurchaseState.PENDING)
            lifecycle.note_step(session, purchase, Step.INTENT_CREATED, cause=CAUSE, at=self.now)

    def _resume(self, session: Session) -> tuple[Purchase, StripeCall]:
        purchase, call = self._resume_known(session)
        if call is None:
            raise LeaseLostError("the call that was written down is gone")
        return purchase, call

    def _resume_known(self, session: Session) -> tuple[Purchase, StripeCall | None]:
        """A subscription's call is not written down before its customer and its price have names."""
        (purchase,) = work.resume(session, self.claim)
        return purchase, None if self.call_id is None else session.get(StripeCall, self.call_id)
