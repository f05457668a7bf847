"""A hint leaves soon, or is lost; it never holds anybody up."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import orjson
import pytest
from redis import Redis
from starlette.testclient import TestClient

from billing.broker import hint_key
from billing.config import Settings
from billing.ids import new_id
from billing.messages import EventsWaiting, PreparePayment
from tests.support.servers import running_valkey
from tests.web.support import buy, deliver
from web import queue
from web.app import create_app
from web.queue import HintQueue


@contextmanager
def started(settings: Settings) -> Iterator[HintQueue]:
    hints = HintQueue(settings)
    hints.start()
    yield hints
    hints.stop()


def eventually(holds: Callable[[], object], seconds: float = 5.0) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.fixture
def broker(settings: Settings) -> Iterator["Redis"]:
    with Redis.from_url(settings.redis_url) as client:
        yield client


def test_a_purchase_is_hinted_by_its_id_and_nothing_else(client: TestClient, broker: "Redis") -> None:
    """Whoever reads the broker learns no name, no price and no secret."""
    task_id = buy(client).json()["task_id"]
    eventually(lambda: broker.llen("purchases"))
    message = orjson.loads(broker.lrange("purchases", 0, -1)[0])
    assert message["headers"]["task"] == PreparePayment.task
    assert message["content-type"] == "application/json"
    assert message["headers"]["eta"] is None
    assert task_id in str(message["headers"]["kwargsrepr"])
    assert b"example.com" not in broker.lrange("purchases", 0, -1)[0]


def test_a_repeat_is_not_hinted_again(client: TestClient, broker: "Redis") -> None:
    for _ in range(3):
        buy(client, key="order-1")
    deliver(client, b'{"id": "evt_1", "object": "event", "type": "x"}')
    eventually(lambda: broker.llen("webhooks"))
    assert broker.llen("purchases") == 1


def test_many_events_are_one_hint(client: TestClient, broker: "Redis", monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker takes all that wait, so one word is enough for all of them."""
    monkeypatch.setattr(queue, "HINT_MILLISECONDS", 60_000)
    for number in range(20):
        deliver(client, b'{"id": "evt_%d", "object": "event", "type": "x"}' % number)
    eventually(lambda: broker.llen("webhooks"))
    buy(client)
    eventually(lambda: broker.llen("purchases"))
    assert broker.llen("webhooks") == 1


def test_a_hint_taken_lets_the_next_one_through(settings: Settings, broker: "Redis") -> None:
    with started(settings) as hints:
        hints.send(EventsWaiting())
        eventually(lambda: broker.llen("webhooks") == 1)
        hints.taken(EventsWaiting)
        assert not broker.exists(hint_key(EventsWaiting))
        hints.send(EventsWaiting())
        eventually(lambda: broker.llen("webhooks") == 2)


def test_the_list_is_bounded(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """A broker that stays away must not fill the door's memory."""
    monkeypatch.setattr(queue, "MOST_WAITING", 10)
    hints = HintQueue(settings)
    for _ in range(15):
        hints.send(PreparePayment(purchase_id=new_id()))
        hints.send(EventsWaiting())
    assert hints.dropped == 5 + 1


def test_a_broker_that_is_away_or_frozen_holds_nobody_up(settings: Settings) -> None:
    """The purchase is committed; its hint is somebody else's trouble."""
    with running_valkey() as own:
        moved = settings.model_copy(update={"redis_url": own.url(), "broker_url": own.url()})
        with TestClient(create_app(moved)) as client, Redis.from_url(own.url()) as broker:
            assert buy(client).status_code == 202
            eventually(lambda: broker.llen("purchases") == 1)
            for trouble, mend in ((own.freeze, own.thaw), (own.stop, own.start)):
                trouble()
                began = time.monotonic()
                assert [buy(client).status_code for _ in range(20)] == [202] * 20
                assert time.monotonic() - began < 2
                mend()
            eventually(lambda: buy(client).status_code == 202 and broker.llen("purchases") > 0)


def test_the_door_opens_while_the_broker_is_away(settings: Settings) -> None:
    away = settings.model_copy(update={"broker_url": "redis://127.0.0.1:1/0", "redis_url": "redis://127.0.0.1:1/0"})
    with TestClient(create_app(away)) as client:
        assert buy(client).status_code == 202
