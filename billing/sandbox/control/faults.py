"""The fault plan and the log of requests."""

from starlette.requests import Request
from starlette.responses import JSONResponse

from billing.sandbox.control.bodies import check_is_near, read
from billing.sandbox.control.sandbox import Sandbox
from billing.sandbox.faults import RULES


async def faults(request: Request) -> JSONResponse:
    """POST adds rules after those that are there, DELETE clears all."""
    check_is_near(request)
    plan = Sandbox.of(request).api.faults
    if request.method == "POST":
        plan.add(await read(request, RULES))
    if request.method == "DELETE":
        plan.clear()
    return JSONResponse({"rules": plan.shown()})


async def requests(request: Request) -> JSONResponse:
    """The oldest first."""
    check_is_near(request)
    log = Sandbox.of(request).api.log
    if request.method == "DELETE":
        log.clear()
    return JSONResponse({"requests": log.shown()})
