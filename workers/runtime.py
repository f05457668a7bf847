"""What a task needs, built once in each process, after the fork: connections and threads do not survive one."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from sqlalchemy import Engine

from billing import db, work
from billing.clock import utc_now
from billing.config import Settings
from billing.db import Begin
from billing.deployment import Deployment
from billing.errors import ConfigurationError
from billing.gateway import PaymentGateway
from billing.messages import Hints
from billing.notifications.post import post_of
from billing.notifications.send import Post
from billing.purchases.desk import Desk
from billing.secrets import Vault
from billing.stripe_gateway import StripeGateway
from workers.hints import BrokerHints
from workers.leases import RenewingLeases

MOST_CONNECTIONS = 8
"""Threads wait for Stripe most of the time, so a few connections serve many of them."""
RENEWAL = 1
"""The connection by which claims are renewed, whatever the tasks do with theirs."""


@dataclass(frozen=True, slots=True)
class Runtime:
    begin: Begin
    gateway: PaymentGateway
    leases: work.Leases
    hints: Hints
    now: Callable[[], datetime]
    settings: Settings
    vault: Vault
    deployment: Deployment
    post: Post

    def desk(self) -> Desk:
        return Desk(self.begin, self.gateway, self.leases, self.vault, self.deployment, self.now())


class ProcessRuntime:
    """Built by whoever needs it first; `slots` is how many tasks run at once in this process."""

    def __init__(self, settings: Settings, slots: int) -> None:
        self._settings = settings
        self._slots = slots
        self._lock = threading.Lock()
        self._built: tuple[Engine, Runtime] | None = None

    def current(self) -> Runtime:
        """Raises DatabaseUnavailableError where the database cannot be asked which installation this is."""
        with self._lock:
            if self._built is None:
                self._built = self._build()
            return self._built[1]

    def dispose(self) -> None:
        with self._lock:
            if self._built is not None:
                self._built[0].dispose()
            self._built = None

    def _build(self) -> tuple[Engine, Runtime]:
        settings = self._settings
        engine = db.connect(settings.database_url, "worker", pool_size=min(self._slots, MOST_CONNECTIONS) + RENEWAL)
        begin: Begin = partial(db.begin, engine)
        terms = work.LeaseTerms(settings.work_lease_seconds, settings.work_lost_claims)
        runtime = Runtime(
            begin=begin,
            gateway=StripeGateway(settings),
            leases=RenewingLeases(begin, terms),
            hints=BrokerHints(settings),
            now=utc_now,
            settings=settings,
            vault=Vault(settings.secret_key),
            deployment=Deployment.of(settings, begin),
            post=post_of(settings),
        )
        return engine, runtime


_of_process: ProcessRuntime | None = None


def prepare(settings: Settings, slots: int) -> None:
    """Say, before any fork, what the processes of this worker are made of."""
    global _of_process  # noqa: PLW0603  # Celery gives its tasks nothing of ours
    _of_process = ProcessRuntime(settings, slots)


def current() -> Runtime:
    if _of_process is None:
        raise ConfigurationError(["a task runs in a process that is no worker"])
    return _of_process.current()


def dispose() -> None:
    if _of_process is not None:
        _of_process.dispose()
