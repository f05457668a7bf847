"""What every request to the admin passes: a bound on its body, and the policy that its answer comes with."""

import base64
import hmac
from typing import Any

from starlette.routing import BaseRoute, Mount, Router
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from billing.config import AppEnv, Settings
from billing.ids import new_id
from web.admin.keys import keys_for
from web.bodies import BODY_BYTES, read_body

ADDRESS = "/admin"
NAME = "admin"
KEPT = (b"cache-control", b"public, max-age=86400")
"""Of files, whose addresses name their version."""


def policy(nonce: str) -> str:
    """Nothing from elsewhere. Styles may be inline, because starlette-admin writes widths into attributes of its pages;
    scripts may not, unless they have the answer's nonce."""
    rules = {
        "default-src": "'none'",
        "script-src": f"'self' 'nonce-{nonce}'",
        "style-src": "'self' 'unsafe-inline'",
        "img-src": "'self' data:",
        "font-src": "'self'",
        "connect-src": "'self'",
        "form-action": "'self'",
        "base-uri": "'none'",
        "frame-ancestors": "'none'",
    }
    return "; ".join(f"{name} {sources}" for name, sources in rules.items())


class Shell:
    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app = app
        self._site = Router([Mount(ADDRESS, app=app, name=NAME)])
        self._zone = settings.zone
        self._is_https_only = settings.app_env is AppEnv.PRODUCTION
        self._nonces = keys_for(settings, "admin nonces")[-1].encode()

    @property
    def routes(self) -> list[BaseRoute]:
        found: list[BaseRoute] = getattr(self._app, "routes", [])
        return found

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        nonce = self._nonce()
        # Pages find their addresses in the router of the scope; outside it is the door's, which knows none of them.
        more: dict[str, Any] = {"router": self._site, "csp_nonce": nonce, "zone": self._zone}
        if self._is_https_only:  # as the proxy before it was asked, whatever it uses towards here
            more["scheme"] = "https"
        inner = {**scope, **more}
        answer = _Answer(send, policy(nonce), is_file=scope["path"].startswith(f"{ADDRESS}/static/"))
        if scope["method"] in ("GET", "HEAD"):
            await self._app(inner, receive, answer.send)
            return
        body = await read_body(scope, receive, BODY_BYTES)
        await self._app(inner, _Replay(body, receive).receive, answer.send)

    def _nonce(self) -> str:
        return base64.b64encode(hmac.digest(self._nonces, new_id().bytes, "sha256")).decode()


class _Replay:
    """The body that was read, once more; then whatever else comes."""

    def __init__(self, body: bytes, receive: Receive) -> None:
        self._body: bytes | None = body
        self._receive = receive

    async def receive(self) -> Message:
        if self._body is None:
            return await self._receive()
        body, self._body = self._body, None
        return {"type": "http.request", "body": body, "more_body": False}


class _Answer:
    def __init__(self, send: Send, policy: str, *, is_file: bool) -> None:
        self._send = send
        self._policy = (b"content-security-policy", policy.encode())
        self._is_file = is_file

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            is_kept = self._is_file and message["status"] in (200, 304)
            added = [self._policy, KEPT] if is_kept else [self._policy]
            message = {**message, "headers": [*message["headers"], *added]}
        await self._send(message)
