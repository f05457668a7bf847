"""The thread that hints what is overdue, and what it does while something is away."""

import threading
from collections.abc import Iterator
from datetime import datetime

import pytest
import redis
from sqlmodel import select

from billing import failures, work
from billing.config import Settings
from billing.db import Begin
from billing.errors import BrokerUnavailableError, DatabaseUnavailableError
from billing.failures import UnreadableFacts
from billing.models import UnreadableMessage
from tests.support.environment import make_settings
from tests.support.factories import add_event, add_purchase, event_body, load_purchase
from tests.support.servers import RunningValkey, running_valkey
from tests.support.stack import eventually
from workers import sweeper as module
from workers import unreadable
from workers.hints import Publisher
from workers.sweeper import Sweeper, sweep


@pytest.fixture
def publisher(settings: Settings) -> Iterator[Publisher]:
    publisher = Publisher(settings)
    yield publisher
    publisher.close()


@pytest.fixture
def queues(valkey_url: str) -> Iterator["redis.Redis"]:
    with redis.Redis.from_url(valkey_url) as client:
        yield client


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "EVERY_SECONDS", 0.05)


def facts() -> UnreadableFacts:
    return UnreadableFacts.of(queue="webhooks", task="", reason="not a message", body=b"garbage")


def recorded(begin: Begin) -> list[UnreadableMessage]:
    with begin() as session:
        return list(session.exec(select(UnreadableMessage)))


def test_what_is_overdue_is_hinted_and_not_at_once_again(
    begin: Begin, now: datetime, publisher: Publisher, queues: "redis.Redis"
) -> None:
    add_purchase(begin, at=now)
    add_event(begin, event_body("payment_intent.succeeded", {"id": "pi_1"}, at=now), at=now)
    assert sweep(begin, publisher) == 2
    assert (queues.llen("purchases"), queues.llen("webhooks")) == (1, 1)
    assert sweep(begin, publisher) == 0


def test_while_the_broker_is_away_no_hint_is_used_up(begin: Begin, now: datetime) -> None:
    """A row whose hint could not leave would otherwise wait its 2, 4, 8 … 60 s after the broker is back."""
    purchase = add_purchase(begin, at=now)
    before = load_purchase(begin, purchase.id)
    with running_valkey() as broker:
        url = broker.url()
    settings = _settings(url)
    with pytest.raises(BrokerUnavailableError):
        sweep(begin, Publisher(settings))
    after = load_purchase(begin, purchase.id)
    assert (after.hints, after.hint_at) == (before.hints, before.hint_at)


def _settings(url: str) -> Settings:
    return make_settings("postgresql://x@127.0.0.1/x", url)


@pytest.mark.usefixtures("quick")
def test_the_thread_goes_on_after_a_broker_came_back(settings: Settings, begin: Begin, now: datetime) -> None:
    with running_valkey() as broker:
        sweeper = Sweeper(settings.model_copy(update={"broker_url": broker.url()}))
        sweeper.start("payments@here")
        broker.stop()
        purchase = add_purchase(begin, at=now)
        broker.start()
        eventually(lambda: _hinted(broker, "purchases") == 1, 10)
        sweeper.stop()
    assert load_purchase(begin, purchase.id).hints == 1


def _hinted(broker: RunningValkey, queue: str) -> int:
    with redis.Redis.from_url(broker.url()) as client:
        return int(str(client.llen(queue)))


@pytest.mark.usefixtures("quick")
def test_the_thread_goes_on_after_a_database_came_back(
    settings: Settings, begin: Begin, now: datetime, queues: "redis.Redis", monkeypatch: pytest.MonkeyPatch
) -> None:
    take_overdue, troubles = work.take_overdue, [DatabaseUnavailableError("restarting")] * 3

    def once_away(begin: Begin, *, limit: int) -> object:
        if troubles:
            raise troubles.pop()
        return take_overdue(begin, limit=limit)

    monkeypatch.setattr(work, "take_overdue", once_away)
    add_purchase(begin, at=now)
    sweeper = Sweeper(settings)
    sweeper.start("payments@here")
    eventually(lambda: queues.llen("purchases") == 1, 10)
    sweeper.stop()


@pytest.mark.usefixtures("quick")
def test_the_thread_ends_when_it_is_told_to(settings: Settings, begin: Begin) -> None:
    sweeper = Sweeper(settings)
    sweeper.start("payments@here")
    unreadable.note(facts())
    sweeper.stop()
    assert "sweeper" not in {thread.name for thread in threading.enumerate()}
    assert len(recorded(begin)) == 1  # written down at the latest when it ends


def test_what_could_not_be_read_is_written_down_whatever_the_broker_does(begin: Begin) -> None:
    unreadable.note(facts())
    unreadable.note(facts())
    with running_valkey() as broker:
        url = broker.url()
    with pytest.raises(BrokerUnavailableError):
        sweep(begin, Publisher(_settings(url)))
    (row,) = recorded(begin)
    assert row.times == 2


def test_what_could_not_be_written_down_is_kept(
    begin: Begin, publisher: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object, **__: object) -> None:
        raise DatabaseUnavailableError("restarting")

    unreadable.note(facts())
    with monkeypatch.context() as patch:
        patch.setattr(failures, "record_unreadable", away)
        with pytest.raises(DatabaseUnavailableError):
            sweep(begin, publisher)
    sweep(begin, publisher)
    assert len(recorded(begin)) == 1


def test_a_flood_of_garbage_does_not_fill_the_memory() -> None:
    for _ in range(unreadable.MOST_WAITING + 50):
        unreadable.note(facts())
    waiting = 0
    while unreadable.next_waiting():
        waiting += 1
    assert waiting == unreadable.MOST_WAITING
