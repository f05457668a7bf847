"""The thread that hints what is overdue, in the main process of every worker: any living one suffices."""

import random
import threading
from functools import partial

import structlog

from billing import db, failures, work
from billing.clock import utc_now
from billing.config import Settings
from billing.db import Begin
from billing.errors import TransientError
from workers import unreadable
from workers.hints import Publisher

log: structlog.stdlib.BoundLogger = structlog.get_logger("workers.sweeper")

EVERY_SECONDS = 1.0
MOST_AT_ONCE = 500
STOP_SECONDS = 3.0


class Sweeper:
    """Each round is bounded by the time-outs of broker and database; where one is away, the next round tries again."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sweeper", daemon=True)
        self._trouble: str | None = None
        self._worker = ""

    def start(self, worker: str) -> None:
        """Its sessions tell the database whose they are: that is how a worker is seen (billing/reads/operations)."""
        self._worker = worker
        self._thread.start()

    def stop(self) -> None:
        """Wait for the round that runs, but not for a database that hangs: the thread holds nothing that matters."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join(timeout=STOP_SECONDS)

    def _run(self) -> None:
        publisher = Publisher(self._settings)
        engine = db.connect(self._settings.database_url, f"sweeper {self._worker}", pool_size=1)
        begin: Begin = partial(db.begin, engine)
        try:
            while not self._stopped.wait(EVERY_SECONDS * random.uniform(0.8, 1.2)):  # noqa: S311  # spreads sweepers
                self._round(begin, publisher)
            _write_down(begin)
        finally:
            publisher.close()
            engine.dispose()

    def _round(self, begin: Begin, publisher: Publisher) -> None:
        try:
            sweep(begin, publisher)
        except TransientError as error:
            self._note(f"{type(error).__name__}: {error}")
        else:
            self._note(None)

    def _note(self, trouble: str | None) -> None:
        """Once when it begins and once when it is over, not every second in between."""
        if trouble and not self._trouble:
            log.warning("sweeper_waits", reason=trouble)
        elif self._trouble and not trouble:
            log.info("sweeper_goes_on")
        self._trouble = trouble


def sweep(begin: Begin, publisher: Publisher) -> int:
    """One round: hints of overdue rows, whatever was hinted before. Returns how many."""
    _write_down(begin)
    publisher.check()  # first: rows whose hint cannot leave must not have it pushed away
    messages = work.take_overdue(begin, limit=MOST_AT_ONCE)
    publisher.publish(messages)
    if messages:
        log.info("overdue_hinted", hints=len(messages))
    return len(messages)


def _write_down(begin: Begin) -> None:
    while (facts := unreadable.next_waiting()) is not None:
        try:
            failures.record_unreadable(begin, facts, now=utc_now())
        except TransientError:
            unreadable.keep(facts)
            raise
