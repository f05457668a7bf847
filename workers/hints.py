"""Hints out of workers: published within a short bound, or dropped. Losing one costs the sweeper's seconds."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import structlog
from amqp.exceptions import AMQPError
from celery import Celery
from kombu.exceptions import KombuError
from kombu.exceptions import OperationalError as BrokerOperationalError
from redis import Redis, RedisError
from redis.backoff import NoBackoff
from redis.retry import Retry

from billing import logs
from billing.broker import DOOR_SOCKET_SECONDS, HINT_MILLISECONDS, celery_options, hint_key, task_arguments
from billing.config import Settings
from billing.errors import BrokerUnavailableError
from billing.messages import Change, Message
from workers.configuration import queues

log: structlog.stdlib.BoundLogger = structlog.get_logger("workers.hints")

REQUEST_ID = "request_id"
"""The message header that carries it from hop to hop."""

PAUSE_SECONDS = 1.0
"""So long a broker that failed is left alone, so that tasks do not wait for it one after the other."""

BROKER_ERRORS = (BrokerOperationalError, KombuError, AMQPError, RedisError, OSError)


class Publisher:
    """A Celery app that only sends: its waits are shorter than those of the one that consumes."""

    def __init__(self, settings: Settings) -> None:
        self._app = Celery("billing", set_as_current=False)
        self._app.conf.update(celery_options(settings, socket_seconds=DOOR_SOCKET_SECONDS))
        self._app.conf.task_publish_retry = False
        self._queues = queues(settings)
        self._app.conf.task_queues = self._queues

    def publish(self, messages: Sequence[Message]) -> None:
        """Raises BrokerUnavailableError where one was not taken in time; those behind it are not sent."""
        headers = {REQUEST_ID: found} if (found := logs.request_id()) else {}
        with _in_our_words():
            for message in messages:
                self._app.send_task(
                    message.task,
                    kwargs=task_arguments(message),
                    queue=message.queue,
                    headers=headers,
                    ignore_result=True,
                    retry=False,
                )

    def check(self) -> None:
        """A round trip that also declares a queue anew; raises BrokerUnavailableError where it does not come back."""
        with _in_our_words(), self._app.producer_pool.acquire(block=True, timeout=DOOR_SOCKET_SECONDS) as producer:
            channel: Any = producer.channel
            self._queues[0](channel).declare()

    def close(self) -> None:
        self._app.close()


class BrokerHints:
    """`send`, `taken` and `notify` never fail and never wait for long."""

    def __init__(self, settings: Settings) -> None:
        self._publisher = Publisher(settings)
        self._valkey = Redis.from_url(
            settings.redis_url, socket_timeout=1, socket_connect_timeout=1, retry=Retry(NoBackoff(), 0)
        )
        self._left_alone_until = 0.0
        self._lock = threading.Lock()

    def send(self, message: Message) -> None:
        self._attempt(lambda: self._send(message))

    def taken(self, kind: type[Message]) -> None:
        self._attempt(lambda: self._valkey.delete(hint_key(kind)))

    def notify(self, changes: Sequence[Change]) -> None:
        if changes:
            self._attempt(lambda: self._valkey.publish(Change.channel, Change.together(changes)))

    def _send(self, message: Message) -> None:
        if not message.coalesced or self._is_first(type(message)):
            self._publisher.publish([message])

    def _is_first(self, kind: type[Message]) -> bool:
        return bool(self._valkey.set(hint_key(kind), 1, nx=True, px=HINT_MILLISECONDS))

    def _attempt(self, act: Callable[[], object]) -> None:
        if time.monotonic() < self._left_alone_until:
            return
        try:
            act()
        except (BrokerUnavailableError, RedisError) as error:
            self._leave_alone(error)
        else:
            self._left_alone_until = 0.0

    def _leave_alone(self, error: Exception) -> None:
        with self._lock:
            if not self._left_alone_until:
                log.warning("broker_away", error=str(error) or type(error).__name__)
            self._left_alone_until = time.monotonic() + PAUSE_SECONDS


@contextmanager
def _in_our_words() -> Iterator[None]:
    try:
        yield
    except BROKER_ERRORS as error:
        raise BrokerUnavailableError(type(error).__name__) from None
