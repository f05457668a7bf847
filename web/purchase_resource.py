"""A purchase as its buyer is shown it, and who counts as its buyer."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import structlog
from starlette.requests import Request

from billing.reads.purchases import PurchaseView, TimelineStep
from billing.secrets import UnreadableSecretError
from billing.states import PurchaseState, Step
from web.answers import euros, instant
from web.auth import Identity
from web.door import Door
from web.errors import not_found
from web.plans import plan_details
from web.waiting import Follower

log: structlog.stdlib.BoundLogger = structlog.get_logger("web.purchases")

MESSAGES = {
    PurchaseState.QUEUED: "Your purchase is accepted; its payment is being prepared.",
    PurchaseState.PENDING: "The payment can be made now.",
    PurchaseState.PROCESSING: "The payment is being processed.",
    PurchaseState.COMPLETED: "The payment arrived and the hours are credited.",
    PurchaseState.FAILED: "The payment did not succeed.",
    PurchaseState.CANCELLED: "The purchase was cancelled.",
    PurchaseState.EXPIRED: "The purchase was not paid in time.",
    PurchaseState.REFUNDED: "The purchase was refunded.",
}
OVER = frozenset({PurchaseState.COMPLETED, PurchaseState.CANCELLED, PurchaseState.EXPIRED, PurchaseState.REFUNDED})
"""What was wrong before is no matter any more."""
NOT_CREDITED_YET = "The payment arrived; the hours follow in a moment."
"""Of a subscription: its payment completes the purchase, and the invoice that was paid brings the hours."""


class PurchaseResource:
    def __init__(self, door: Door) -> None:
        self._callers = door.callers
        self._vault = door.vault
        self._publishable_key = door.settings.stripe_publishable_key

    async def of_its_buyer(self, request: Request, follower: Follower) -> PurchaseView:
        """Read for who may follow it; for everybody else there is no such purchase."""
        identity = await self._callers.optional(request)
        purchase = await follower.read()
        if purchase is None or not self._may_follow(request, identity, purchase):
            raise not_found()
        return purchase

    def _may_follow(self, request: Request, identity: Identity | None, purchase: PurchaseView) -> bool:
        """The caller who made it, or whoever holds its access token."""
        if identity and identity.sub == purchase.caller_sub:
            return True
        tokens = (request.headers.get("x-access-token"), request.query_params.get("access_token"))
        return any(token and self._vault.is_access_token(purchase.id, token) for token in tokens)

    def content(self, purchase: PurchaseView) -> dict[str, Any]:
        told = None if purchase.state in OVER else purchase.error_type
        error = {"error_type": told} if told else {}
        return {
            "success": True,
            "task_id": str(purchase.id),
            "status": purchase.state,
            "client_secret": self._client_secret(purchase),
            "payment_intent_id": purchase.payment_intent_id,
            "transaction_id": purchase.transaction_id,
            "publishable_key": self._publishable_key,
            "plan_details": plan_details(purchase.plan),
            "refunded_eur": euros(purchase.refunded_cents),
            **error,
            "message": (told and purchase.error_message) or _message(purchase),
            "timeline": [*_steps(purchase.timeline)],
        }

    def _client_secret(self, purchase: PurchaseView) -> str | None:
        if purchase.sealed_secret is None:
            return None
        try:
            return self._vault.open(purchase.sealed_secret)
        except UnreadableSecretError:  # its key was removed too early: everything else about it can still be told
            log.exception("client_secret_unreadable", purchase_id=str(purchase.id))
            return None


def _steps(timeline: Sequence[TimelineStep]) -> Iterator[dict[str, Any]]:
    """In their order, and none before the one that it follows: Stripe tells whole seconds, by a clock of its own."""
    latest = datetime.min.replace(tzinfo=UTC)
    for step in timeline:
        latest = max(latest, step.at)
        yield {"step": step.step, "at": instant(latest)}


def _message(purchase: PurchaseView) -> str:
    is_credited = any(step.step == Step.CREDITED for step in purchase.timeline)
    if purchase.state is PurchaseState.COMPLETED and not is_credited:
        return NOT_CREDITED_YET
    return MESSAGES[purchase.state]
