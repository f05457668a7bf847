"""Hints out: put into a bounded list by the door, published by one thread, never in the way of an answer.

A hint that is lost costs the sweeper's two seconds and nothing else, so every trouble here ends in a dropped hint.
"""

import threading
from collections import deque
from collections.abc import Callable
from functools import partial

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
from billing.messages import QUEUES, Message

log: structlog.stdlib.BoundLogger = structlog.get_logger("web.queue")

MOST_WAITING = 5_000
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
        self._try(self._publisher.warm_up)
        while (message := self._next()) is not None:
            self._try(partial(self._publisher.publish, message))
        self._publisher.close()

    def _next(self) -> Message | None:
        with self._changed:
            self._changed.wait_for(lambda: bool(self._waiting) or not self._is_open)
            if not self._waiting:
                return None
            message = self._waiting.popleft()
            self._waiting_kinds.discard(type(message))
            return message

    def _try(self, act: Callable[[], None]) -> None:
        """Nothing that a broker does may end this thread; after a failure it is left alone for a moment."""
        try:
            act()
        except Exception as error:
            self.dropped += 1
            if self.is_reachable is not False:
                log.warning("broker_away", error=type(error).__name__)
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
        self._app.conf.task_publish_retry = False
        arguments = queue_arguments(settings)
        self._queues = [Queue(name, Exchange(name), routing_key=name, queue_arguments=arguments) for name in QUEUES]
        self._app.conf.task_queues = self._queues
        self._valkey = Redis.from_url(
            settings.redis_url, socket_timeout=1, socket_connect_timeout=1, retry=Retry(NoBackoff(), 0)
        )

    def warm_up(self) -> None:
        """The first message costs half a second of imports and declarations: spent before anybody waits for it."""
        with self._app.producer_pool.acquire(block=True) as producer:
            for queue in self._queues:
                producer.maybe_declare(queue)
        self._valkey.ping()

    def publish(self, message: Message) -> None:
        if message.coalesced and not self._is_first(type(message)):
            return
        self._app.send_task(
            message.task, kwargs=task_arguments(message), queue=message.queue, ignore_result=True, retry=False
        )

    def _is_first(self, kind: type[Message]) -> bool:
        return bool(self._valkey.set(hint_key(kind), 1, nx=True, px=HINT_MILLISECONDS))

    def close(self) -> None:
        self._app.close()
        self._valkey.close()

    def forget(self, kind: type[Message]) -> None:
        self._valkey.delete(hint_key(kind))
