"""The API's door: a request in, an answer out, or a line that is cut, as a fault wants it.

Any page may call it, as it may call Stripe: what it can do there hangs on its key alone.
"""

from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from billing.sandbox.answers import Answer
from billing.sandbox.api import Api
from billing.sandbox.courier import Courier
from billing.sandbox.exchanges import Exchange
from billing.sandbox.timekeeper import Timekeeper

CUT = "sandbox.cut"
"""The ASGI extension through which the server lets a line be closed."""
_CORS = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Methods": "GET, HEAD, PUT, PATCH, POST, DELETE",
    "Access-Control-Allow-Headers": "authorization, content-type, idempotency-key, stripe-version",
    "Access-Control-Expose-Headers": "Request-Id, Stripe-Should-Retry, Idempotent-Replayed",
    "Access-Control-Max-Age": "300",
}


class Door:
    def __init__(self, api: Api, courier: Courier, timekeeper: Timekeeper) -> None:
        self._api = api
        self._courier = courier
        self._timekeeper = timekeeper

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        if request.method == "OPTIONS":
            await Response(headers=_CORS)(scope, receive, send)
            return
        answer = await self._api.answer(Exchange.of(request), await request.body())
        self._courier.wake()
        self._timekeeper.wake()
        await _send(answer, scope, receive, send)


async def _send(answer: Answer, scope: Scope, receive: Receive, send: Send) -> None:
    response = Response(answer.body, answer.status, {**_CORS, **answer.headers}, answer.media_type)
    if answer.cut is None:
        await response(scope, receive, send)
        return
    if answer.cut == "body":
        await send({"type": "http.response.start", "status": answer.status, "headers": response.raw_headers})
        half = answer.body[: len(answer.body) // 2]
        await send({"type": "http.response.body", "body": half, "more_body": True})
    scope["extensions"][CUT]["close"]()
    await _until_gone(receive)


async def _until_gone(receive: Receive) -> None:
    message: Any = {}
    while message.get("type") != "http.disconnect":
        message = await receive()
