"""JSON out: bodies, what is written in them, and answers that need not be sent twice."""

from collections.abc import Mapping
from hashlib import blake2b
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response

from billing.reads.written import euros, hours, instant, price_per_hour

__all__ = ["Json", "etag_of", "euros", "hours", "instant", "matches", "price_per_hour", "with_etag"]


class Json(Response):
    media_type = "application/json"

    def __init__(self, content: Any, status_code: int = 200, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(content, status_code, headers)

    def render(self, content: Any) -> bytes:
        return content if isinstance(content, bytes) else orjson.dumps(content)


def with_etag(request: Request, response: Response) -> Response:
    """The response with its ETag, or 304 where the caller has it already."""
    etag = etag_of(bytes(response.body))
    response.headers["ETag"] = etag
    if not matches(request, etag):
        return response
    kept = {name: value for name, value in response.headers.items() if name in ("etag", "cache-control")}
    return Response(status_code=304, headers=kept)


def etag_of(body: bytes) -> str:
    return f'"{blake2b(body, digest_size=12).hexdigest()}"'


def matches(request: Request, etag: str) -> bool:
    """Weak comparison, as If-None-Match asks for (RFC 9110, 13.1.2)."""
    listed = ",".join(request.headers.getlist("if-none-match"))
    given = [tag.strip().removeprefix("W/") for tag in listed.split(",")]
    return etag in given or "*" in given
