"""Everything around the money may break; the money may not."""

import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
import redis
from sqlalchemy import text

from billing.ids import new_id
from tests.support.backlog import add_backlog
from tests.support.database import TEMPLATE, fill_template
from tests.support.servers import RunningPostgres, RunningValkey, running_postgres, running_valkey
from tests.support.stack import PREFIX, Stack, eventually, running_stack

BODY = {"plan_id": 2, "student_info": {"name": "Ana", "email": "ana@example.com"}}
RECOVERY_SECONDS = 10


@pytest.fixture
def broker() -> Iterator[RunningValkey]:
    """A broker of the test's own, to be frozen, flushed and stopped."""
    with running_valkey() as server:
        yield server


@pytest.fixture
def stack(postgres: RunningPostgres, broker: RunningValkey, tmp_path: Path) -> Iterator[Stack]:
    name = f"fault_{new_id().hex[:8]}"
    postgres.create_database(name, template=TEMPLATE)
    with running_stack(postgres, broker, tmp_path, DATABASE_URL=postgres.url(name)) as running:
        yield running


def replace_by_dying(stack: Stack, name: str, at: str, tmp_path: Path) -> None:
    """Run this worker with a point at which it is killed, once."""
    process = stack.processes[name]
    process.stop()
    process.become(
        process.command.replace("workers.app", "tests.support.dying"), DIE_AT=at, DIE_ONCE=str(tmp_path / "died")
    )
    process.start()
    eventually(lambda: process.log.count(" ready") >= 2, 30, lambda: process.log[-2000:])


def resurrect(stack: Stack, name: str) -> None:
    """What the supervisor does with a process that died."""
    process = stack.processes[name]
    eventually(lambda: not process.is_running, 20, lambda: f"{name} did not die")
    process.start()


def intents(stack: Stack) -> int:
    return len(stack.stripe.v1.payment_intents.list({"limit": 100}).data)


@pytest.mark.parametrize("at", ["before the call", "after Stripe's answer", "after the payment's commit"])
def test_a_worker_killed_around_the_call_makes_one_intent(stack: Stack, tmp_path: Path, at: str) -> None:
    """Between Stripe's answer and the commit nothing is known here; the next worker sends the same key."""
    replace_by_dying(stack, "payments", at, tmp_path)
    accepted = stack.buy()
    resurrect(stack, "payments")
    start = time.monotonic()
    stack.wait_for(accepted, "pending", seconds=30)
    assert time.monotonic() - start < RECOVERY_SECONDS + 5  # the start of a process included
    assert intents(stack) == 1


@pytest.mark.parametrize("at", ["after the events' claim", "after the events' commit"])
def test_a_worker_killed_around_the_credit_credits_once(stack: Stack, tmp_path: Path, at: str) -> None:
    """Killed with the message in flight, before or after the commit: the hours are there once."""
    replace_by_dying(stack, "webhooks", at, tmp_path)
    accepted = stack.buy()
    stack.pay(stack.wait_for(accepted, "pending"))
    resurrect(stack, "webhooks")
    stack.wait_for(accepted, "completed", seconds=30)
    nothing_left(stack)
    assert stack.hours() == "10.00"


def test_a_frozen_worker_is_replaced_and_wakes_to_nothing(stack: Stack) -> None:
    """Frozen past its lease in a call: the sweeper brings another, and the late answer changes nothing."""
    payments = stack.processes["payments"]
    slow = {"match": {"path": "/v1/payment_intents$"}, "when": "after", "do": {"delay_seconds": 2}, "times": 1}
    stack.control.post("/faults", json=[slow])
    accepted = stack.buy()
    eventually(lambda: intents(stack) == 1, 10)
    payments.signal_all(signal.SIGSTOP)
    other = stack.twin("payments")
    other.start()
    stack.wait_for(accepted, "pending", seconds=40)
    payments.signal_all(signal.SIGCONT)
    stack.pay(stack.status(accepted))
    stack.wait_for(accepted, "completed")
    assert intents(stack) == 1
    other.kill()


def test_a_broker_that_is_flushed_every_second_loses_nothing(stack: Stack, broker: RunningValkey) -> None:
    """Losing the whole broker, as often as one likes, costs time and nothing else."""
    flushing = threading.Event()

    def flush() -> None:
        with redis.Redis.from_url(broker.url()) as client:
            while not flushing.wait(1):
                client.flushall()

    flusher = threading.Thread(target=flush)
    flusher.start()
    try:
        purchases = buy_and_pay(stack, 40, over_seconds=5)
    finally:
        flushing.set()
        flusher.join()
    all_credited(stack, purchases)


@pytest.mark.parametrize("trouble", ["frozen", "stopped"])
def test_the_door_goes_on_while_the_broker_is_away(stack: Stack, broker: RunningValkey, trouble: str) -> None:
    """Ten seconds without a broker: everything is accepted within its bound, and worked afterwards."""
    (broker.freeze if trouble == "frozen" else broker.stop)()
    accepted, slowest = [], 0.0
    end = time.monotonic() + 10
    while time.monotonic() < end:
        start = time.monotonic()
        accepted.append(stack.buy())
        slowest = max(slowest, time.monotonic() - start)
        time.sleep(0.25)
    (broker.thaw if trouble == "frozen" else broker.start)()
    assert slowest < 1
    for purchase in accepted:
        stack.pay(stack.wait_for(purchase, "pending", seconds=40))
    all_credited(stack, accepted)


def test_a_database_that_is_stopped_is_answered_503_and_comes_back(broker: RunningValkey, tmp_path: Path) -> None:
    """The door says so within its bound, and nobody has to be restarted."""
    with running_postgres(synchronous_commit="on") as server:
        server.create_database(TEMPLATE)
        fill_template(server.url(TEMPLATE))
        with running_stack(server, broker, tmp_path, DATABASE_URL=server.url(TEMPLATE)) as stack:
            before = stack.buy()
            stack.wait_for(before, "pending")
            server.kill()
            end = time.monotonic() + 10
            while time.monotonic() < end:
                start = time.monotonic()
                answer = stack.door.post(f"{PREFIX}/purchase/initiate/", json=BODY)
                assert (answer.status_code, answer.json()["error_type"]) == (503, "unavailable")
                assert time.monotonic() - start < 2.5
                time.sleep(0.5)
            server.start()
            eventually(lambda: accepts(stack), RECOVERY_SECONDS)
            after = stack.buy()
            for purchase in (before, after):
                stack.pay(stack.wait_for(purchase, "pending", seconds=40))
            all_credited(stack, [before, after])


def test_a_backlog_is_drained_in_batches_to_exact_balances(stack: Stack) -> None:
    """Five thousand events that waited for a worker: every balance is the sum of its payments."""
    stack.processes["webhooks"].stop()
    expected = add_backlog(stack.begin, stack.settings, events=5000, students=97)
    stack.processes["webhooks"].start()
    eventually(lambda: waiting(stack) == 0, 60)
    with stack.begin() as session:
        found = session.execute(text("SELECT student_id, minutes_left FROM student_balance")).all()
    assert dict(found) == expected
    assert stack.scalar("SELECT count(*) FROM violation") == 0


def buy_and_pay(stack: Stack, count: int, *, over_seconds: float) -> list[dict[str, Any]]:
    purchases = []
    for _ in range(count):
        purchases.append(stack.buy())
        time.sleep(over_seconds / count)
    for accepted in purchases:
        stack.pay(stack.wait_for(accepted, "pending", seconds=40))
    return purchases


def all_credited(stack: Stack, purchases: list[dict[str, Any]]) -> None:
    for accepted in purchases:
        stack.wait_for(accepted, "completed", seconds=60)
    nothing_left(stack)
    assert float(stack.hours()) == 10 * len(purchases)
    assert intents(stack) == len(purchases)


def nothing_left(stack: Stack) -> None:
    eventually(lambda: waiting(stack) == 0, 30, lambda: "events are left")
    assert stack.scalar("SELECT count(*) FROM violation") == 0


def waiting(stack: Stack) -> int:
    return int(stack.scalar("SELECT count(*) FROM webhook_event WHERE due_at IS NOT NULL"))


def accepts(stack: Stack) -> bool:
    try:
        return stack.door.get("/readyz").status_code == 200
    except httpx2.TransportError:
        return False
