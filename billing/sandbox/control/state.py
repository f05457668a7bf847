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


class MoveTo(BaseModel):
    """Said twice it is done once, so it can be said again where its answer was lost."""

    model_config = ConfigDict(extra="forbid")
    offset_seconds: Annotated[int, Field(ge=0)]


class Reset(BaseModel):
    model_config = ConfigDict(extra="forbid")
    reset: Literal[True]


class Settlement(BaseModel):
    model_config = ConfigDict(extra="forbid")
    delay_seconds: Annotated[float, Field(ge=0)]


LAND_WITHIN_SECONDS = 1.0
_CLOCK: TypeAdapter[Advance | MoveTo | Reset] = TypeAdapter(Advance | MoveTo | Reset)
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
    """`next_at` is when the next appointment is kept; `has_work`, whether one is due now, or an event on its way."""
    check_is_near(request)
    sandbox = Sandbox.of(request)
    if request.method == "POST":
        sandbox.timekeeper.move_to(_offset_after(await read(request, _CLOCK), sandbox.account.clock.offset_seconds))
        sandbox.wake()
    now = sandbox.account.clock
    facts = {"now": now.now(), "offset_seconds": now.offset_seconds, "next_at": sandbox.account.schedule.next_at()}
    return JSONResponse({**facts, "has_work": sandbox.timekeeper.has_work or sandbox.courier.has_work})


def _offset_after(move: Advance | MoveTo | Reset, offset_seconds: int) -> int:
    if isinstance(move, Advance):
        return offset_seconds + move.advance_seconds
    return move.offset_seconds if isinstance(move, MoveTo) else 0


async def settlement(request: Request) -> JSONResponse:
    """How long an asynchronous payment takes from now on; payments under way keep their time."""
    check_is_near(request)
    account = Sandbox.of(request).account
    if request.method == "POST":
        account.settle_after((await read(request, _SETTLEMENT)).delay_seconds)
    return JSONResponse({"delay_seconds": account.settlement_seconds})
