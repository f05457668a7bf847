"""Cancelling an unpaid purchase: wished at the door, done by the worker that holds it.

`cancelled` is entered only when Stripe has said so or was never asked for anything. Where Stripe says that it was paid
meanwhile, the purchase completes and is credited; where it cannot be cancelled any more, the wish is dropped.
"""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import structlog
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import Session

from billing import troubles, work
from billing.errors import PermanentError
from billing.gateway import GatewayError, Intent, InvalidRequestError
from billing.ids import stripe_key
from billing.messages import FollowUp
from billing.models import Purchase
from billing.purchases import completion, lifecycle
from billing.purchases.answers import Record
from billing.purchases.desk import Desk
from billing.recurring import SubscriptionThere
from billing.states import ENDED_SUBSCRIPTIONS, PurchaseState, SubscriptionStatus
from billing.subscriptions.found import apply_change

log = structlog.get_logger(__name__)

CANCEL_INTENT = "payment_intent.cancel"
CANCEL_SUBSCRIPTION = "subscription.cancel"
CAUSE = "cancel"

# A purchase that failed without an intent has nothing left to cancel; a settled one neither.
REQUEST = text("""
    WITH found AS (SELECT id, state, payment_intent_id FROM purchase WHERE id = :id FOR UPDATE),
    wished AS (
        UPDATE purchase SET cancel_requested_at = coalesce(cancel_requested_at, :now),
            due_at = least(purchase.due_at, clock_timestamp()),
            hint_at = least(purchase.hint_at, clock_timestamp() + interval '2 seconds'),
            attempts = CASE WHEN purchase.due_at IS NULL THEN 0 ELSE purchase.attempts END,
            deferrals = CASE WHEN purchase.due_at IS NULL THEN 0 ELSE purchase.deferrals END,
            gave_up_at = NULL
        FROM found
        WHERE purchase.id = found.id AND (
            found.state IN ('queued', 'pending', 'processing')
            OR (found.state = 'failed' AND found.payment_intent_id IS NOT NULL)
        )
    )
    SELECT state FROM found
""")


async def request_cancel(connection: AsyncConnection, purchase_id: UUID, *, now: datetime) -> PurchaseState | None:
    """Note the wish, and say in which state it found the purchase; None where there is none of that id."""
    found = (await connection.execute(REQUEST, {"id": purchase_id, "now": now})).scalar_one_or_none()
    return None if found is None else PurchaseState(found)


def cancel_now(session: Session, purchase: Purchase, *, at: datetime) -> None:
    """Nothing is at Stripe that could be paid: it says so itself, or was never asked for anything."""
    target, step = lifecycle.end_of(purchase)
    lifecycle.move_to(purchase, target)
    lifecycle.note_step(session, purchase, step, cause=CAUSE, at=at)
    work.close(purchase)


@dataclass(frozen=True, slots=True)
class Cancellation:
    """A claimed purchase with an intent, which its buyer does not want any more."""

    desk: Desk
    claim: work.Claim[Purchase]

    def pursue(self) -> Record:
        intent_id = self.claim.row.payment_intent_id or ""
        if self.claim.row.deferrals:  # it may be done: Stripe repeats what it answered to the key, a 500 too
            intent = self.desk.gateway.retrieve_intent(intent_id)
            if intent.status == "canceled":
                return self._answered(intent)
        try:
            intent = self.desk.gateway.cancel_intent(intent_id, self.key(CANCEL_INTENT))
        except InvalidRequestError:
            intent = self.desk.gateway.retrieve_intent(intent_id)
        return self._answered(intent)

    def key(self, operation: str) -> str:
        """One for each wish: Stripe repeats what it answered to a key, and a refusal must not outlive its wish."""
        purchase = self.claim.row
        wished_at = purchase.cancel_requested_at or purchase.accepted_at
        wish = int(wished_at.timestamp() * 1000)
        return stripe_key(self.desk.deployment.installation, operation, purchase.id, wish)

    def trouble(self, error: GatewayError) -> Record:
        """Again later; where Stripe will never do it, the purchase stays as it is."""

        def record(session: Session) -> list[FollowUp]:
            (purchase,) = work.resume(session, self.claim)
            log.warning("cancel_put_off", purchase_id=str(purchase.id), error=str(error))
            if isinstance(error, PermanentError):
                self.drop_wish(purchase, str(error))
            else:
                troubles.put_off(purchase, error, error.wait_after(purchase.deferrals))
            return []

        return record

    def _answered(self, intent: Intent) -> Record:
        def record(session: Session) -> list[FollowUp]:
            (purchase,) = work.resume(session, self.claim)
            if intent.status == "canceled" and lifecycle.can_move(purchase.state, lifecycle.end_of(purchase)[0]):
                cancel_now(session, purchase, at=self.desk.now)
            else:
                self.drop_wish(purchase, f"it is {intent.status} at Stripe")
            completion.complete_found(session, purchase, intent, self.desk.deployment, now=self.desk.now)
            log.info("cancel_answered", purchase_id=str(purchase.id), intent_status=intent.status)
            return []

        return record

    @staticmethod
    def drop_wish(purchase: Purchase, reason: str) -> None:
        purchase.cancel_requested_at = purchase.abandoned_at = None
        purchase.last_error = reason
        work.close(purchase)


@dataclass(frozen=True, slots=True)
class SubscriptionCancellation(Cancellation):
    """Its first invoice is not paid: the subscription is ended with it. One that began is nobody's to end here."""

    stripe_subscription_id: str

    def pursue(self) -> Record:
        there = self.desk.gateway.retrieve_subscription(self.stripe_subscription_id)
        if there.status == SubscriptionStatus.INCOMPLETE:
            try:
                there = self.desk.gateway.cancel_subscription(there.id, self.key(CANCEL_SUBSCRIPTION))
            except InvalidRequestError:
                there = self.desk.gateway.retrieve_subscription(there.id)
        return self._ended(there)

    def _ended(self, there: SubscriptionThere) -> Record:
        def record(session: Session) -> list[FollowUp]:
            apply_change(session, there, request_id=self.claim.row.request_id, at=self.desk.now)
            (purchase,) = work.resume(session, self.claim)
            if there.status in ENDED_SUBSCRIPTIONS and lifecycle.can_move(
                purchase.state, lifecycle.end_of(purchase)[0]
            ):
                cancel_now(session, purchase, at=self.desk.now)
            else:
                self.drop_wish(purchase, f"its subscription is {there.status} at Stripe")
            log.info("cancel_answered", purchase_id=str(purchase.id), subscription_status=there.status)
            return []

        return record
