"""How events reach the webhook, and sending one again."""

import asyncio

from pydantic import TypeAdapter
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse

from billing.sandbox.control.bodies import check_is_near, read, whole
from billing.sandbox.control.sandbox import Sandbox
from billing.sandbox.deliveries import DeliveryPlan

_PLAN = TypeAdapter(DeliveryPlan)
_TIMES_AT_MOST = 1000


async def delivery(request: Request) -> JSONResponse:
    """POST replaces the plan as a whole; what is absent is as at the start."""
    check_is_near(request)
    sandbox = Sandbox.of(request)
    if request.method == "POST":
        sandbox.account.deliveries.follow(await read(request, _PLAN))
        sandbox.wake()
    return JSONResponse(sandbox.account.deliveries.plan.model_dump())


async def deliveries(request: Request) -> JSONResponse:
    check_is_near(request)
    return JSONResponse(Sandbox.of(request).account.deliveries.counts())


async def deliver(request: Request) -> JSONResponse:
    """Sends now, whatever the plan says; answers when the webhook has: `{"statuses": [200, …]}`, null for no answer."""
    check_is_near(request)
    sandbox = Sandbox.of(request)
    payload = sandbox.account.events.payload(request.path_params["id"])
    if payload is None:
        raise HTTPException(404, "no such event")
    times = min(whole(request, "times", 1), _TIMES_AT_MOST)
    if whole(request, "parallel", 0):
        statuses = list(await asyncio.gather(*(sandbox.courier.send(payload) for _ in range(times))))
    else:
        statuses = [await sandbox.courier.send(payload) for _ in range(times)]
    return JSONResponse({"statuses": statuses})
