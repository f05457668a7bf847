"""JSON out: bodies, instants, money and hours as the contract writes them, and answers that need not be sent twice."""

from collections.abc import Mapping
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response


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
    given = [tag.strip().removeprefix("W/") for tag in request.headers.get("if-none-match", "").split(",")]
    return etag in given or "*" in given


def euros(cents: int) -> str:
    sign, whole = ("-", -cents) if cents < 0 else ("", cents)
    return f"{sign}{whole // 100}.{whole % 100:02d}"


def hours(minutes: int) -> str:
    """Half up at two places: 50 minutes are 0.83."""
    sign, whole = ("-", -minutes) if minutes < 0 else ("", minutes)
    return sign + euros((whole * 100 + 30) // 60)


def price_per_hour(cents: int, minutes: int) -> str:
    return euros((cents * 120 + minutes) // (2 * minutes))


def instant(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
