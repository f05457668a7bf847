"""Buying: a wish becomes a committed row and a 202; its status is read from the row."""

from typing import Any
from uuid import UUID

import structlog
from starlette.requests import Request
from starlette.responses import Response

from billing.clock import utc_now
from billing.ids import new_id
from billing.purchases.accept import AcceptedPurchase, PurchaseRequest
from billing.reads.purchases import PurchaseView, find_purchase
from billing.secrets import UnreadableSecretError
from billing.states import PurchaseState
from web.answers import Json, euros, instant, with_etag
from web.auth import Identity
from web.bodies import read_json
from web.door import Door
from web.errors import not_found
from web.idempotency import digest, idempotency_key, scope_of
from web.paths import purchase_events_path, purchase_path
from web.plans import plan_details
from web.schemas import PurchaseBody

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


class PurchaseRoutes:
    def __init__(self, door: Door) -> None:
        self._door = door

    async def initiate(self, request: Request) -> Response:
        identity = await self._door.callers.optional(request)
        key = idempotency_key(request)
        body = PurchaseBody.of(await read_json(request))
        wish = _wish(body, key, identity, request.scope["request_id"])
        return self._accepted(await self._door.purchases.submit(wish))

    async def status(self, request: Request) -> Response:
        identity = await self._door.callers.optional(request)
        purchase_id: UUID = request.path_params["task_id"]
        purchase = await self._door.ask(lambda connection: find_purchase(connection, purchase_id))
        if purchase is None or not self._may_follow(request, identity, purchase):
            raise not_found()
        return with_etag(request, Json(self._resource(purchase)))

    def _may_follow(self, request: Request, identity: Identity | None, purchase: PurchaseView) -> bool:
        """The caller who made it, or whoever holds its access token."""
        if identity and identity.sub == purchase.caller_sub:
            return True
        tokens = (request.headers.get("x-access-token"), request.query_params.get("access_token"))
        return any(token and self._door.vault.is_access_token(purchase.id, token) for token in tokens)

    def _accepted(self, accepted: AcceptedPurchase) -> Response:
        headers = {"Location": purchase_path(accepted.id), "Retry-After": "1"}
        if accepted.is_replay:
            headers["Idempotent-Replayed"] = "true"
        content = {
            "success": True,
            "task_id": str(accepted.id),
            "status": accepted.state,
            "status_url": purchase_path(accepted.id),
            "events_url": purchase_events_path(accepted.id),
            "access_token": self._door.vault.access_token(accepted.id),
            "plan_details": plan_details(accepted.plan),
            "message": MESSAGES[accepted.state],
        }
        return Json(content, 202, headers)

    def _resource(self, purchase: PurchaseView) -> dict[str, Any]:
        error = {"error_type": purchase.error_type} if purchase.error_type else {}
        return {
            "success": True,
            "task_id": str(purchase.id),
            "status": purchase.state,
            "client_secret": self._client_secret(purchase),
            "payment_intent_id": purchase.payment_intent_id,
            "transaction_id": purchase.transaction_id,
            "publishable_key": self._door.settings.stripe_publishable_key,
            "plan_details": plan_details(purchase.plan),
            "refunded_eur": euros(purchase.refunded_cents),
            **error,
            "message": (purchase.error_type and purchase.error_message) or MESSAGES[purchase.state],
            "timeline": [{"step": step, "at": instant(at)} for step, at in purchase.timeline],
        }

    def _client_secret(self, purchase: PurchaseView) -> str | None:
        if purchase.sealed_secret is None:
            return None
        try:
            return self._door.vault.open(purchase.sealed_secret)
        except UnreadableSecretError:  # its key was removed too early: everything else about it can still be told
            log.exception("client_secret_unreadable", purchase_id=str(purchase.id))
            return None


def _wish(body: PurchaseBody, key: str | None, identity: Identity | None, request_id: str) -> PurchaseRequest:
    return PurchaseRequest(
        id=new_id(),
        scope=scope_of(identity, body.student_info.email),
        idempotency_key=key,
        body_hash=digest(body) if key else None,
        plan_id=body.plan_id,
        expected_price_cents=body.expected_price_eur,
        buyer_name=body.student_info.name,
        buyer_email=body.student_info.email,
        caller=identity.caller if identity else None,
        request_id=request_id,
        accepted_at=utc_now(),
    )
