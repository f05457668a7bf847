"""Each reading of Stripe's side is a row, from its beginning on: one that was killed is one that has no end."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import structlog
from sqlalchemy import update
from sqlmodel import col

from billing.db import Begin
from billing.errors import BillingError
from billing.models import ReconciliationRun
from billing.reconciliation.findings import Difference
from billing.states import FindingKind, ReconciliationScope

log = structlog.get_logger(__name__)
ERROR_LENGTH = 500


@dataclass(slots=True)
class Report:
    """What a reading came to. `run_id` is None for one that writes nothing; `until` is how far it came.

    `seen` counts what Stripe listed, `recorded` what of it we had not heard of, `adopted` the paid purchases that got
    their payment back.
    """

    since: datetime
    until: datetime
    run_id: int | None = None
    seen: int = 0
    recorded: int = 0
    adopted: int = 0
    _found: dict[tuple[FindingKind, str], Difference] = field(default_factory=dict)

    @property
    def is_dry(self) -> bool:
        return self.run_id is None

    @property
    def found(self) -> Sequence[Difference]:
        return list(self._found.values())

    def add(self, difference: Difference) -> bool:
        """False where this reading has found it before."""
        key = (difference.kind, difference.source)
        is_new = key not in self._found
        self._found.setdefault(key, difference)
        return is_new


@contextmanager
def noted(begin: Begin, scope: ReconciliationScope, report: Report, *, now: datetime) -> Iterator[Report]:
    """Keep the report as a row of this scope, also where an error of ours ends it."""
    began = time.monotonic()
    run = ReconciliationRun(scope=scope, since=report.since, until=report.until, started_at=now)
    with begin() as session:
        session.add(run)
    report.run_id = run.id
    try:
        yield report
    except BillingError as error:
        _end(begin, report, now + _since(began), f"{type(error).__name__}: {error}")
        raise
    _end(begin, report, now + _since(began), None)


def _since(began: float) -> timedelta:
    return timedelta(seconds=time.monotonic() - began)


def _end(begin: Begin, report: Report, at: datetime, error: str | None) -> None:
    ended = (
        update(ReconciliationRun)
        .where(col(ReconciliationRun.id) == report.run_id)
        .values(
            until=report.until,
            seen=report.seen,
            recorded=report.recorded,
            found=len(report.found),
            error=error and error[:ERROR_LENGTH],
            finished_at=at,
        )
    )
    with begin() as session:
        session.execute(ended)
    facts = {"seen": report.seen, "recorded": report.recorded, "found": len(report.found), "error": error}
    log.info("reconciliation_ended", run_id=report.run_id, adopted=report.adopted, **facts)
