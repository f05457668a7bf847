"""The outermost layer: request ids, headers of every answer, one shape for every error, one log line a request."""

import re
import time
from collections.abc import Sequence

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from billing.config import AppEnv, Settings
from billing.ids import new_id
from billing.logs import bind_request_id
from web.errors import UNEXPECTED, ClientGoneError, problem_of
from web.origins import ForeignPages, OwnNames, answer_preflight

log: structlog.stdlib.BoundLogger = structlog.get_logger("web")

SAFE_REQUEST_ID = re.compile(rb"[A-Za-z0-9._~:/+=-]{1,64}")

Headers = Sequence[tuple[bytes, bytes]]

SECURITY_HEADERS: Headers = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
)
HTTPS_ONLY = (b"strict-transport-security", b"max-age=31536000")
NO_STORE = (b"cache-control", b"no-store")

SLOW_SECONDS = 1.0


class Edge:
    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app = app
        is_https_only = settings.app_env is AppEnv.PRODUCTION
        self._headers = (*SECURITY_HEADERS, HTTPS_ONLY) if is_https_only else SECURITY_HEADERS
        self._names = OwnNames(settings.allowed_hosts)
        self._pages = ForeignPages(settings.cors_origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        scope["app"] = self  # with it, Starlette raises for 404 and 405 in place of answering them
        scope["request_id"] = request_id = _request_id(scope)
        bind_request_id(request_id)
        headers = (*self._headers, *self._pages.headers(scope), (b"x-request-id", request_id.encode()))
        answer = _Answer(send, headers)
        began = time.perf_counter()
        try:
            self._names.check(scope)
            if self._pages.is_preflight(scope):
                await answer_preflight(answer.send)
            else:
                await self._app(scope, receive, answer.send)
        except ClientGoneError:
            pass
        except Exception as error:  # the one boundary at which every error becomes an answer
            await _answer_error(error, answer, scope, receive)
        _log_request(scope, answer.status, time.perf_counter() - began)


class _Answer:
    """Adds the headers of every answer that it does not bring itself, and remembers what was answered."""

    def __init__(self, send: Send, headers: Headers) -> None:
        self._send = send
        self._headers = headers
        self.status: int | None = None

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            given = {name for name, _ in message["headers"]}
            given.discard(b"vary")
            added = [header for header in (*self._headers, NO_STORE) if header[0] not in given]
            message = {**message, "headers": [*message["headers"], *added]}
        await self._send(message)


async def _answer_error(error: Exception, answer: _Answer, scope: Scope, receive: Receive) -> None:
    problem = problem_of(error)
    if problem is UNEXPECTED:
        log.error("unexpected_error", exc_info=error)
    if answer.status is None:
        await problem.response(scope["request_id"])(scope, receive, answer.send)


def _request_id(scope: Scope) -> str:
    given: list[bytes] = [value for name, value in scope["headers"] if name == b"x-request-id"]
    if len(given) == 1 and SAFE_REQUEST_ID.fullmatch(given[0]):
        return given[0].decode()
    return new_id().hex


def _log_request(scope: Scope, status: int | None, seconds: float) -> None:
    """What went well, fast, and changed nothing is not told: a line costs more than the answer it tells of.

    An accepted event is silent too; its row keeps the request id.
    """
    method, path = scope["method"], scope["path"]
    is_plain = method in ("GET", "HEAD") or path.endswith("/webhooks/stripe/")
    if is_plain and status is not None and status < 400 and seconds < SLOW_SECONDS:
        return
    log.info("request", method=method, path=path, status=status, ms=round(seconds * 1000, 1))
