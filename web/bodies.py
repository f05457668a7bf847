"""Bodies in: bounded while they stream, and JSON read more strictly than JSON asks for."""

import asyncio
import json
from collections.abc import Sequence
from decimal import Decimal
from typing import Any, NoReturn

import orjson
from starlette.requests import Request
from starlette.types import Receive, Scope

from web.errors import ClientGoneError, HttpError

BODY_BYTES = 64 * 1024
BODY_SECONDS = 10.0
JSON_DEPTH = 20
NUMBER_LENGTH = 19
"""So many digits of an integer fit the widest column; nobody means more."""


async def read_json(request: Request) -> dict[str, Any]:
    """The JSON object of a request. Fractions are Decimal, so that a price means what was written."""
    _demand_json(request)
    return parse_object(await read_body(request.scope, request.receive, BODY_BYTES))


async def read_json_if_any(request: Request) -> dict[str, Any]:
    """The same where a body may be left out, which says no more than an empty object."""
    body = await read_body(request.scope, request.receive, BODY_BYTES)
    if not body:
        return {}
    _demand_json(request)
    return parse_object(body)


def _demand_json(request: Request) -> None:
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json":
        raise HttpError(415, "unsupported_media_type", "The body must be application/json.")


async def read_body(scope: Scope, receive: Receive, most_bytes: int) -> bytes:
    """Raises HttpError 413 as soon as the body is known to be too large, 408 where it does not arrive."""
    if declared_bytes(scope) > most_bytes:
        _too_large(most_bytes)
    try:
        async with asyncio.timeout(BODY_SECONDS):
            return await _read(receive, most_bytes)
    except TimeoutError:
        message = f"The body did not arrive within {BODY_SECONDS:.0f} seconds."
        raise HttpError(408, "request_timeout", message, headers={"Connection": "close"}) from None


async def _read(receive: Receive, most_bytes: int) -> bytes:
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGoneError
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > most_bytes:
            _too_large(most_bytes)
        chunks.append(chunk)
        if not message.get("more_body", False):
            return b"".join(chunks) if len(chunks) > 1 else chunks[0]


def declared_bytes(scope: Scope) -> int:
    for name, value in scope["headers"]:
        if name == b"content-length":
            return int(value) if value.isdigit() else 0
    return 0


def _too_large(most_bytes: int) -> NoReturn:
    message = f"The body may have {most_bytes // 1024} KiB at most."
    raise HttpError(413, "payload_too_large", message, headers={"Connection": "close"})


def parse_object(body: bytes) -> dict[str, Any]:
    """Read twice: once fast, for what is no JSON at all, and once slowly, for what JSON leaves to taste."""
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise _malformed("it is not JSON in UTF-8") from None
    if not isinstance(value, dict):
        raise _malformed("it must be an object")
    if _is_deep(value):
        raise _malformed(f"it is nested more than {JSON_DEPTH} deep")
    return _parse_exactly(body)


def _parse_exactly(body: bytes) -> dict[str, Any]:
    try:
        value: dict[str, Any] = STRICT.decode(body.decode())
    except (ValueError, ArithmeticError) as error:
        raise _malformed(str(error) if isinstance(error, StrictnessError) else "a number is out of bounds") from None
    return value


def _is_deep(value: object) -> bool:
    level: list[Any] = [value]
    for _ in range(JSON_DEPTH):
        level = [child for parent in level for child in _children(parent) if isinstance(child, dict | list)]
        if not level:
            return False
    return True


def _children(parent: dict[str, Any] | list[Any]) -> Any:
    return parent.values() if isinstance(parent, dict) else parent


def _malformed(complaint: str) -> HttpError:
    return HttpError(400, "validation_error", f"The body cannot be read: {complaint}.")


class StrictnessError(ValueError):
    """Legal JSON that two readers would understand in two ways."""


def _without_doubles(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise StrictnessError("a key appears twice")
    return found


def _integer(digits: str) -> int:
    if len(digits.lstrip("-")) > NUMBER_LENGTH:
        raise StrictnessError("an integer is too large")
    return int(digits)


STRICT = json.JSONDecoder(object_pairs_hook=_without_doubles, parse_int=_integer, parse_float=Decimal)
