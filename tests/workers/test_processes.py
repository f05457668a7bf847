"""Claims that are about processes: real workers of the Procfile, real signals."""

import base64
import json
import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import redis
from celery import Celery
from kombu import Connection, Producer
from sqlmodel import select

from billing.clock import utc_now
from billing.config import Settings
from billing.db import Begin
from billing.ids import new_id
from billing.messages import EventsWaiting, PreparePayment
from billing.models import UnreadableMessage
from billing.states import PurchaseState
from tests.support.database import TEMPLATE
from tests.support.environment import environment
from tests.support.factories import add_event, add_purchase, event_body, load_purchase
from tests.support.processes import family_of
from tests.support.servers import RunningPostgres, RunningValkey
from tests.support.stack import ROOT, Process, Stack, eventually
from workers.configuration import celery_settings
from workers.hints import Publisher

READY_SECONDS = 30
CANARY = "sk_test_canarycanary"


class SlowStripe:
    """Answers a create after `seconds`, and counts keys."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.keys: list[str] = []
        service = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:  # the library's name
                self.rfile.read(int(self.headers["Content-Length"]))
                service.keys.append(self.headers["Idempotency-Key"])
                time.sleep(service.seconds)
                body = json.dumps(service.intent(self.headers["Idempotency-Key"])).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Nothing: the tests' output is theirs."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        Thread(target=self._server.serve_forever, daemon=True).start()

    @staticmethod
    def intent(key: str) -> dict[str, Any]:
        name = f"pi_{key.split(':')[-2].replace('-', '')}"
        facts = {"id": name, "client_secret": f"{name}_secret_x", "status": "requires_payment_method"}
        return {
            "object": "payment_intent",
            "amount": 14_000,
            "currency": "eur",
            "livemode": False,
            "created": 1,
            **facts,
        }

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def stripe() -> Iterator[SlowStripe]:
    service = SlowStripe()
    yield service
    service.close()


@pytest.fixture
def stack(
    postgres: RunningPostgres, valkey: RunningValkey, valkey_url: str, stripe: SlowStripe, tmp_path: Path
) -> Iterator[Stack]:
    """Nothing runs yet."""
    name = f"processes_{new_id().hex[:8]}"
    postgres.create_database(name, template=TEMPLATE)
    stack = Stack(postgres, valkey, tmp_path, DATABASE_URL=postgres.url(name), WORK_LEASE_SECONDS="1")
    for process in stack.processes.values():
        process.become(process.command, STRIPE_API_BASE=stripe.url)
    yield stack
    stack.close()


def start(stack: Stack, name: str, *, as_pool: str | None = None) -> Process:
    process = stack.processes[name]
    if as_pool:
        process.become(f"{process.command.partition(' --pool ')[0]} --pool {as_pool}")
    stack.start(name)
    return process


def publish(settings: Settings, *messages: PreparePayment | EventsWaiting) -> None:
    publisher = Publisher(settings)
    publisher.publish(messages)
    publisher.close()


def unreadable(begin: Begin) -> list[UnreadableMessage]:
    with begin() as session:
        return list(session.exec(select(UnreadableMessage)))


def push_what_is_no_message(settings: Settings, queue: str) -> int:
    """Elements that no kombu has written; returns how many."""
    valid = base64.b64encode(b"[[], {}, {}]").decode()
    items = [
        b"garbage",
        b"\xff\xfe",
        b"[]",
        b"7",
        b'{"a": 1}',
        json.dumps({"body": valid, "headers": {}, "properties": {}}).encode(),
        json.dumps({"body": CANARY + "x" * 10_000_000}).encode(),
    ]
    with redis.Redis.from_url(settings.broker_url) as client:
        client.lpush(queue, *items)
    return len(items)


def send_what_is_no_message_of_ours(settings: Settings, queue: str) -> int:
    """Messages as kombu writes them, that Celery would fall over, obey or drop; returns how many."""
    app = Celery(set_as_current=False)
    app.conf.update({**celery_settings(settings), "broker_transport": None})
    kwargs = {"secret": CANARY}
    app.send_task("billing.webhooks.explode", kwargs=kwargs, queue=queue)
    app.send_task("celery.backend_cleanup", queue=queue)
    app.send_task(EventsWaiting.task, kwargs=kwargs, queue=queue)
    app.send_task(EventsWaiting.task, eta=datetime(2099, 1, 1, tzinfo=UTC), queue=queue)
    headers = {"task": EventsWaiting.task, "id": "t1"}
    with Connection(settings.broker_url) as connection:
        producer = Producer(connection.default_channel, routing_key=queue)
        producer.publish(b"5", headers=headers, content_type="application/json", content_encoding="utf-8")
        producer.publish(b"[[], {}, {}]", headers={**headers, "timelimit": 5}, content_type="application/json")
        producer.publish(b"[[], {}, {}]", headers={**headers, "compression": "gzip"}, content_type="application/json")
        producer.publish(b"x", content_type="text/plain", content_encoding="utf-8")
        pickled = pickle.dumps(([], {}, {}))
        producer.publish(pickled, headers=headers, content_type="application/x-python-serialize")
    app.close()
    return 9


def test_what_is_no_message_becomes_a_row_and_others_proceed(stack: Stack) -> None:
    """Unknown names, pickle, ten megabytes, plain garbage: a row for each, and the same process goes on."""
    process = start(stack, "webhooks")
    family = family_of(process.pid)
    sent = push_what_is_no_message(stack.settings, "webhooks")
    sent += send_what_is_no_message_of_ours(stack.settings, "webhooks")
    event = add_event(stack.begin, event_body("payout.paid", {"id": "po_1"}, at=utc_now()), at=utc_now())
    publish(stack.settings, EventsWaiting())
    eventually(lambda: sum(row.times for row in unreadable(stack.begin)) == sent, 15, lambda: process.log[-3000:])
    worked = "SELECT state = 'ignored' FROM webhook_event WHERE id = :id"
    eventually(lambda: bool(stack.scalar(worked, id=event)), 10, lambda: process.log[-3000:])
    assert family_of(process.pid) == family
    assert "canary" not in process.log
    assert "Traceback" not in process.log


@pytest.mark.parametrize("pool", ["threads --concurrency 4", "prefork --concurrency 2"])
def test_a_stopped_worker_finishes_what_it_does_and_then_ends(stack: Stack, stripe: SlowStripe, pool: str) -> None:
    """A deploy costs no lease, and not a second more than the work that runs."""
    stripe.seconds = 1.0
    process = start(stack, "payments", as_pool=pool)
    purchase = add_purchase(stack.begin, at=utc_now())
    publish(stack.settings, PreparePayment(purchase_id=purchase.id))
    eventually(lambda: bool(stripe.keys), 10)
    begun = time.monotonic()
    os.kill(process.pid, signal.SIGTERM)
    eventually(lambda: not process.is_running, 12, lambda: process.log[-2000:])
    found = load_purchase(stack.begin, purchase.id)
    assert (found.state, found.attempts) == (PurchaseState.PENDING, 1)
    assert time.monotonic() - begun < 8
    with redis.Redis.from_url(stack.settings.broker_url) as client:
        assert client.hlen("unacked") == 0
    _check_lines(process.log)


def _check_lines(log: str) -> None:
    """Every line but Celery's farewell is an object that says who speaks."""
    spoken = [line for line in log.splitlines() if line and "shutdown (MainProcess)" not in line]
    lines = [json.loads(line) for line in spoken]
    assert {line["service"] for line in lines} == {"payments"}
    assert "worker_ready" in {line["event"] for line in lines}


def test_a_killed_child_costs_its_lease_and_nothing_else(stack: Stack, stripe: SlowStripe) -> None:
    """Celery acknowledges and forgets the message; the row is due again, and the same key is sent."""
    stripe.seconds = 5.0
    process = start(stack, "payments", as_pool="prefork --concurrency 1")
    purchase = add_purchase(stack.begin, at=utc_now())
    publish(stack.settings, PreparePayment(purchase_id=purchase.id))
    eventually(lambda: bool(stripe.keys), 10)
    stripe.seconds = 0.0
    (child,) = family_of(process.pid)[1:]
    os.kill(child, signal.SIGKILL)
    eventually(lambda: load_purchase(stack.begin, purchase.id).state is PurchaseState.PENDING, 12)
    assert load_purchase(stack.begin, purchase.id).attempts == 2
    assert len(set(stripe.keys)) == 1
    assert process.is_running


def test_a_request_id_goes_from_hop_to_hop(stack: Stack) -> None:
    """Also where the row of the work does not know it."""
    process = start(stack, "webhooks")
    app = Celery(set_as_current=False)
    app.conf.update({**celery_settings(stack.settings), "broker_transport": None})
    arguments = {"unknown": 1}
    app.send_task(EventsWaiting.task, kwargs=arguments, queue="webhooks", headers={"request_id": "r-from-the-door"})
    app.close()
    eventually(lambda: "message_unreadable" in process.log, 10)
    (line,) = [json.loads(line) for line in process.log.splitlines() if "message_unreadable" in line]
    assert line["request_id"] == "r-from-the-door"


def test_beat_ends_when_it_is_told_to_and_keeps_its_file_among_the_state(stack: Stack, tmp_path: Path) -> None:
    process = stack.processes["beat"]
    process.start()
    eventually(lambda: "beat_ready" in process.log, READY_SECONDS, lambda: process.log)
    begun = time.monotonic()
    process.stop()
    assert time.monotonic() - begun < 5
    assert list(tmp_path.glob("beat-schedule*"))
    assert "Traceback" not in process.log


def test_a_wrong_setting_is_one_line_and_no_traceback(database_url: str, valkey_url: str) -> None:
    variables = environment(database_url, valkey_url, BUSINESS_TIMEZONE="Mars/Olympus")
    argv = [str(Path(sys.executable).parent / "celery"), "-A", "workers.app", "worker"]
    done = subprocess.run(argv, cwd=ROOT, env={**os.environ, **variables}, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert [line for line in done.stderr.splitlines() if line] == [
        "billing: BUSINESS_TIMEZONE: no such time zone; write a name like Europe/Lisbon"
    ]
