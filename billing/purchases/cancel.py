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

from billing import retry, work
from billing.errors import PermanentError
from billing.gateway import GatewayError, Intent, InvalidRequestError
from billing.ids import stripe_key
from billing.messages import Message
from billing.models import Purchase
from billing.purchases import completion, lifecycle
from billing.purchases.answers import Record
from billing.purchases.desk import Desk
from billing.states import PurchaseState

log = structlog.get_logger(__name__)

CANCEL_INTENT = "payment_intent.cancel"
CAUSE = "cancel"

# A purchase that failed without an intent has nothing left to cancel; a settled one neither.
REQUEST = text("""
    WITH found AS (SELECT id, state, payment_intent_id FROM purchase WHERE id = :id FOR UPDATE),
    wished AS (
        UPDATE purchase SET cancel_requested_at = coalesce(cancel_requested_at, :now),
            due_at = least(purchase.due_at, clock_timestamp()),
            hint_at = least(purchase.hint_at, clock_timestamp() + interval '2 seconds')
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
        purchase = self.claim.row
        intent_id = purchase.payment_intent_id or ""
        try:
            intent = self.desk.gateway.cancel_intent(intent_id, self._key)
        except InvalidRequestError:
            intent = self.desk.gateway.retrieve_intent(intent_id)
        return self._answered(intent)

    @property
    def _key(self) -> str:
        """One for each wish: Stripe repeats what it answered to a key, and a refusal must not outlive its wish."""
        purchase = self.claim.row
        wished_at = purchase.cancel_requested_at or purchase.accepted_at
        wish = int(wished_at.timestamp() * 1000)
        return stripe_key(self.desk.deployment.installation, CANCEL_INTENT, purchase.id, wish)

    def trouble(self, error: GatewayError) -> Record:
        """Again later; where Stripe will never do it, the purchase stays as it is."""

        def record(session: Session) -> list[Message]:
            (purchase,) = work.resume(session, self.claim)
            log.warning("cancel_put_off", purchase_id=str(purchase.id), error=str(error))
            if isinstance(error, PermanentError):
                self._drop_wish(purchase, str(error))
            else:
                wait = retry.after(retry.STRIPE, purchase.deferrals) or retry.LONGEST
                work.put_off(purchase, wait, f"{error.error_type}: {error.message}")
            return []

        return record

    def _answered(self, intent: Intent) -> Record:
        def record(session: Session) -> list[Message]:
            (purchase,) = work.resume(session, self.claim)
            if intent.status == "canceled" and lifecycle.can_move(purchase.state, lifecycle.end_of(purchase)[0]):
                cancel_now(session, purchase, at=self.desk.now)
            else:
                self._drop_wish(purchase, f"it is {intent.status} at Stripe")
            completion.complete_found(session, purchase, intent, self.desk.deployment, now=self.desk.now)
            log.info("cancel_answered", purchase_id=str(purchase.id), intent_status=intent.status)
            return []

        return record

    @staticmethod
    def _drop_wish(purchase: Purchase, reason: str) -> None:
        purchase.cancel_requested_at = purchase.abandoned_at = None
        purchase.last_error = reason
        work.close(purchase)
