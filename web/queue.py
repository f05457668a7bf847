"""Hints out: put into a bounded list by the door, published by one thread, never in the way of an answer.

A hint that is lost costs the sweeper's two seconds and nothing else, so every trouble here ends in a dropped hint.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property, partial
from typing import Any

import orjson
import structlog
from celery import Celery
from kombu import Exchange, Queue
from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from billing.broker import (
    DOOR_SOCKET_SECONDS,
    HINT_MILLISECONDS,
    celery_options,
    hint_key,
    queue_arguments,
    task_arguments,
)
from billing.config import Settings
from billing.ids import new_id
from billing.messages import MESSAGES, QUEUES, Message

log: structlog.stdlib.BoundLogger = structlog.get_logger("web.queue")

MOST_WAITING = 5_000
MOST_TOGETHER = 100
REST_SECONDS = 0.01
"""A lone hint leaves at once; in a crowd, those that come within this time leave together and wake one thread once."""

PAUSE_SECONDS = 1.0


class HintQueue:
    """`send` never waits; the thread between `start` and `stop` does."""

    def __init__(self, settings: Settings) -> None:
        self._publisher = _Publisher(settings)
        self._waiting: deque[Message] = deque()
        self._waiting_kinds: set[type[Message]] = set()
        self._changed = threading.Condition()
        self._is_open = False
        self._thread: threading.Thread | None = None
        self.dropped = 0
        self.is_reachable: bool | None = None
        """Whether the broker took the last hint; None before the first try."""

    def start(self) -> None:
        self._is_open = True
        self._thread = threading.Thread(target=self._run, name="hints", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Give what waits a short chance to leave."""
        with self._changed:
            self._is_open = False
            self._changed.notify()
        if self._thread is not None:
            self._thread.join(timeout=PAUSE_SECONDS)

    def send(self, message: Message) -> None:
        with self._changed:
            if type(message) in self._waiting_kinds:
                return
            if len(self._waiting) >= MOST_WAITING:
                self.dropped += 1
                return
            self._waiting.append(message)
            if message.coalesced:
                self._waiting_kinds.add(type(message))
            self._changed.notify()

    def taken(self, kind: type[Message]) -> None:
        self._publisher.forget(kind)

    def _run(self) -> None:
        self._try(self._publisher.warm_up, hints=0)
        while messages := self._next():
            self._try(partial(self._publisher.publish, messages), hints=len(messages))
            time.sleep(REST_SECONDS)
        self._publisher.close()

    def _next(self) -> list[Message]:
        """Whatever came while the last ones were published; empty at the end."""
        with self._changed:
            self._changed.wait_for(lambda: bool(self._waiting) or not self._is_open)
            messages = [self._waiting.popleft() for _ in range(min(len(self._waiting), MOST_TOGETHER))]
            self._waiting_kinds.difference_update(map(type, messages))
            return messages

    def _try(self, act: Callable[[], None], *, hints: int) -> None:
        """Nothing that a broker does may end this thread; after a failure it is left alone for a moment."""
        try:
            act()
        except Exception as error:
            self.dropped += hints
            if self.is_reachable is not False:
                log.warning("broker_away", error=type(error.__cause__ or error).__name__)
            self.is_reachable = False
            with self._changed:
                self._changed.wait_for(lambda: not self._is_open, timeout=PAUSE_SECONDS)
        else:
            self.is_reachable = True


class _Publisher:
    """A Celery app that only sends, and the keys by which all doors share one hint for many rows."""

    def __init__(self, settings: Settings) -> None:
        self._app = Celery("billing", set_as_current=False)
        self._app.conf.update(celery_options(settings, socket_seconds=DOOR_SOCKET_SECONDS))
        arguments = queue_arguments(settings)
        self._queues = {
            name: Queue(name, Exchange(name), routing_key=name, queue_arguments=arguments) for name in QUEUES
        }
        self._app.conf.task_queues = list(self._queues.values())
        self._valkey = Redis.from_url(
            settings.redis_url, socket_timeout=1, socket_connect_timeout=1, retry=Retry(NoBackoff(), 0)
        )

    @cached_property
    def _templates(self) -> Mapping[type[Message], "_Template"]:
        return {kind: _Template(self._app, kind) for kind in MESSAGES}

    def warm_up(self) -> None:
        """The first message costs half a second of imports and declarations: spent before anybody waits for it."""
        with self._app.producer_pool.acquire(block=True) as producer:
            for queue in self._queues.values():
                producer.maybe_declare(queue)
        self._valkey.ping()

    def publish(self, messages: Sequence[Message]) -> None:
        """Those of single rows first: no trouble with the keys keeps them back."""
        self._put([message for message in messages if not message.coalesced])
        self._put([message for message in messages if message.coalesced and self._is_first(type(message))])

    def _put(self, messages: Sequence[Message]) -> None:
        """As `send_task` would one by one; to Redis in one round trip."""
        if not messages:
            return
        producer: Any
        with self._app.producer_pool.acquire(block=True) as producer:
            for name in {message.queue for message in messages}:
                producer.maybe_declare(self._queues[name])
            with producer.batch(max_size=MOST_TOGETHER):
                for message in messages:
                    producer.publish(**self._templates[type(message)].filled(message))

    def _is_first(self, kind: type[Message]) -> bool:
        return bool(self._valkey.set(hint_key(kind), 1, nx=True, px=HINT_MILLISECONDS))

    def close(self) -> None:
        self._app.close()
        self._valkey.close()

    def forget(self, kind: type[Message]) -> None:
        self._valkey.delete(hint_key(kind))


class _Template:
    """A message of one kind as Celery makes it, made once: only its ids and its arguments vary."""

    def __init__(self, app: Celery, kind: type[Message]) -> None:
        made = app.amqp.create_task_message("", kind.task, reply_to=app.thread_oid, ignore_result=True)
        self._headers = made.headers
        self._positional, _, self._embedded = made.body
        self._same = {
            **made.properties,
            "exchange": "",
            "routing_key": kind.queue,
            "content_type": "application/json",
            "content_encoding": "utf-8",
        }

    def filled(self, message: Message) -> dict[str, Any]:
        """What a producer is to publish."""
        one, arguments = str(new_id()), task_arguments(message)
        return {
            **self._same,
            "body": orjson.dumps((self._positional, arguments, self._embedded)),
            "headers": {**self._headers, "id": one, "root_id": one, "kwargsrepr": repr(arguments)},
            "correlation_id": one,
        }
