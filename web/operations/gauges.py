"""The figures of the page of operations for Prometheus: of few kinds, and each there before it is ever above zero."""

from collections import Counter
from collections.abc import Iterator, Mapping

from billing.reads.operations import OperationsView
from billing.states import Outcome
from web.exposition import Gauge, gauge, gauge_by

UNDECIDED = "undecided"
"""Of an event that no handler has decided: it waits, was put aside, or gave up."""


def operation_gauges(view: OperationsView) -> Iterator[Gauge]:
    yield gauge_by("outcome", "billing_events_last_hour", "Events of the last hour, by outcome.", _outcomes(view))
    if view.lags is not None:
        lags = {"0.5": view.lags[0], "0.95": view.lags[1]}
        yield gauge_by("quantile", "billing_webhook_lag_seconds", "From the door to the end, in the last hour.", lags)
    purchases = {state.value: number for state, number in view.purchases.items()}
    yield gauge_by("state", "billing_purchases_last_day", "Purchases of the last day, by their state now.", purchases)
    yield gauge("billing_workers", "Workers that look for overdue work.", len(view.workers))
    yield gauge("billing_open_cases", "Cases that nobody has closed.", sum(view.open_cases.values()))
    yield gauge("billing_open_disputes", "Disputes that are not decided.", view.disputes.open)
    yield gauge("billing_disputes_due", "Open disputes that want evidence within three days.", view.disputes.due_soon)
    yield from _of_jobs(view)


def _of_jobs(view: OperationsView) -> Iterator[Gauge]:
    """What never ran has no age. The label `job` is Prometheus's own, for what it asks."""
    ages = {job.name: job.age_seconds for job in view.jobs if job.age_seconds is not None}
    periods = {job.name: job.every.total_seconds() for job in view.jobs}
    if ages:
        yield gauge_by("task", "billing_scheduled_age_seconds", "How long ago a scheduled job ticked last.", ages)
    yield gauge_by("task", "billing_scheduled_period_seconds", "How often a scheduled job is to tick.", periods)


def _outcomes(view: OperationsView) -> Mapping[str, int]:
    found = Counter({outcome.value: 0 for outcome in Outcome} | {UNDECIDED: 0})
    for kind in view.events:
        found[kind.outcome or UNDECIDED] += kind.last_hour
    return found
