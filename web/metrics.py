"""`/metrics`: figures of the whole service for Prometheus, the same from every door, and nothing about anybody."""

from collections.abc import Iterator, Sequence
from datetime import datetime

from starlette.requests import Request
from starlette.responses import Response

from billing.clock import utc_now
from billing.reads.audits import AuditView
from billing.reads.metrics import Measured, WorkView, measure
from web.door import Door
from web.exposition import MEDIA_TYPE, Gauge, exposed, gauge, gauge_by
from web.insiders import insiders_only

NEVER_KEPT = {"Cache-Control": "no-store"}


class MetricsRoutes:
    def __init__(self, door: Door) -> None:
        self._door = door

    async def metrics(self, request: Request) -> Response:
        await insiders_only(request, self._door)
        measured = await self._door.ask(measure)
        return Response(exposed(gauges_of(measured, now=utc_now())), headers=NEVER_KEPT, media_type=MEDIA_TYPE)


def gauges_of(measured: Measured, *, now: datetime) -> Iterator[Gauge]:
    """Every family that is exposed; what was never measured is left out rather than shown as nothing."""
    if measured.audit is not None:
        yield from _of_audit(measured.audit, now)
    yield from _of_work(measured.work)


def _of_audit(audit: AuditView, now: datetime) -> Iterator[Gauge]:
    age = max(0.0, (now - audit.finished_at).total_seconds())
    yield gauge("billing_ledger_violations", "Broken rules that the last proof of the ledger found.", audit.violations)
    yield gauge("billing_ledger_audit_age_seconds", "How long ago the ledger was last proven.", age)
    yield gauge("billing_ledger_audited_students", "Students whose hours the last proof covered.", audit.students)


def _of_work(work: Sequence[WorkView]) -> Iterator[Gauge]:
    waiting = {one.kind: one.waiting for one in work if one.waiting is not None}
    overdue = {one.kind: one.overdue_seconds for one in work if one.overdue_seconds is not None}
    dead = {one.kind: one.dead_letters for one in work}
    yield gauge_by("kind", "billing_open_work", "Rows that want a worker, now or later.", waiting)
    yield gauge_by("kind", "billing_overdue_seconds", "For how long the row that waits longest has been due.", overdue)
    yield gauge_by("kind", "billing_dead_letters", "What gave up and waits for a person.", dead)
