"""How the service does, as staff read it. Minutes of hours are given as hours too."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from billing.brakes import BrakesView
from billing.expiry.preview import Preview
from billing.reads.audits import AuditView
from billing.reads.last_day import QuarterView
from billing.reads.metrics import Measured, WorkView
from billing.reads.operations import EventsOfAKind, JobView, OperationsView, WorkerView
from billing.reads.reconciliation import StandingView
from billing.states import ReconciliationScope
from web.answers import hours, instant
from web.brakes import paused_seconds


def health_body(measured: Measured, *, now: datetime) -> dict[str, Any]:
    """What the database knows; Stripe's part and tonight's are added to it."""
    view = measured.operations
    return {
        "at": instant(now),
        "work": [_work(one) for one in measured.work],
        "workers": [_worker(one) for one in view.workers],
        "events": _events(view),
        "purchases": {state.value: number for state, number in view.purchases.items()},
        "schedule": [_job(one) for one in view.jobs],
        "audit": measured.audit and _audit(measured.audit),
        "reconciliation": _reconciliation(measured.reconciliation),
        "cases": dict(view.open_cases),
        "disputes": {
            "open": view.disputes.open,
            "due_soon": view.disputes.due_soon,
            "next_due_at": _maybe(view.disputes.next_due_at),
        },
    }


def stripe_body(view: BrakesView, calls_per_second: float) -> dict[str, Any]:
    """Counts are of the last twenty seconds."""
    return {
        "is_paused": view.is_paused,
        "paused_seconds": round(paused_seconds(view), 3),
        "reason": view.reason if view.is_paused else None,
        "recent_calls": view.calls,
        "failing_share": round(view.failing_share, 4),
        "calls_per_second": round(calls_per_second, 2),
        "rate_share": view.rate_share,
        "waits": {str(lane): calls for lane, calls in view.waits.items()},
        "put_off": {str(lane): calls for lane, calls in view.put_off.items()},
    }


def expiry_body(preview: Preview, *, at: datetime, cutoff: datetime) -> dict[str, Any]:
    """What the next nightly sweep, at that instant, takes if nothing is spent or extended until then."""
    return {
        "at": instant(at),
        "cutoff": instant(cutoff),
        "students": preview.students,
        "lots": preview.lots,
        "minutes": preview.minutes,
        "hours": hours(preview.minutes),
    }


def quarter_row(quarter: QuarterView) -> dict[str, Any]:
    return {
        "at": instant(quarter.at),
        "accepted": quarter.accepted,
        "completed": quarter.completed,
        "failed": quarter.failed,
        "events": quarter.events,
        "lag_p95_seconds": _rounded(quarter.lag_p95),
        "credited_minutes": quarter.credited_minutes,
    }


def _work(one: WorkView) -> dict[str, Any]:
    return {
        "kind": one.kind,
        "open": one.waiting,
        "in_hand": one.held,
        "overdue_seconds": _rounded(one.overdue_seconds),
        "dead_letters": one.dead_letters,
    }


def _worker(one: WorkerView) -> dict[str, Any]:
    return {"name": one.name, "seen_seconds": _rounded(one.seen_seconds)}


def _events(view: OperationsView) -> dict[str, Any]:
    p50, p95 = view.lags or (None, None)
    return {
        "by_outcome": [_events_of(kind) for kind in view.events],
        "lag_seconds": {"p50": _rounded(p50), "p95": _rounded(p95)},
    }


def _events_of(kind: EventsOfAKind) -> dict[str, Any]:
    return {"state": kind.state, "outcome": kind.outcome, "last_hour": kind.last_hour, "last_day": kind.last_day}


def _job(one: JobView) -> dict[str, Any]:
    return {
        "name": one.name,
        "every_seconds": int(one.every.total_seconds()),
        "last_at": _maybe(one.last_at),
        "next_at": instant(one.next_at),
        "is_late": one.is_late,
    }


def _audit(audit: AuditView) -> dict[str, Any]:
    return {"at": instant(audit.finished_at), "students": audit.students, "violations": audit.violations}


def _reconciliation(standing: StandingView) -> dict[str, Any]:
    return {
        "read_up_to": _maybe(standing.cursor_at),
        "succeeded_at": {scope.value: _maybe(standing.succeeded_at.get(scope)) for scope in ReconciliationScope},
        "open_findings": {kind.value: number for kind, number in standing.open_findings.items() if number},
        "events_by_list": standing.events_by_list,
    }


def history_body(quarters: Sequence[QuarterView]) -> dict[str, Any]:
    return {"quarters": [quarter_row(quarter) for quarter in quarters]}


def _maybe(at: datetime | None) -> str | None:
    return None if at is None else instant(at)


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)
