"""What else a broker and a payment service can do to a running pipeline; one stack for all of it."""

import signal
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
import redis

from billing.ids import new_id
from billing.messages import ReadEvents
from tests.support.database import TEMPLATE
from tests.support.servers import RunningPostgres, RunningValkey, running_valkey
from tests.support.stack import WORKERS, Stack, eventually, running_stack
from workers.hints import Publisher

LEASE_SECONDS = 2
DOOR_SECONDS = 1.0
"""So long a purchase may take at the door while the broker is in trouble."""


@pytest.fixture(scope="module")
def broker() -> Iterator[RunningValkey]:
    with running_valkey() as server:
        yield server


@pytest.fixture(scope="module")
def stack(
    postgres: RunningPostgres, broker: RunningValkey, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stack]:
    name = "more_faults"
    postgres.create_database(name, template=TEMPLATE)
    given = {"DATABASE_URL": postgres.url(name), "WORK_LEASE_SECONDS": str(LEASE_SECONDS)}
    folder: Path = tmp_path_factory.mktemp(name)
    with running_stack(postgres, broker, folder, "sandbox", "web", *WORKERS, "maintenance", **given) as running:
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


def pay_and_wait(stack: Stack, accepted: Mapping[str, Any]) -> None:
    stack.pay(stack.wait_for(accepted, "pending", seconds=30))
    stack.wait_for(accepted, "completed", seconds=30)


def bought_of_the_frozen(stack: Stack, broker: RunningValkey) -> Mapping[str, Any]:
    """A purchase whose message the broker gave to a worker that is frozen: where that one had not asked, once more."""
    payments = stack.processes["payments"]
    with redis.Redis.from_url(broker.url()) as client:
        for _ in range(10):
            payments.signal_all(signal.SIGSTOP)
            before = pushes(client)
            accepted = stack.buy(email())
            eventually(lambda: pushes(client) > before, 5)  # noqa: B023  # called within this round
            if client.llen("purchases") == client.hlen("unacked") == 0:
                return accepted
            payments.signal_all(signal.SIGCONT)
            stack.wait_for(accepted, "pending")
    pytest.fail("the broker never gave a message away")


def pushes(client: redis.Redis) -> int:
    """How many messages were put into a queue since the broker began."""
    return int(client.info("commandstats").get("cmdstat_lpush", {"calls": 0})["calls"])


def test_a_message_in_the_hands_of_a_worker_that_froze_and_died_is_not_missed(
    stack: Stack, broker: RunningValkey
) -> None:
    """The broker gave it away and nobody noted it: only the row knows of it, and is worked within its lease."""
    stack.control.post("/delivery", json={"paused": True}).raise_for_status()  # so that purchases alone are hinted
    try:
        accepted = bought_of_the_frozen(stack, broker)
        assert stack.status(accepted)["status"] == "queued"
    finally:
        stack.processes["payments"].kill()
        stack.start("payments")
        stack.control.post("/delivery", json={}).raise_for_status()
    stack.wait_for(accepted, "pending", seconds=LEASE_SECONDS + 5)


@contextmanager
def wiped(broker: RunningValkey, every_seconds: float) -> Iterator[list[float]]:
    """The broker forgets everything again and again; gives the instants at which it did."""
    over, wipes = threading.Event(), list[float]()

    def wipe() -> None:
        with redis.Redis.from_url(broker.url()) as client:
            while not over.wait(every_seconds):
                try:
                    client.flushall()
                except redis.RedisError:
                    continue  # it is being started anew
                wipes.append(time.monotonic())

    wiper = threading.Thread(target=wipe)
    wiper.start()
    try:
        yield wipes
    finally:
        over.set()
        wiper.join()


def test_a_broker_that_is_wiped_a_hundred_times_and_started_empty_loses_nothing(
    stack: Stack, broker: RunningValkey
) -> None:
    """While people buy: whatever lay in it is hinted again."""
    accepted = []
    with wiped(broker, every_seconds=0.04) as wipes:
        for number in range(12):
            accepted.append(stack.buy(email()))
            if number == 6:
                broker.kill()
                broker.start()
        for purchase in accepted:
            pay_and_wait(stack, purchase)
        eventually(lambda: len(wipes) >= 100, 20)


TROUBLES: Mapping[str, Mapping[str, str]] = {
    "full": {"maxmemory": "1mb"},
    "read only": {"min-replicas-to-write": "1"},
}
"""Settings under which a broker answers every write with an error: out of memory, or its writes would not be safe."""


ERRORS: Mapping[str, str] = {"full": "command not allowed when used memory", "read only": "NOREPLICAS"}
"""What a worker that wants to note a message hears of it."""


@contextmanager
def refusing(broker: RunningValkey, trouble: Mapping[str, str]) -> Iterator[None]:
    with redis.Redis.from_url(broker.url()) as client:
        before = {name: client.config_get(name)[name] for name in trouble}
        client.config_set(*[word for pair in trouble.items() for word in pair])
        try:
            with pytest.raises(redis.RedisError):
                client.set("anything", 1)
            yield
        finally:
            client.config_set(*[word for pair in before.items() for word in pair])


@contextmanager
def frozen_with_a_message_before_it(stack: Stack, broker: RunningValkey, email: str) -> Iterator[Mapping[str, Any]]:
    """A purchase whose message lies in the queue, and is the first thing that its worker finds afterwards."""
    payments = stack.processes["payments"]
    payments.signal_all(signal.SIGSTOP)
    try:
        with redis.Redis.from_url(broker.url()) as client:
            for waiting in (one["id"] for one in client.client_list() if "b" in one["flags"]):
                client.client_unblock(int(waiting))
            accepted = stack.buy(email)
            eventually(lambda: client.llen("purchases") == 1, 5)
        yield accepted
    finally:
        payments.signal_all(signal.SIGCONT)


@pytest.mark.parametrize("trouble", TROUBLES)
def test_a_broker_that_takes_no_writes_holds_up_no_purchase(stack: Stack, broker: RunningValkey, trouble: str) -> None:
    """Accepted within the door's bound, and worked once it takes them again, by workers that nobody restarted."""
    workers = {name: stack.processes[name].pid for name in WORKERS}
    with ExitStack() as troubles:
        with frozen_with_a_message_before_it(stack, broker, email()) as first:
            troubles.enter_context(refusing(broker, TROUBLES[trouble]))
        accepted, slowest = [first], 0.0
        for _ in range(4):
            began = time.monotonic()
            accepted.append(stack.buy(email()))
            slowest = max(slowest, time.monotonic() - began)
        assert slowest < DOOR_SECONDS
        eventually(lambda: ERRORS[trouble] in stack.processes["payments"].log, 10)
    for purchase in accepted:
        pay_and_wait(stack, purchase)
    assert {name: stack.processes[name].pid for name in WORKERS if stack.processes[name].is_running} == workers


def test_every_webhook_is_lost_and_every_payment_is_credited_by_one_reading(stack: Stack) -> None:
    """Beat asks for a reading each minute; here it is asked for by hand, so that nobody waits for the minute."""
    stack.control.post("/delivery", json={"drop_share": 1}).raise_for_status()
    accepted = [stack.buy(email()) for _ in range(6)]
    for purchase in accepted:
        stack.pay(stack.wait_for(purchase, "pending", seconds=30))
    assert {stack.status(purchase)["status"] for purchase in accepted} == {"pending"}
    publisher = Publisher(stack.settings)
    publisher.publish([ReadEvents()])
    publisher.close()
    for purchase in accepted:
        stack.wait_for(purchase, "completed", seconds=30)
    stack.control.post("/delivery", json={}).raise_for_status()
    deliver_late(stack)


def deliver_late(stack: Stack) -> None:
    """All of Stripe's events come after all; none of them is news."""
    kept = stack.scalar("SELECT count(*) FROM webhook_event WHERE type = 'payment_intent.succeeded'")
    for event in stack.stripe.v1.events.list({"type": "payment_intent.succeeded", "limit": 100}).data:
        assert stack.control.post(f"/events/{event.id}/deliver").json()["statuses"] == [200]
    assert stack.scalar("SELECT count(*) FROM webhook_event WHERE type = 'payment_intent.succeeded'") == kept
