"""A hint leaves soon, or is lost; it never holds anybody up."""

import base64
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import kombu
import orjson
import pytest
from redis import Redis
from starlette.testclient import TestClient

from billing.broker import hint_key, task_arguments
from billing.config import Settings
from billing.ids import new_id
from billing.messages import MESSAGES, EventsWaiting, LinkStudent, Message, PreparePayment
from tests.support.messages import SAMPLES
from tests.support.servers import running_valkey
from tests.web.support import buy, deliver
from web import queue
from web.app import create_app
from web.queue import HintQueue
from workers.envelope import complaint, complaint_about_item

AWAY = "redis://127.0.0.1:1/0"


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
    away = settings.model_copy(update={"broker_url": AWAY, "redis_url": AWAY})
    with TestClient(create_app(away)) as client:
        assert buy(client).status_code == 202


@pytest.fixture
def publisher(settings: Settings) -> Iterator[queue._Publisher]:
    publisher = queue._Publisher(settings)
    yield publisher
    publisher.close()


def taken_from(broker: "Redis", name: str) -> bytes:
    item = broker.rpop(name)
    assert isinstance(item, bytes)
    return item


def without_ids(item: bytes) -> dict[str, Any]:
    """What is said, but for who says it; the three names of one message must be one."""
    message: dict[str, Any] = orjson.loads(item)
    headers, properties = message["headers"], message["properties"]
    assert headers.pop("id") == headers.pop("root_id") == properties.pop("correlation_id")
    assert properties.pop("delivery_tag")
    return {**message, "body": orjson.loads(base64.b64decode(message["body"]))}


@pytest.mark.parametrize("kind", MESSAGES)
def test_a_hint_is_what_celery_would_send(publisher: queue._Publisher, broker: "Redis", kind: type[Message]) -> None:
    """A worker must not be able to tell who made it."""
    message = SAMPLES[kind]
    publisher.publish([message])
    ours = taken_from(broker, kind.queue)
    publisher._app.send_task(kind.task, kwargs=task_arguments(message), queue=kind.queue, ignore_result=True)
    assert without_ids(ours) == without_ids(taken_from(broker, kind.queue))


@pytest.mark.parametrize("kind", MESSAGES)
def test_a_worker_takes_it_for_one_of_ours(publisher: queue._Publisher, broker: "Redis", kind: type[Message]) -> None:
    publisher.publish([SAMPLES[kind]])
    item = taken_from(broker, kind.queue)
    message = orjson.loads(item)
    assert complaint_about_item(item) is None
    assert complaint(message["headers"], message["content-type"], base64.b64decode(message["body"])) is None


def test_hints_that_wait_leave_together(settings: Settings, broker: "Redis", monkeypatch: pytest.MonkeyPatch) -> None:
    """One by one they would cost more than the purchases; each is still a message of its own."""
    together: list[int] = []
    publish = queue._Publisher.publish

    def counted(publisher: queue._Publisher, messages: Sequence[Message]) -> None:
        together.append(len(messages))
        publish(publisher, messages)

    monkeypatch.setattr(queue._Publisher, "publish", counted)
    hints = HintQueue(settings)
    wishes = [PreparePayment(purchase_id=new_id()) for _ in range(queue.MOST_TOGETHER + 50)]
    for wish in wishes:
        hints.send(wish)
    hints.start()
    eventually(lambda: broker.llen("purchases") == len(wishes))
    hints.stop()
    assert together == [queue.MOST_TOGETHER, 50]
    messages = [orjson.loads(taken_from(broker, "purchases")) for _ in wishes]
    assert [str(wish.purchase_id) in one["headers"]["kwargsrepr"] for wish, one in zip(wishes, messages, strict=True)]
    assert len({one["headers"]["id"] for one in messages}) == len(wishes)


def test_a_broker_without_pipelines_gets_them_one_by_one(settings: Settings) -> None:
    """RabbitMQ has none; what leaves is the same."""
    publisher = queue._Publisher(settings.model_copy(update={"broker_url": "memory://"}))
    publisher.publish([SAMPLES[PreparePayment], SAMPLES[PreparePayment], SAMPLES[LinkStudent]])
    with kombu.Connection("memory://") as connection:
        channel: Any = connection.default_channel
        for name, expected in (("purchases", 2), ("hours", 1)):
            found = [channel.basic_get(name) for _ in range(expected + 1)]
            assert [bool(message) for message in found] == [True] * expected + [False]
    publisher.close()


def test_a_key_that_cannot_be_set_keeps_no_purchase_back(settings: Settings, broker: "Redis") -> None:
    """Keys and queues may live on two servers; only what needs a key is dropped when theirs is away."""
    hints = HintQueue(settings.model_copy(update={"redis_url": AWAY}))
    hints.send(EventsWaiting())
    hints.send(SAMPLES[PreparePayment])
    hints.start()
    eventually(lambda: hints.dropped)
    assert broker.llen("purchases") == 1
    assert broker.llen("webhooks") == 0
    hints.stop()
