"""A real sandbox process, and a webhook that hears from it."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock, Thread
from typing import Any

import httpx2
import stripe

from billing.local.ports import free_port

SECRET_KEY = "sk_test_of_the_sandbox_tests"
PUBLISHABLE_KEY = "pk_test_of_the_sandbox_tests"
WEBHOOK_SECRET = "whsec_of_the_sandbox_tests"
PATIENCE_SECONDS = 30.0


def until(holds: Callable[[], bool], what: str, seconds: float = PATIENCE_SECONDS) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.01)


@dataclass(frozen=True)
class Post:
    """One request at the webhook's door."""

    body: bytes
    signature: str
    at: float
    peer: tuple[str, int]

    @property
    def event(self) -> dict[str, Any]:
        event: dict[str, Any] = json.loads(self.body)
        return event


@dataclass
class Receiver:
    """Answers `next_statuses` first, then 200."""

    port: int = 0
    posts: list[Post] = field(default_factory=list)
    next_statuses: list[int] = field(default_factory=list)
    _lock: Lock = field(default_factory=Lock)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/webhook/?source=stripe"

    def take(self, post: Post) -> int:
        with self._lock:
            self.posts.append(post)
            return self.next_statuses.pop(0) if self.next_statuses else 200

    def forget(self) -> None:
        with self._lock:
            self.posts.clear()
            self.next_statuses.clear()

    def about(self, subject_id: str) -> list[str]:
        """Types of the events about one object, as they came."""
        return [post.event["type"] for post in list(self.posts) if post.event["data"]["object"]["id"] == subject_id]

    def wait_for(self, event_type: str, subject_id: str) -> Post:
        until(
            lambda: event_type in self.about(subject_id), f"{event_type} of {subject_id}; came {self.about(subject_id)}"
        )
        return next(
            post
            for post in self.posts
            if post.event["type"] == event_type and post.event["data"]["object"]["id"] == subject_id
        )


@contextmanager
def receiving() -> Iterator[Receiver]:
    receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            peer = (str(self.client_address[0]), int(self.client_address[1]))
            status = receiver.take(Post(body, self.headers["Stripe-Signature"], time.time(), peer))
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  (http.server's name)
            """Nothing to read in a test's output."""

    class Server(ThreadingHTTPServer):
        request_queue_size = 128

    with Server(("127.0.0.1", 0), Handler) as server:
        receiver.port = server.server_port
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield receiver
        finally:
            server.shutdown()
            thread.join()


@dataclass
class Sandbox:
    state: Path
    webhook_url: str
    port: int = field(default_factory=free_port)
    _process: subprocess.Popen[bytes] | None = None

    def __post_init__(self) -> None:
        self.url = f"http://127.0.0.1:{self.port}"
        self.http = httpx2.Client(base_url=self.url, timeout=10)
        self.stripe = client(self.url)

    @property
    def v1(self) -> "stripe.V1Services":
        return self.stripe.v1

    def start(self) -> None:
        words = ("-m", "billing.sandbox", "--port", str(self.port), "--state", str(self.state))
        keys = {
            "STRIPE_SECRET_KEY": SECRET_KEY,
            "STRIPE_PUBLISHABLE_KEY": PUBLISHABLE_KEY,
            "STRIPE_WEBHOOK_SECRET": f"{WEBHOOK_SECRET}, whsec_of_last_year",
        }
        self._process = subprocess.Popen(
            [sys.executable, "-W", "error", *words, "--webhook-url", self.webhook_url], env={**os.environ, **keys}
        )
        until(self._is_ready, "the sandbox answers")

    def stop(self) -> float:
        """Seconds that it took."""
        process, self._process = self._process, None
        assert process is not None
        began = time.monotonic()
        process.terminate()
        try:
            process.wait(timeout=10)
        finally:
            process.kill()
        return time.monotonic() - began

    def kill(self) -> None:
        process, self._process = self._process, None
        assert process is not None
        process.kill()
        process.wait()

    def close(self) -> None:
        if self._process is not None:
            self.stop()
        self.http.close()

    def ask(self, path: str) -> Any:
        return self.http.get(f"/_sandbox/{path}").raise_for_status().json()

    def tell(self, path: str, body: object = None) -> Any:
        return self.http.post(f"/_sandbox/{path}", json=body).raise_for_status().json()

    def fault(self, do: Mapping[str, object], path: str = "", **rule: object) -> None:
        self.tell("faults", [{"match": {"path": path}, "do": do, **rule}])

    def new_intent(self, **params: Any) -> stripe.PaymentIntent:
        order: Any = {"amount": 14000, "currency": "eur", **params}
        return self.v1.payment_intents.create(order)

    def pay(self, payment_method: str, **params: Any) -> stripe.PaymentIntent:
        return self.new_intent(confirm=True, payment_method=payment_method, **params)

    def intent(self, intent_id: str) -> stripe.PaymentIntent:
        return self.v1.payment_intents.retrieve(intent_id)

    def event_types(self, subject_id: str) -> list[str]:
        """As they happened."""
        events = self.v1.events.list({"limit": 100}).data
        return [event.type for event in reversed(events) if event.data.object["id"] == subject_id]

    def _is_ready(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, "the sandbox ended at once"
        try:
            return bool(self.http.get("/_sandbox/health").is_success)
        except httpx2.TransportError:
            return False


def client(url: str, key: str = SECRET_KEY, read_seconds: float = 10) -> stripe.StripeClient:
    return stripe.StripeClient(
        key,
        base_addresses={"api": url},
        http_client=stripe.RequestsClient(timeout=(3, read_seconds)),
        max_network_retries=0,
    )


@contextmanager
def running(state: Path, webhook_url: str) -> Iterator[Sandbox]:
    sandbox = Sandbox(state, webhook_url)
    try:
        sandbox.start()
        yield sandbox
    finally:
        sandbox.close()
