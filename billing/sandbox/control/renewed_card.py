"""A bank sends a new card in place of an old one, and the card's network tells Stripe of it."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter
from starlette.requests import Request
from starlette.responses import JSONResponse

from billing.sandbox.control.act import act
from billing.sandbox.control.bodies import check_is_near, read
from billing.sandbox.resources import attachment


class NewCard(BaseModel):
    """What the new card has on it; what is absent is as on the old one."""

    model_config = ConfigDict(extra="forbid")
    exp_month: Annotated[int, Field(ge=1, le=12)] | None = None
    exp_year: Annotated[int, Field(ge=2000, le=2100)] | None = None
    last4: Annotated[str, Field(pattern=r"^\d{4}$")] | None = None


_CARD = TypeAdapter(NewCard)


async def renew(request: Request) -> JSONResponse:
    check_is_near(request)
    card = (await read(request, _CARD)).model_dump(exclude_none=True)
    return act(request, {}, lambda call: attachment.renew(call, card))
