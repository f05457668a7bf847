"""Which names are ours, and which pages of others may read our answers."""

import re
from collections.abc import Sequence

from starlette.types import Scope, Send

from billing.hosts import EVERY_HOST, is_listed
from web.errors import HttpError

Headers = tuple[tuple[bytes, bytes], ...]

PROBED = frozenset({"/healthz", "/readyz", "/metrics"})
"""What balancers and scrapers ask by address: nothing there depends on a name."""

HOST = re.compile(rb"(\[[0-9a-f:.]+\]|[a-z0-9._-]+?)\.?(?::[0-9]{1,5})?", re.IGNORECASE)

METHODS = b"GET, POST, PATCH, DELETE"
ASKED_HEADERS = (
    b"authorization, content-type, idempotency-key, if-none-match, last-event-id, prefer, x-access-token, x-request-id"
)
TOLD_HEADERS = b"etag, idempotent-replayed, location, preference-applied, retry-after, x-request-id"
PREFLIGHT_SECONDS = b"600"


class OwnNames:
    def __init__(self, hosts: Sequence[str]) -> None:
        self._hosts = hosts
        self._is_every = EVERY_HOST in hosts

    def check(self, scope: Scope) -> None:
        """Raises HttpError 400 where the request is for somebody else, or for two at once."""
        if not self._are_ours(values(scope, b"host")) and scope["path"] not in PROBED:
            raise HttpError(400, "unknown_host", "The Host of this request is not served here.")

    def _are_ours(self, given: Sequence[bytes]) -> bool:
        if self._is_every:
            return len(given) < 2
        host = HOST.fullmatch(given[0]) if len(given) == 1 else None
        return host is not None and is_listed(host[1].decode().lower(), self._hosts)


class ForeignPages:
    """CORS, closed unless origins are listed. Tokens travel in headers, so no answer allows credentials."""

    def __init__(self, origins: Sequence[str]) -> None:
        self._unlisted: Headers = ((b"vary", b"Origin"),) if origins else ()
        self._listed: dict[bytes, Headers] = {
            origin.encode(): (
                (b"access-control-allow-origin", origin.encode()),
                (b"access-control-expose-headers", TOLD_HEADERS),
                *self._unlisted,
            )
            for origin in origins
        }

    def headers(self, scope: Scope) -> Headers:
        """For every answer, errors too: a page must be able to read why it was refused."""
        return self._listed.get(self._origin(scope), self._unlisted) if self._listed else ()

    def is_preflight(self, scope: Scope) -> bool:
        """Of a listed origin; from any other, OPTIONS is a method like any other."""
        is_asked = scope["method"] == "OPTIONS" and self._origin(scope) in self._listed
        return is_asked and bool(values(scope, b"access-control-request-method"))

    @staticmethod
    def _origin(scope: Scope) -> bytes:
        given = values(scope, b"origin")
        return given[0] if len(given) == 1 else b""


async def answer_preflight(send: Send) -> None:
    headers = [
        (b"access-control-allow-methods", METHODS),
        (b"access-control-allow-headers", ASKED_HEADERS),
        (b"access-control-max-age", PREFLIGHT_SECONDS),
    ]
    await send({"type": "http.response.start", "status": 204, "headers": headers})
    await send({"type": "http.response.body"})


def values(scope: Scope, name: bytes) -> list[bytes]:
    return [value for given, value in scope["headers"] if given == name]
