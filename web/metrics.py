"""`/metrics`: figures of the whole service for Prometheus, the same from every door, and nothing about anybody."""

import asyncio
from collections.abc import Iterator, Sequence
from datetime import datetime

from starlette.requests import Request
from starlette.responses import Response

from billing.clock import utc_now
from billing.reads.audits import AuditView
from billing.reads.metrics import Measured, WorkView, measure
from billing.reads.reconciliation import StandingView
from web.brakes import BrakeFigures
from web.door import Door
from web.exposition import MEDIA_TYPE, Gauge, exposed, gauge, gauge_by
from web.insiders import insiders_only
from web.operations.gauges import operation_gauges

NEVER_KEPT = {"Cache-Control": "no-store"}


class MetricsRoutes:
    def __init__(self, door: Door) -> None:
        self._door = door
        self._brakes = BrakeFigures(door.settings)

    async def metrics(self, request: Request) -> Response:
        await insiders_only(request, self._door)
        now, zone = utc_now(), self._door.settings.zone
        reading = self._door.ask(lambda connection: measure(connection, zone, now=now))
        measured, of_brakes = await asyncio.gather(reading, self._brakes.gauges())
        gauges = [*gauges_of(measured, now=now), *of_brakes]
        return Response(exposed(gauges), headers=NEVER_KEPT, media_type=MEDIA_TYPE)


def gauges_of(measured: Measured, *, now: datetime) -> Iterator[Gauge]:
    """Every family that is exposed; what was never measured is left out rather than shown as nothing."""
    if measured.audit is not None:
        yield from _of_audit(measured.audit, now)
    yield from _of_work(measured.work)
    yield from _of_reconciliation(measured.reconciliation, now)
    yield from operation_gauges(measured.operations)


def _of_audit(audit: AuditView, now: datetime) -> Iterator[Gauge]:
    age = max(0.0, (now - audit.finished_at).total_seconds())
    yield gauge("billing_ledger_violations", "Broken rules that the last proof of the ledger found.", audit.violations)
    yield gauge("billing_ledger_audit_age_seconds", "How long ago the ledger was last proven.", age)
    yield gauge("billing_ledger_audited_students", "Students whose hours the last proof covered.", audit.students)


def _of_reconciliation(standing: StandingView, now: datetime) -> Iterator[Gauge]:
    if standing.cursor_at is not None:
        age = max(0.0, (now - standing.cursor_at).total_seconds())
        yield gauge("billing_stripe_events_cursor_age_seconds", "Up to how long ago Stripe's events were read.", age)
    ages = {scope.value: max(0.0, (now - at).total_seconds()) for scope, at in standing.succeeded_at.items()}
    if ages:
        yield gauge_by("scope", "billing_reconciliation_age_seconds", "How long ago Stripe's side was last read.", ages)
    open_findings = {kind.value: number for kind, number in standing.open_findings.items()}
    yield gauge_by("kind", "billing_open_findings", "Differences from Stripe that nobody has closed.", open_findings)
    by_list = standing.events_by_list
    yield gauge("billing_stripe_events_by_list", "Events of the last day that no webhook brought.", by_list)


def _of_work(work: Sequence[WorkView]) -> Iterator[Gauge]:
    waiting = {one.kind: one.waiting for one in work if one.waiting is not None}
    held = {one.kind: one.held for one in work if one.held is not None}
    overdue = {one.kind: one.overdue_seconds for one in work if one.overdue_seconds is not None}
    dead = {one.kind: one.dead_letters for one in work}
    yield gauge_by("kind", "billing_open_work", "Rows that want a worker, now or later.", waiting)
    yield gauge_by("kind", "billing_work_in_hand", "Rows that a worker has in hand.", held)
    yield gauge_by("kind", "billing_overdue_seconds", "For how long the row that waits longest has been due.", overdue)
    yield gauge_by("kind", "billing_dead_letters", "What gave up and waits for a person.", dead)
