"""How the broker is spoken to, as plain data: the door and the workers make their Celery apps of it.

Why each value is what it is: a message may be lost, doubled or late at any time, and then only speed is lost. So
waits are bounded, nothing is retried here, and nothing but JSON is read.
"""

from typing import Any
from urllib.parse import urlsplit

from billing.config import Settings
from billing.messages import Message

DOOR_SOCKET_SECONDS = 2.0
WORKER_SOCKET_SECONDS = 10.0
VISIBILITY_SECONDS = 600
"""Ten times the hard limit of a task: a message that is being worked is not given to a second worker."""

HINT_MILLISECONDS = 500
"""So long one hint of a coalesced kind stands for all rows that come meanwhile."""


def celery_options(settings: Settings, *, socket_seconds: float) -> dict[str, Any]:
    """The Celery settings on which both ends of a queue must agree."""
    return {
        "broker_url": settings.broker_url,
        "broker_transport_options": transport_options(settings, socket_seconds=socket_seconds),
        "broker_connection_timeout": socket_seconds,
        "task_serializer": "json",
        "result_serializer": "json",
        "accept_content": ["json"],
        "result_accept_content": ["json"],
        "task_ignore_result": True,
        "task_create_missing_queues": False,
        "task_default_exchange_type": "direct",
        "task_send_sent_event": False,
        "timezone": "UTC",
        "enable_utc": True,
    }


def transport_options(settings: Settings, *, socket_seconds: float) -> dict[str, Any]:
    """What kombu hands to its transport; without the time-outs a frozen broker is waited for without end."""
    if is_amqp(settings):
        return {"confirm_publish": True, "read_timeout": socket_seconds, "write_timeout": socket_seconds}
    return {
        "visibility_timeout": VISIBILITY_SECONDS,
        "unacked_restore_interval": 10,
        "unacked_restore_throttle": 1,
        "socket_timeout": socket_seconds,
        "socket_connect_timeout": socket_seconds,
        "socket_keepalive": True,
        "retry_on_timeout": False,
    }


def queue_arguments(settings: Settings) -> dict[str, Any]:
    """How a queue is declared: on RabbitMQ it is replicated, and a message that kills its workers is set aside."""
    return {"x-queue-type": "quorum", "x-delivery-limit": 5} if is_amqp(settings) else {}


def is_amqp(settings: Settings) -> bool:
    return urlsplit(settings.broker_url).scheme.startswith("amqp")


def hint_key(kind: type[Message]) -> str:
    """While this key is set in Valkey, a hint of this kind is on its way."""
    return f"hint:{kind.task}"


def task_arguments(message: Message) -> dict[str, Any]:
    """The keyword arguments of the task, from which its message is parsed again."""
    return message.model_dump(mode="json")
