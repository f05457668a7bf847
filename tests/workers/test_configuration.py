"""The settings of Celery that keep the pipeline's promises, and the ones that must not come back."""

import ast
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from celery import Celery
from celery.app.defaults import NAMESPACES, flatten
from kombu import Queue

import workers
from billing.config import Settings
from billing.messages import MESSAGES, QUEUES
from tests.support.environment import make_settings
from workers.configuration import celery_settings
from workers.schedule import ENTRIES

SOURCES = sorted(Path(workers.__file__).parent.glob("*.py"))


@pytest.fixture
def offline() -> Settings:
    return make_settings("postgresql://x@127.0.0.1/x", "redis://:canary@127.0.0.1:1/0")


PROMISED: dict[str, Any] = {
    "task_serializer": "json",
    "result_serializer": "json",
    "accept_content": ["json"],
    "result_accept_content": ["json"],
    "task_ignore_result": True,
    "result_backend": None,
    "task_acks_late": True,
    "task_reject_on_worker_lost": False,
    "task_retry_on_worker_lost": False,
    "task_acks_on_failure": True,
    "task_acks_on_timeout": True,
    "task_soft_time_limit": 45,
    "task_time_limit": 60,
    "worker_prefetch_multiplier": 1,
    "worker_proc_alive_timeout": 30,
    "worker_cancel_long_running_tasks_on_connection_loss": False,
    "broker_connection_retry_on_startup": True,
    "broker_connection_max_retries": None,
    "broker_channel_error_retry": True,
    "task_publish_retry": False,
    "task_create_missing_queues": False,
    "worker_send_task_events": False,
    "task_send_sent_event": False,
    "worker_enable_remote_control": False,
    "beat_enable_remote_control": False,
    "worker_hijack_root_logger": False,
    "timezone": "UTC",
}


@pytest.mark.parametrize(("name", "value"), PROMISED.items())
def test_a_setting_is_as_promised(offline: Settings, name: str, value: object) -> None:
    app = Celery(set_as_current=False)
    app.conf.update(celery_settings(offline))
    assert app.conf[name] == value


def test_every_setting_is_one_that_celery_knows(offline: Settings) -> None:
    """A misspelt one would be taken in silence."""
    known = {option[0] for option in flatten(NAMESPACES)}
    assert set(celery_settings(offline)) <= known


def test_a_message_in_work_is_not_given_to_another_worker(offline: Settings) -> None:
    """The visibility time-out is ten times what a task may take; lost ones are looked for every ten seconds."""
    options = celery_settings(offline)["broker_transport_options"]
    assert options["visibility_timeout"] == 10 * PROMISED["task_time_limit"]
    assert (options["unacked_restore_interval"], options["unacked_restore_throttle"]) == (10, 1)
    assert options["socket_timeout"] == options["socket_connect_timeout"] == 10


@pytest.mark.parametrize("url", ["redis://127.0.0.1:1/0", "amqp://u:p@127.0.0.1:1/v"])
def test_every_queue_has_a_direct_exchange_of_its_own(offline: Settings, url: str) -> None:
    """After a broker lost its memory a topic exchange drops what it is sent, without an error."""
    queues: list[Queue] = celery_settings(offline.model_copy(update={"broker_url": url}))["task_queues"]
    assert [queue.name for queue in queues] == list(QUEUES)
    for queue in queues:
        assert (queue.exchange.name, queue.exchange.type, queue.routing_key) == (queue.name, "direct", queue.name)


def test_every_message_goes_to_its_queue(offline: Settings) -> None:
    routes = celery_settings(offline)["task_routes"]
    assert routes == {kind.task: {"queue": kind.queue} for kind in MESSAGES}
    assert {kind.queue for kind in MESSAGES} <= set(QUEUES)


def test_every_message_has_a_task(offline: Settings) -> None:
    import workers.tasks  # noqa: F401, PLC0415  # registers them

    app = Celery(set_as_current=False)
    app.finalize()
    assert {kind.task for kind in MESSAGES} <= set(app.tasks)


def test_every_entry_of_beat_goes_stale_before_its_next_tick(offline: Settings) -> None:
    """Otherwise a scheduler that was away would leave a heap of ticks behind it."""
    entries = celery_settings(offline)["beat_schedule"]
    assert len(entries) == len(ENTRIES)
    for entry in ENTRIES:
        options = entries[entry.name]["options"]
        assert timedelta(seconds=options["expires"]) < entry.every / 2
        assert options["queue"] == type(entry.message).queue


def test_beat_keeps_its_file_among_the_state(offline: Settings, tmp_path: Path) -> None:
    settings = celery_settings(offline.model_copy(update={"state_dir": tmp_path}))
    assert settings["beat_schedule_filename"] == str(tmp_path / "beat-schedule")


FORBIDDEN = {"countdown", "eta", "apply_async", "delay", "autoretry_for", "max_retries", "retry_backoff"}
ALLOWED = {("consumer.py", "max_retries"), ("envelope.py", "eta")}
"""Of a connection, and a header that no message may have."""


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.name)
def test_nothing_waits_in_a_broker_or_a_worker(source: Path) -> None:
    """Countdowns and Celery's retries sit in worker memory and double; due times sit in rows."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source.read_text())):
        match node:
            case (
                ast.keyword(arg=str(name))
                | ast.Attribute(attr=name)
                | ast.Name(id=name)
                | ast.Constant(value=str(name))
            ):
                names.add(name)
            case ast.Call(func=ast.Attribute(attr="retry")):
                names.add("a call of retry")
    assert not {name for name in names & FORBIDDEN if (source.name, name) not in ALLOWED}
    assert "a call of retry" not in names
