"""What RabbitMQ is asked for where the broker is one. None runs here; BILLING_TEST_BROKER_URL lets flows run on one."""

from typing import Any

import pytest
from celery import Celery
from kombu import Queue

from billing.broker import DOOR_SOCKET_SECONDS, celery_options
from billing.config import Settings
from tests.support.environment import make_settings
from workers.configuration import celery_settings


@pytest.fixture
def on_rabbitmq() -> Settings:
    offline = make_settings("postgresql://x@127.0.0.1/x", "redis://127.0.0.1:1/0")
    return offline.model_copy(update={"broker_url": "amqp://u:p@127.0.0.1:1/v"})


def test_both_ends_ask_for_confirms_and_wait_for_a_bounded_time(on_rabbitmq: Settings) -> None:
    """A node that dies between a publish and its disk loses what it never confirmed."""
    door = celery_options(on_rabbitmq, socket_seconds=DOOR_SOCKET_SECONDS)
    for options in (door, celery_settings(on_rabbitmq)):
        transport: dict[str, Any] = options["broker_transport_options"]
        assert transport["confirm_publish"] is True
        assert 0 < transport["read_timeout"] == transport["write_timeout"] <= 10
        assert "visibility_timeout" not in transport


def test_queues_are_replicated_and_give_a_message_out_a_limited_number_of_times(on_rabbitmq: Settings) -> None:
    """A message that kills whoever takes it would keep those behind it waiting for ever."""
    queues: list[Queue] = celery_settings(on_rabbitmq)["task_queues"]
    assert queues
    for queue in queues:
        assert queue.queue_arguments == {"x-queue-type": "quorum", "x-delivery-limit": 5}
        assert queue.durable


def test_the_transport_of_our_own_is_for_redis_alone(on_rabbitmq: Settings) -> None:
    app = Celery(set_as_current=False)
    app.conf.update(celery_settings(on_rabbitmq))
    assert app.connection().transport_cls == "amqp"
