"""All settings of Celery, each with its reason where the name does not say it."""

from typing import Any

from kombu import Exchange, Queue

from billing.broker import WORKER_SOCKET_SECONDS, celery_options, is_amqp, queue_arguments
from billing.config import Settings
from billing.messages import MESSAGES, QUEUES
from workers.schedule import beat_schedule

RESULTS: dict[str, Any] = {
    "result_backend": None,  # state is in rows
    "task_store_errors_even_if_ignored": False,
    "task_track_started": False,
}

ACKNOWLEDGEMENT: dict[str, Any] = {
    "task_acks_late": True,  # a crash means again, not never
    # The rows count the tries. Celery counts none on Redis, so with these a task that kills its worker would for ever.
    "task_reject_on_worker_lost": False,
    "task_retry_on_worker_lost": False,
    # Off they would delete the message or loop it; either way nobody would try later.
    "task_acks_on_failure": True,
    "task_acks_on_timeout": True,
}

LIMITS: dict[str, Any] = {
    "task_soft_time_limit": 45,  # three tries at Stripe take 40 s at most
    "task_time_limit": 60,
    "worker_prefetch_multiplier": 1,  # nothing waits behind a slow call while another process is idle
    "worker_proc_alive_timeout": 30,  # a slow machine's children are not killed while they still import
    "worker_disable_rate_limits": True,
}

BROKER: dict[str, Any] = {
    "broker_connection_retry": True,
    "broker_connection_retry_on_startup": True,
    "broker_connection_max_retries": None,  # outlive any outage
    "broker_channel_error_retry": True,  # also one in which the broker answers, but with "out of memory"
    "task_publish_retry": False,  # the sweeper hints again
    # What runs goes on while the broker is away: the row is finished, and a message that comes again finds it done.
    "worker_cancel_long_running_tasks_on_connection_loss": False,
    "worker_enable_prefetch_count_reduction": False,
    "worker_consumer": "workers.consumer:Consumer",
}

QUIET: dict[str, Any] = {
    "worker_send_task_events": False,  # events and remote control carry arguments and settings out of the process
    "task_send_sent_event": False,
    "worker_enable_remote_control": False,
    "beat_enable_remote_control": False,
    "worker_hijack_root_logger": False,  # `billing.logs` formats every line
    "worker_redirect_stdouts": False,
}


def celery_settings(settings: Settings) -> dict[str, Any]:
    return {
        **celery_options(settings, socket_seconds=WORKER_SOCKET_SECONDS),
        **RESULTS,
        **ACKNOWLEDGEMENT,
        **LIMITS,
        **BROKER,
        **QUIET,
        **_transport(settings),
        "task_queues": queues(settings),
        "task_default_queue": "maintenance",  # never Celery's own, which nobody works
        "task_routes": {kind.task: {"queue": kind.queue} for kind in MESSAGES},
        "imports": ("workers.tasks",),
        "beat_schedule": beat_schedule(settings.zone),
        "beat_schedule_filename": str(settings.state_dir / "beat-schedule"),
    }


def queues(settings: Settings) -> list[Queue]:
    """Each with a direct exchange of its own: after a broker lost its memory, any other kind drops what it is sent."""
    arguments = queue_arguments(settings)
    return [Queue(name, Exchange(name, type="direct"), routing_key=name, queue_arguments=arguments) for name in QUEUES]


def _transport(settings: Settings) -> dict[str, Any]:
    return {} if is_amqp(settings) else {"broker_transport": "workers.transport:Transport"}
