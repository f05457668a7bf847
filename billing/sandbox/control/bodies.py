"""Bodies of the control API: strict, and a sentence where one is wrong."""

import ipaddress
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request

T = TypeVar("T")


async def read(request: Request, wanted: TypeAdapter[T]) -> T:
    try:
        return wanted.validate_json(await request.body() or b"{}")
    except ValidationError as error:
        raise HTTPException(400, str(error)) from None


def check_is_near(request: Request) -> None:
    """The control API would let anyone rewrite the account: it answers this machine only."""
    host = request.client.host if request.client else ""
    if not ipaddress.ip_address(host or "0.0.0.0").is_loopback:  # noqa: S104  (no address is not loopback)
        raise HTTPException(403, "the control of the sandbox is for its own machine")


def whole(request: Request, name: str, default: int) -> int:
    value: Any = request.query_params.get(name, str(default))
    if not value.isdecimal():
        raise HTTPException(400, f"{name} is a whole number")
    return int(value)
