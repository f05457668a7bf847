"""Buying: a wish becomes a committed row and a 202; its status is read from the row."""

from collections.abc import Callable
from contextlib import suppress
from uuid import UUID

from starlette.requests import Request
from starlette.responses import Response

from billing.clock import utc_now
from billing.errors import LockTimeoutError, TransientError
from billing.ids import new_id
from billing.messages import PreparePayment
from billing.purchases.accept import AcceptedPurchase, PurchaseRequest
from billing.purchases.cancel import request_cancel
from billing.reads.purchases import PurchaseView
from billing.states import PurchaseState
from web.addresses import client_address
from web.answers import Json, with_etag
from web.auth import Identity
from web.bodies import read_json
from web.door import Door
from web.errors import HttpError, not_found, unavailable
from web.idempotency import digest, idempotency_key, scope_of
from web.paths import purchase_events_path, purchase_path
from web.plans import plan_details
from web.prefer import applied, wait_seconds
from web.purchase_resource import MESSAGES, PurchaseResource
from web.schemas import PurchaseBody
from web.waiting import Follower, unless_gone

S = PurchaseState

UNCANCELLED = {
    S.COMPLETED: "The purchase was paid; it can be refunded, but not cancelled.",
    S.REFUNDED: "The purchase was refunded already.",
    S.EXPIRED: "The purchase expired unpaid; nothing can be charged for it any more.",
    S.FAILED: "The purchase failed; nothing can be charged for it.",
}
UNDER_WAY = "The payment is under way and cannot be cancelled now."


class PurchaseRoutes:
    def __init__(self, door: Door) -> None:
        self._door = door
        self._waiting = door.waiting
        self._resource = PurchaseResource(door)

    async def initiate(self, request: Request) -> Response:
        identity = await self._door.callers.optional(request)
        key = idempotency_key(request)
        body = PurchaseBody.of(await read_json(request))
        wish = _wish(body, key, identity, request.scope["request_id"])
        address = client_address(request, self._door.settings.trusted_proxies)
        return await self.answer(request, await self._door.limits.submit(wish, address))

    async def answer(self, request: Request, accepted: AcceptedPurchase) -> Response:
        """Of a purchase that is committed, however it came about."""
        wait = wait_seconds(request)
        return self._accepted(accepted) if wait is None else await self._prepared(request, accepted, wait)

    async def status(self, request: Request) -> Response:
        wait = wait_seconds(request)
        with self._waiting.following(request.path_params["task_id"]) as follower:
            purchase = await self._resource.of_its_buyer(request, follower)
            answer = with_etag(request, self._shown(purchase))
            if wait is None:
                return answer
            if answer.status_code == 304 or purchase.state is S.QUEUED:
                shown = self._resource.content(purchase)
                await self._wait(request, follower, lambda found: self._resource.content(found) != shown, wait)
                answer = with_etag(request, self._shown(follower.seen or purchase))
            return applied(answer, wait)

    async def cancel(self, request: Request) -> Response:
        """Wished twice is wished once, so a key is looked at and not kept."""
        idempotency_key(request)
        wait = wait_seconds(request)
        with self._waiting.following(request.path_params["task_id"]) as follower:
            purchase = await self._resource.of_its_buyer(request, follower)
            state = await self._wish_cancelled(purchase.id)
            if wait is None:
                return _cancelling(purchase.id, state)
            await self._first_look(follower)
            await self._wait(request, follower, _is_decided, wait)
            return applied(self._cancelled(follower.seen, purchase.id, state), wait)

    async def _prepared(self, request: Request, accepted: AcceptedPurchase, wait: int) -> Response:
        """The purchase with what its payment needs, or with why there will be none; still a 202 where that takes long.

        Once it is committed, no trouble may keep the caller from knowing its id.
        """
        with self._waiting.following(accepted.id) as follower:
            await self._first_look(follower)
            is_there = await self._wait(request, follower, lambda found: found.state is not S.QUEUED, wait)
            if not is_there or follower.seen is None:
                return applied(self._accepted(accepted), wait)
            answer = self._shown(follower.seen, 201)
        answer.headers["Location"] = purchase_path(accepted.id)
        answer.headers["X-Access-Token"] = self._door.vault.access_token(accepted.id)
        return applied(_marked(answer, accepted), wait)

    @staticmethod
    async def _first_look(follower: Follower) -> None:
        follower.seen = None
        with suppress(TransientError):  # the look of each second finds it when the database is back
            await follower.read()

    async def _wait(
        self, request: Request, follower: Follower, is_awaited: Callable[[PurchaseView], bool], seconds: int
    ) -> bool:
        return await unless_gone(request.receive, self._waiting.until(follower, is_awaited, seconds))

    async def _wish_cancelled(self, purchase_id: UUID) -> PurchaseState:
        now = utc_now()
        try:
            state = await self._door.change(lambda connection: request_cancel(connection, purchase_id, now=now))
        except LockTimeoutError as error:
            raise unavailable() from error
        if state is None:
            raise not_found()
        self._door.hints.send(PreparePayment(purchase_id=purchase_id))
        return state

    def _cancelled(self, found: PurchaseView | None, purchase_id: UUID, state: PurchaseState) -> Response:
        if found is None or not _is_decided(found):
            return _cancelling(purchase_id, state if found is None else found.state)
        if found.state is S.CANCELLED:
            return self._shown(found)
        raise HttpError(409, "invalid_state", UNCANCELLED.get(found.state, UNDER_WAY))

    def _accepted(self, accepted: AcceptedPurchase) -> Response:
        headers = {"Location": purchase_path(accepted.id), "Retry-After": "1"}
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
        return _marked(Json(content, 202, headers), accepted)

    def _shown(self, purchase: PurchaseView, status_code: int = 200) -> Response:
        return Json(self._resource.content(purchase), status_code)


def _marked(answer: Response, accepted: AcceptedPurchase) -> Response:
    if accepted.is_replay:
        answer.headers["Idempotent-Replayed"] = "true"
    return answer


def _is_decided(purchase: PurchaseView) -> bool:
    """A worker did what was wished, or dropped the wish because it could not."""
    return purchase.is_final or not purchase.is_cancel_wished


def _cancelling(purchase_id: UUID, state: PurchaseState) -> Response:
    path = purchase_path(purchase_id)
    content = {"success": True, "id": str(purchase_id), "status": state, "status_url": path}
    return Json(content, 202, {"Location": path, "Retry-After": "1"})


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
