"""Money that staff give back: quoted, asked for, and followed until it is on its way."""

import asyncio
from contextlib import suppress
from typing import Any
from uuid import UUID

from starlette.requests import Request
from starlette.responses import Response

from billing.clock import utc_now
from billing.errors import TransientError
from billing.reads.quotes import QuoteView, find_quote, written_quote
from billing.reads.refunds import STATUSES, RefundFilter, RefundView, find_refund, list_refunds, written_refund
from billing.staff.accept import AcceptedAct
from billing.staff.accept_refund import accept_refund
from billing.staff.refunds import policy_of
from billing.staff.wishes import RefundPurchase
from billing.states import RefundOrigin
from web.answers import Json
from web.bodies import read_json
from web.door import Door
from web.errors import HttpError, invalid, not_found
from web.idempotency import idempotency_key
from web.pages import asked_slice, page_answer
from web.paths import refund_path
from web.prefer import applied, wait_seconds
from web.staff.acts import StaffActs, admin, marked, refusal, staff_member
from web.staff.bodies import RefundPurchaseBody
from web.staff.filters import NOTHING, NothingFitsError, number_asked_for, transaction_number, word_asked_for
from web.waiting import unless_gone


class StaffRefundRoutes:
    def __init__(self, door: Door) -> None:
        self._door = door
        self._acts = StaffActs(door)
        self._policy = policy_of(door.settings)

    async def quote(self, request: Request) -> Response:
        await staff_member(self._door, request)
        given = request.query_params.get("transaction_id")
        if not given:
            raise invalid("transaction_id", "is required")
        found = await self._quote(transaction_number(given))
        return Json({"success": True, **written_quote(found)})

    async def all_of_them(self, request: Request) -> Response:
        return await (self.create(request) if request.method == "POST" else self.listed(request))

    async def listed(self, request: Request) -> Response:
        await staff_member(self._door, request)
        part = asked_slice(request)
        try:
            only = RefundFilter(
                transaction_id=number_asked_for(request, "transaction_id"),
                status=word_asked_for(request, "status", STATUSES),
                origin=word_asked_for(request, "origin", RefundOrigin),
            )
        except NothingFitsError:
            return page_answer(request, part, NOTHING, written_refund)
        page = await self._door.ask(lambda connection: list_refunds(connection, part, only))
        return page_answer(request, part, page, written_refund)

    async def shown(self, request: Request) -> Response:
        await staff_member(self._door, request)
        found = await self._find(request.path_params["refund_id"])
        if found is None:
            raise not_found()
        return Json(_resource(found))

    async def create(self, request: Request) -> Response:
        who = await admin(self._door, request)
        idempotency_key(request)
        body = RefundPurchaseBody.of(await read_json(request))
        quoted = await self._quote(body.transaction_id)
        wish = RefundPurchase(transaction_id=body.transaction_id, amount_cents=body.refund_amount)
        accepted = await self._acts.accept(request, who, wish, body.reason, accept_refund)
        wait = wait_seconds(request)
        if wait is None:
            return marked(_later(accepted.id, await self._status(accepted)), accepted)
        return marked(applied(await self._waited(request, accepted, quoted.purchase_id, wait), wait), accepted)

    async def _status(self, accepted: AcceptedAct) -> str:
        """Of one that was accepted before, how it stands now."""
        if accepted.is_replay:
            with suppress(TransientError):
                if found := await self._find(accepted.id):
                    return found.status
        return accepted.state

    async def _waited(self, request: Request, accepted: AcceptedAct, purchase_id: UUID, wait: int) -> Response:
        """Raises HttpError where it was refused."""
        over_at = asyncio.get_running_loop().time() + wait
        found = None
        if await self._door.decisions.until_decided(request, accepted.id, wait):
            found = await unless_gone(request.receive, self._decided(accepted.id, purchase_id, over_at))
        if found is None or not found.is_decided:
            return _later(accepted.id, found.status if found else await self._status(accepted))
        if found.status == "refused":
            raise refusal(found.error_type, found.error_message, wait)
        return Json(_resource(found), 201, {"Location": refund_path(found.id)})

    async def _decided(self, refund_id: UUID, purchase_id: UUID, over_at: float) -> RefundView | None:
        """The refund once it is decided, or as it was seen last when the time is over.

        Whatever decides it is a step of its purchase, so whoever follows that one hears of it.
        """
        found = None
        with self._door.waiting.following(purchase_id) as follower:
            while True:
                with suppress(TransientError):  # once it is committed, no trouble may keep its id from the caller
                    await follower.read()
                    found = await self._find(refund_id)
                left = over_at - asyncio.get_running_loop().time()
                is_over = left <= 0 or self._door.waiting.is_over
                if is_over or (found is not None and found.is_decided):
                    return found
                await follower.news(left)

    async def _quote(self, transaction_id: int) -> QuoteView:
        """Raises HttpError 404 where there is no such purchase."""
        now, policy = utc_now(), self._policy
        found = await self._door.ask(lambda connection: find_quote(connection, transaction_id, policy, now=now))
        if found is None:
            raise HttpError(404, "not_found", f"There is no transaction {transaction_id}.")
        return found

    async def _find(self, refund_id: UUID) -> RefundView | None:
        return await self._door.ask(lambda connection: find_refund(connection, refund_id))


def _resource(view: RefundView) -> dict[str, Any]:
    return {"success": True, **written_refund(view)}


def _later(refund_id: UUID, status: str) -> Response:
    path = refund_path(refund_id)
    content = {"success": True, "id": str(refund_id), "status": status, "status_url": path}
    return Json(content, 202, {"Location": path, "Retry-After": "1"})
