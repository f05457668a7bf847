"""What callers and Stripe send to the door."""

import hmac
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import jwt
import uvicorn
from httpx2 import Response
from starlette.testclient import TestClient
from starlette.types import ASGIApp

from billing.config import SANDBOX_WEBHOOK_SECRET

API = "/api/finances/api/"
INITIATE = f"{API}purchase/initiate/"
WEBHOOK = "/api/finances/webhooks/stripe/"
STANDARD_PLAN = 2


@dataclass(frozen=True)
class Tokens:
    """Makes the headers of callers."""

    secret: str

    def of(self, sub: str = "user-1", **claims: Any) -> dict[str, str]:
        """The Authorization header of a caller; a claim of None is left out."""
        given = {"sub": sub, "exp": int(time.time()) + 600, "email": f"{sub}@example.com", "email_verified": True}
        present = {name: value for name, value in {**given, **claims}.items() if value is not None}
        return {"Authorization": f"Bearer {jwt.encode(present, self.secret, algorithm='HS256')}"}


def wish(email: str = "ana@example.com", /, **fields: Any) -> dict[str, Any]:
    return {"plan_id": STANDARD_PLAN, "student_info": {"name": "Ana Lúcia", "email": email}, **fields}


def buy(client: TestClient, body: Any = None, *, key: str | None = None, **headers: str) -> Response:
    keyed = {"Idempotency-Key": key} if key else {}
    return client.post(INITIATE, json=wish() if body is None else body, headers={**keyed, **headers})


def signed(body: bytes, *, at: float | None = None, secret: str = SANDBOX_WEBHOOK_SECRET) -> dict[str, str]:
    """The Stripe-Signature header of a delivery."""
    instant = str(int(time.time() if at is None else at))
    signature = hmac.new(secret.encode(), f"{instant}.".encode() + body, sha256).hexdigest()
    return {"Stripe-Signature": f"t={instant},v1={signature}"}


def deliver(client: TestClient, body: bytes, **headers: str) -> Response:
    return client.post(WEBHOOK, content=body, headers={**signed(body), **headers})


@contextmanager
def served(app: ASGIApp) -> Iterator[int]:
    """The door behind real sockets; gives the port."""
    config = uvicorn.Config(app, host="127.0.0.1", port=0, log_config=None, access_log=False, lifespan="on")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive(), "the server ended at once"
        time.sleep(0.01)
    yield server.servers[0].sockets[0].getsockname()[1]
    server.should_exit = True
    thread.join(timeout=10)
