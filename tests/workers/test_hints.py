"""Hints out of workers: quick, few, and never a reason to fail."""

import json
import time
from collections.abc import Iterator

import pytest
import redis

from billing import logs
from billing.broker import HINT_MILLISECONDS, hint_key
from billing.config import Settings
from billing.errors import BrokerUnavailableError
from billing.ids import new_id
from billing.messages import EventsWaiting, PreparePayment, PurchaseChanged
from tests.support.environment import make_settings
from tests.support.servers import RunningValkey, running_valkey
from workers.hints import BrokerHints, Publisher

BOUND_SECONDS = 5


def settings_for(url: str) -> Settings:
    return make_settings("postgresql://x@127.0.0.1/x", url)


@pytest.fixture
def hints(valkey_url: str) -> BrokerHints:
    return BrokerHints(settings_for(valkey_url))


@pytest.fixture
def queues(valkey_url: str) -> Iterator["redis.Redis"]:
    with redis.Redis.from_url(valkey_url) as client:
        yield client


@pytest.fixture
def broker() -> Iterator[RunningValkey]:
    with running_valkey() as server:
        yield server


def test_a_hint_names_its_row_and_its_request(hints: BrokerHints, queues: "redis.Redis") -> None:
    message = PreparePayment(purchase_id=new_id())
    logs.bind_request_id("r1")
    hints.send(message)
    logs.bind_request_id(None)
    item = queues.rpop("purchases")
    assert isinstance(item, bytes)
    headers = json.loads(item)["headers"]
    assert (headers["task"], headers["request_id"]) == (message.task, "r1")
    assert str(message.purchase_id) in headers["kwargsrepr"]


def test_one_hint_stands_for_all_rows_that_come_meanwhile(hints: BrokerHints, queues: "redis.Redis") -> None:
    for _ in range(20):
        hints.send(EventsWaiting())
    assert queues.llen("webhooks") == 1


def test_after_the_work_was_taken_a_new_row_is_hinted_anew(hints: BrokerHints, queues: "redis.Redis") -> None:
    """The worker says so before it selects: a row that comes later is not forgotten."""
    hints.send(EventsWaiting())
    hints.taken(EventsWaiting)
    hints.send(EventsWaiting())
    assert queues.llen("webhooks") == 2


def test_a_hint_that_was_lost_is_not_waited_for(hints: BrokerHints, queues: "redis.Redis") -> None:
    """Between the key and the publish a process may die: the key ends by itself."""
    queues.set(hint_key(EventsWaiting), 1, nx=True, px=HINT_MILLISECONDS)
    hints.send(EventsWaiting())
    assert queues.llen("webhooks") == 0
    time.sleep(HINT_MILLISECONDS / 1000 + 0.05)
    hints.send(EventsWaiting())
    assert queues.llen("webhooks") == 1


def test_hints_of_single_rows_are_never_held_back(hints: BrokerHints, queues: "redis.Redis") -> None:
    for _ in range(3):
        hints.send(PreparePayment(purchase_id=new_id()))
    assert queues.llen("purchases") == 3


def test_the_sweepers_hints_ignore_the_key(valkey_url: str, hints: BrokerHints, queues: "redis.Redis") -> None:
    hints.send(EventsWaiting())
    publisher = Publisher(settings_for(valkey_url))
    publisher.publish([EventsWaiting(), EventsWaiting()])
    publisher.close()
    assert queues.llen("webhooks") == 3


def test_the_changes_of_a_batch_are_one_message_to_the_doors(hints: BrokerHints, queues: "redis.Redis") -> None:
    """Every door hears every change, so it had better hear few messages; nothing waits for them in a queue."""
    ids = [new_id() for _ in range(200)]
    with queues.pubsub(ignore_subscribe_messages=True) as channel:  # type: ignore[no-untyped-call]
        channel.subscribe(PurchaseChanged.channel)
        channel.get_message(timeout=1)
        hints.notify([])
        hints.notify([PurchaseChanged(purchase_id=one) for one in [*ids, *ids]])
        message = channel.get_message(timeout=1)
        assert message is not None
        assert message["data"].decode().split() == [str(one) for one in ids]
        assert channel.get_message(timeout=0.1) is None
    assert queues.keys() == []


@pytest.mark.parametrize("fate", ["freeze", "stop"])
def test_a_broker_that_is_away_costs_a_moment_and_no_error(broker: RunningValkey, fate: str) -> None:
    """A task must end for its row, not wait for a hint that nothing depends on."""
    hints = BrokerHints(settings_for(broker.url()))
    hints.send(EventsWaiting())
    getattr(broker, fate)()
    start = time.monotonic()
    for _ in range(20):
        hints.send(PreparePayment(purchase_id=new_id()))
        hints.taken(EventsWaiting)
        hints.notify([PurchaseChanged(purchase_id=new_id())])
    assert time.monotonic() - start < BOUND_SECONDS
    broker.thaw() if fate == "freeze" else broker.start()
    time.sleep(1.1)
    hints.send(PreparePayment(purchase_id=new_id()))
    with redis.Redis.from_url(broker.url()) as client:
        assert client.llen("purchases") >= 1


def test_a_full_broker_is_one_that_is_away(broker: RunningValkey) -> None:
    publisher = Publisher(settings_for(broker.url()))
    publisher.check()
    with redis.Redis.from_url(broker.url()) as client:
        client.config_set("maxmemory", "1")
    with pytest.raises(BrokerUnavailableError):
        publisher.publish([EventsWaiting()])
    publisher.close()


def test_the_check_notices_a_broker_that_does_not_answer(broker: RunningValkey) -> None:
    publisher = Publisher(settings_for(broker.url()))
    publisher.check()
    broker.freeze()
    start = time.monotonic()
    with pytest.raises(BrokerUnavailableError):
        publisher.check()
    assert time.monotonic() - start < BOUND_SECONDS
    broker.thaw()
    publisher.check()
    publisher.close()
