"""Celery's consumer, except that a message which is none of ours is noted and acknowledged before Celery reads it."""

from collections.abc import Callable
from typing import Any

import structlog
from celery.worker import consumer
from celery.worker.state import maybe_shutdown
from kombu import Connection
from kombu.message import Message as BrokerMessage

from billing.failures import UnreadableFacts
from workers.envelope import complaint
from workers.unreadable import note

log: structlog.stdlib.BoundLogger = structlog.get_logger("workers.consumer")

ALONE = {"without_mingle": True, "without_gossip": True, "without_heartbeat": True}
"""Workers do not speak to each other: what they have in common is in rows."""

RECONNECT: dict[str, Any] = {"max_retries": None, "interval_start": 0.5, "interval_step": 0.5, "interval_max": 3}
"""Without end, and soon: Celery's own waits grow to half a minute, in which a broker that is back would wait for us."""


class Consumer(consumer.Consumer):
    def __init__(self, *args: Any, **options: Any) -> None:
        options["worker_options"] = {**(options.get("worker_options") or {}), **ALONE}
        super().__init__(*args, **options)

    def ensure_connected(self, conn: Connection) -> Connection:
        conn.ensure_connection(_tell, callback=maybe_shutdown, **RECONNECT)
        self.first_connection_attempt = False
        return conn

    def create_task_handler(self, *args: Any, **options: Any) -> Callable[[BrokerMessage], None]:
        handle = super().create_task_handler(*args, **options)

        def receive(message: BrokerMessage) -> None:
            if reason := complaint(message.headers, message.content_type, _bytes(message)):
                _set_aside(message, reason)
            else:
                handle(message)

        return receive

    def on_decode_error(self, message: BrokerMessage, exc: Exception) -> None:
        _set_aside(message, f"not decoded: {type(exc).__name__}")

    def on_unknown_message(self, body: object, message: BrokerMessage) -> None:
        _set_aside(message, "not a task")

    def on_unknown_task(self, body: object, message: BrokerMessage, exc: Exception) -> None:
        _set_aside(message, "unknown task")

    def on_invalid_task(self, body: object, message: BrokerMessage, exc: Exception) -> None:
        _set_aside(message, f"not a task: {type(exc).__name__}")


def _tell(error: Exception, wait_seconds: float) -> None:
    log.warning("broker_away", error=type(error).__name__, wait_seconds=wait_seconds)


def _set_aside(message: BrokerMessage, reason: str) -> None:
    queue, task = message.delivery_info.get("routing_key", ""), message.headers.get("task", "")
    note(UnreadableFacts.of(queue=str(queue), task=task, reason=reason, body=_bytes(message)))
    message.ack()


def _bytes(message: BrokerMessage) -> bytes:
    """The transports give text, bytes or a view of them."""
    body: Any = message.body
    return body.encode(errors="replace") if isinstance(body, str) else bytes(body or b"")
