"""The Celery app of workers and beat: `celery -A workers.app worker -Q …`, `celery -A workers.app beat`."""

import signal
import sys
import warnings
from typing import Any

import structlog
from celery import Celery, signals
from celery.concurrency import get_implementation
from celery.concurrency.thread import TaskPool as ThreadPool
from celery.exceptions import CPendingDeprecationWarning, SecurityWarning

from billing import clock, logs
from billing.config import Settings
from billing.errors import ConfigurationError, TransientError
from workers import runtime
from workers.configuration import celery_settings
from workers.sweeper import Sweeper

log: structlog.stdlib.BoundLogger = structlog.get_logger("workers")


def boot() -> Settings:
    """Exits with a line for each wrong setting: nobody needs a traceback to mend one."""
    try:
        settings = Settings.load()
        clock.follow(settings)
    except ConfigurationError as error:
        for line in error.lines:
            print(f"billing: {line}", file=sys.stderr)
        raise SystemExit(1) from None
    return settings


settings = boot()
app = Celery("billing")
app.conf.update(celery_settings(settings))
sweeper = Sweeper(settings)
service = "beat"

# As root Celery warns of pickle in messages; ours are JSON, and what is not is set aside before it is read.
warnings.filterwarnings("ignore", category=SecurityWarning)


@signals.celeryd_init.connect
def name_worker(sender: str, instance: Any, **_: Any) -> None:
    global service  # noqa: PLW0603  # Celery tells a worker's name by a signal, and asks for logs by another
    service = sender.partition("@")[0]
    instance.quiet = True  # no banner: every line of a log is JSON


@signals.setup_logging.connect
def set_up_logging(**_: Any) -> None:
    logs.configure(service)


@signals.celeryd_after_setup.connect
def silence_advice(**_: Any) -> None:
    """Celery advises to decide about the work of a lost connection, even after `configuration` has."""
    warnings.filterwarnings("ignore", category=CPendingDeprecationWarning)


@signals.worker_init.connect
def prepare_runtime(sender: Any, **_: Any) -> None:
    in_threads = issubclass(get_implementation(sender.pool_cls), ThreadPool)
    runtime.prepare(settings, slots=sender.concurrency if in_threads else 1)


@signals.worker_process_init.connect
def warm_up(**_: Any) -> None:
    """Connect before the first message; where the database is away the first task tries again.

    Service managers tell every process of a group to stop. The main one decides: a child that ended at once would leave
    the rows in its hands to their leases.
    """
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        runtime.current()
    except TransientError as error:
        log.warning("database_away", error=type(error).__name__)


@signals.worker_process_shutdown.connect
def let_go(**_: Any) -> None:
    runtime.dispose()


@signals.worker_ready.connect
def say_ready(sender: Any, **_: Any) -> None:
    sweeper.start(sender.hostname)
    log.info("worker_ready", worker=sender.hostname, queues=sorted(app.amqp.queues.consume_from))


@signals.beat_init.connect
def say_beat_ready(**_: Any) -> None:
    log.info("beat_ready", entries=sorted(app.conf.beat_schedule))


@signals.worker_shutdown.connect
def stop(**_: Any) -> None:
    sweeper.stop()
    runtime.dispose()
