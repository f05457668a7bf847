"""Real workers, frozen, killed, cut off from their broker and deployed anew, while people buy."""

import os
import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import redis
from sqlalchemy import text

from billing.ids import new_id
from billing.work import OPEN_KINDS
from tests.support.backlog import add_backlog
from tests.support.database import TEMPLATE
from tests.support.processes import assert_gone, family_of
from tests.support.servers import RunningPostgres, RunningValkey, running_valkey
from tests.support.stack import Stack, eventually, running_stack

WORKERS = ("payments", "webhooks")
LEASE_SECONDS = 3
LONG_LEASE_SECONDS = 60
"""Nothing can wait for the end of such a lease within a test."""


@pytest.fixture(scope="module")
def broker() -> Iterator[RunningValkey]:
    with running_valkey() as server:
        yield server


@pytest.fixture(scope="module")
def stack(
    postgres: RunningPostgres, broker: RunningValkey, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stack]:
    name = "attack_processes"
    postgres.create_database(name, template=TEMPLATE)
    given = {"DATABASE_URL": postgres.url(name), "WORK_LEASE_SECONDS": str(LEASE_SECONDS)}
    folder: Path = tmp_path_factory.mktemp(name)
    with running_stack(postgres, broker, folder, "sandbox", "web", *WORKERS, **given) as running:
        yield running


@pytest.fixture(autouse=True)
def _nothing_is_doubled(stack: Stack) -> Iterator[None]:
    yield
    assert stack.scalar("SELECT count(*) FROM violation") == 0
    paid = stack.scalar("SELECT count(*) FROM purchase WHERE state = 'completed'")
    assert stack.scalar("SELECT count(*) FROM hour_lot") == paid
    made = [intent.metadata["request_id"] for intent in stack.stripe.v1.payment_intents.list({"limit": 100}).data]
    assert len(set(made)) == len(made)


def email() -> str:
    return f"{new_id().hex}@example.com"


def slow_creates(stack: Stack, seconds: float, times: int) -> None:
    """Stripe has made the intent, and takes its time to say so."""
    fault = {
        "match": {"path": "/v1/payment_intents$"},
        "when": "after",
        "do": {"delay_seconds": seconds},
        "times": times,
    }
    stack.control.post("/faults", json=[fault]).raise_for_status()


def leased(stack: Stack, *tables: str) -> int:
    """How many rows of these kinds, or of any, are in somebody's hands."""
    kinds = tables or [kind.model.kind for kind in OPEN_KINDS]
    counts = (f"(SELECT count(lease_token) FROM {kind})" for kind in kinds)  # noqa: S608
    return int(stack.scalar(f"SELECT {' + '.join(counts)}"))


def purchase_row(stack: Stack, accepted: Mapping[str, Any]) -> Mapping[str, Any]:
    with stack.begin() as session:
        found = text("SELECT * FROM purchase WHERE id = :id")
        return dict(session.execute(found, {"id": accepted["task_id"]}).mappings().one())


def test_a_worker_frozen_past_its_lease_wakes_to_a_purchase_that_is_not_its_own(stack: Stack) -> None:
    """With Stripe's answer on its way to it: what the other worker recorded stays, and the late answer is dropped."""
    payments = stack.processes["payments"]
    slow_creates(stack, 2, times=1)
    accepted = stack.buy(email())
    eventually(lambda: leased(stack) == 1, 10)
    payments.signal_all(signal.SIGSTOP)
    other = stack.twin("payments")
    stack.start(other.name)
    status = stack.wait_for(accepted, "pending", seconds=LEASE_SECONDS + 15)
    payments.signal_all(signal.SIGCONT)
    eventually(lambda: "LeaseLostError" in payments.log, 15, lambda: payments.log[-2000:])
    other.stop()
    found = purchase_row(stack, accepted)
    assert (found["payment_intent_id"], found["attempts"]) == (status["payment_intent_id"], 2)
    stack.pay(status)
    stack.wait_for(accepted, "completed")


@contextmanager
def flushed(broker: RunningValkey, every_seconds: float) -> Iterator[None]:
    """The broker forgets everything, again and again."""
    over = threading.Event()

    def flush() -> None:
        with redis.Redis.from_url(broker.url()) as client:
            while not over.wait(every_seconds):
                client.flushall()

    flusher = threading.Thread(target=flush)
    flusher.start()
    try:
        yield
    finally:
        over.set()
        flusher.join()


def test_events_outlive_their_worker_and_the_brokers_memory(stack: Stack, broker: RunningValkey) -> None:
    """Its main process is killed with two hundred events in hand, and no hint lives for longer than a moment."""
    webhooks = stack.processes["webhooks"]
    webhooks.stop()
    expected = add_backlog(stack.begin, stack.settings, events=200, students=20, name=new_id().hex)
    with flushed(broker, every_seconds=0.5):
        webhooks.start()
        eventually(lambda: leased(stack) > 0 or waiting_events(stack) == 0, 30, lambda: webhooks.log[-2000:])
        family = family_of(webhooks.pid)
        os.kill(webhooks.pid, signal.SIGKILL)
        webhooks.wait()
        assert_gone(family)
        webhooks.start()
        eventually(lambda: waiting_events(stack) == 0, LEASE_SECONDS + 25, lambda: webhooks.log[-2000:])
    with stack.begin() as session:
        found = text("SELECT student_id, minutes_left FROM student_balance WHERE student_id = ANY(:ids)")
        assert dict(session.execute(found, {"ids": list(expected)}).all()) == expected


def waiting_events(stack: Stack) -> int:
    return int(stack.scalar("SELECT count(*) FROM webhook_event WHERE due_at IS NOT NULL"))


def test_a_rolling_restart_under_load_loses_nothing_and_leaves_no_lease_behind(
    stack: Stack, broker: RunningValkey
) -> None:
    """Who is told to stop finishes what it has in hand; what it has not begun is a hint for the next one at once.

    Every process of a worker is told, as service managers do that end a group.
    """
    workers = [stack.processes[name] for name in WORKERS]
    for process in workers:
        process.stop()
        process.become(process.command, WORK_LEASE_SECONDS=str(LONG_LEASE_SECONDS))
    stack.start(*WORKERS)
    slow_creates(stack, 1.5, times=40)
    add_backlog(stack.begin, stack.settings, events=4_000, students=50, name=new_id().hex)
    accepted = [stack.buy(email()) for _ in range(40)]
    eventually(lambda: leased(stack, "purchase") > 10 and leased(stack, "webhook_event") > 0, 10)
    for process in workers:
        process.signal_all(signal.SIGTERM)
    eventually(lambda: not any(process.is_running for process in workers), 15)
    assert leased(stack) == 0
    with redis.Redis.from_url(broker.url()) as client:
        assert client.hlen("unacked") == 0
    stack.start(*WORKERS)
    eventually(lambda: waiting_events(stack) == 0, 30)
    for purchase in accepted:
        stack.wait_for(purchase, "pending", seconds=30)
        assert purchase_row(stack, purchase)["attempts"] == 1
