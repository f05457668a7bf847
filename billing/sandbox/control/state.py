"""Health, reset, and the sandbox's time."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter
from starlette.requests import Request
from starlette.responses import JSONResponse

from billing.sandbox.control.bodies import check_is_near, read
from billing.sandbox.control.sandbox import Sandbox
from billing.sandbox.origins import API_VERSION


class Advance(BaseModel):
    model_config = ConfigDict(extra="forbid")
    advance_seconds: Annotated[int, Field(ge=0)]


class Reset(BaseModel):
    model_config = ConfigDict(extra="forbid")
    reset: Literal[True]


class Settlement(BaseModel):
    model_config = ConfigDict(extra="forbid")
    delay_seconds: Annotated[float, Field(ge=0)]


LAND_WITHIN_SECONDS = 1.0
_CLOCK: TypeAdapter[Advance | Reset] = TypeAdapter(Advance | Reset)
_SETTLEMENT = TypeAdapter(Settlement)


async def health(request: Request) -> JSONResponse:
    return JSONResponse({"ok": True, "api_version": API_VERSION, "now": Sandbox.of(request).account.clock.now()})


async def reset(request: Request) -> JSONResponse:
    """A new account: no objects, events, deliveries, keys, faults, log; plans and clock as at the first start."""
    check_is_near(request)
    sandbox = Sandbox.of(request)
    sandbox.api.reset()
    await sandbox.courier.land(LAND_WITHIN_SECONDS)
    sandbox.wake()
    return JSONResponse({"ok": True})


async def clock(request: Request) -> JSONResponse:
    check_is_near(request)
    sandbox = Sandbox.of(request)
    if request.method == "POST":
        move = await read(request, _CLOCK)
        if isinstance(move, Advance):
            sandbox.account.clock.advance(move.advance_seconds)
        else:
            sandbox.account.clock.reset()
        sandbox.wake()
    now = sandbox.account.clock
    return JSONResponse({"now": now.now(), "offset_seconds": now.offset_seconds})


async def settlement(request: Request) -> JSONResponse:
    """How long an asynchronous payment takes from now on; payments under way keep their time."""
    check_is_near(request)
    account = Sandbox.of(request).account
    if request.method == "POST":
        account.settle_after((await read(request, _SETTLEMENT)).delay_seconds)
    return JSONResponse({"delay_seconds": account.settlement_seconds})
