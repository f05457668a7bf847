"""A subscription: how it stands, and what its owner wants to become of it."""

from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from billing.clock import utc_now
from billing.reads.subscriptions import subscription_of
from billing.reads.whose import of_caller
from billing.states import AccountAction
from web.accounts.acts import AccountActs, Wish
from web.accounts.bodies import CancelBody, ChangePlanBody
from web.accounts.shapes import subscription_content
from web.answers import Json
from web.auth import Identity
from web.bodies import read_json, read_json_if_any
from web.door import Door
from web.idempotency import idempotency_key


class SubscriptionRoutes:
    """There is nothing to say about resuming, pausing and paying: a body is not looked at."""

    def __init__(self, door: Door) -> None:
        self._door = door
        self._acts = AccountActs(door)

    async def shown(self, request: Request) -> Response:
        return Json(await self._subscription(await self._door.student(request)))

    async def cancel(self, request: Request) -> Response:
        who = await self._owner(request)
        body = CancelBody.of(await read_json_if_any(request))
        return await self._ask(request, who, Wish(AccountAction.CANCEL, {"at_period_end": body.at_period_end}))

    async def change_plan(self, request: Request) -> Response:
        who = await self._owner(request)
        body = ChangePlanBody.of(await read_json(request))
        return await self._ask(request, who, Wish(AccountAction.CHANGE_PLAN, {"plan_id": body.plan_id}))

    async def resume(self, request: Request) -> Response:
        return await self._ask(request, await self._owner(request), Wish(AccountAction.RESUME))

    async def pause(self, request: Request) -> Response:
        return await self._ask(request, await self._owner(request), Wish(AccountAction.PAUSE))

    async def pay(self, request: Request) -> Response:
        return await self._ask(request, await self._owner(request), Wish(AccountAction.PAY))

    async def _owner(self, request: Request) -> Identity:
        who = await self._door.callers.required(request)
        idempotency_key(request)
        return who

    async def _ask(self, request: Request, who: Identity, wish: Wish) -> Response:
        return await self._acts.ask(request, who, wish, lambda _: self._subscription(who))

    async def _subscription(self, who: Identity) -> Mapping[str, Any]:
        whose, now = of_caller(who.sub, who.verified_email), utc_now()
        found = await self._door.ask(lambda connection: subscription_of(connection, whose, now=now))
        return subscription_content(found, self._door.vault)
