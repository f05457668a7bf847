"""How the service does: its workers, events, purchases and scheduled jobs, and what waits for a person.

All of it is one row, so that the statement which counts open work reads it too.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import RowMapping

from billing.states import PurchaseState
from billing.ticks import TICKS, Ticks

DUE_SOON = timedelta(days=3)
"""What a bank wants to see of a disputed payment takes people days to gather."""
LATE_AFTER = timedelta(minutes=2)
"""A tick that is worked within that time is not late, however short its period is."""

JOBS: Mapping[str, Ticks] = {kind.task: ticks for kind, ticks in TICKS.items()}
SWEEPER = "billing sweeper "
"""How the session begins its name by which a worker looks for overdue work each second; its own name follows."""

_EVENTS = """
    SELECT jsonb_agg(jsonb_build_array(state, outcome, in_hour, in_day) ORDER BY state, outcome) FROM (
        SELECT state, outcome, count(*) FILTER (WHERE received_at > :hour_ago) AS in_hour, count(*) AS in_day
        FROM recent GROUP BY state, outcome
    ) AS kind
"""
_LAGS = """
    SELECT percentile_cont(ARRAY[0.5, 0.95]) WITHIN GROUP (
        ORDER BY extract(epoch FROM greatest(processed_at - received_at, interval '0'))::float8
    )
    FROM recent WHERE received_at > :hour_ago AND processed_at IS NOT NULL
"""
_PURCHASES = """
    SELECT jsonb_object_agg(state, number)
    FROM (
        SELECT state, count(*) AS number
        FROM (SELECT state FROM purchase WHERE accepted_at > :day_ago LIMIT :most) AS one GROUP BY state
    ) AS kind
"""
# When a session asked last is only told to its own role: to another it is a worker that is there.
_WORKERS = f"""
    SELECT jsonb_agg(jsonb_build_array(name, seconds) ORDER BY name) FROM (
        SELECT substr(application_name, {len(SWEEPER) + 1}) AS name,
            min(extract(epoch FROM clock_timestamp() - query_start)::float8) AS seconds
        FROM pg_stat_activity WHERE datname = current_database() AND starts_with(application_name, '{SWEEPER}')
        GROUP BY application_name
    ) AS worker
"""  # noqa: S608  # our own words
_SLOTS = f"""
    SELECT jsonb_object_agg(entry, extract(epoch FROM slot)::float8)
    FROM (VALUES {", ".join(f"('{name}')" for name in JOBS)}) AS job (name)
    CROSS JOIN LATERAL (SELECT * FROM beat_slot WHERE entry = job.name ORDER BY slot DESC LIMIT 1) AS last
"""  # noqa: S608
_CASES = """
    SELECT jsonb_object_agg(reason, number)
    FROM (SELECT reason, count(*) AS number FROM staff_case WHERE state = 'open' GROUP BY reason) AS kind
"""
_DISPUTES = """
    SELECT jsonb_build_array(
        count(*), count(*) FILTER (WHERE evidence_due_at <= :due_soon), extract(epoch FROM min(evidence_due_at))::float8
    )
    FROM dispute WHERE state IN ('inquiry', 'open')
"""
STANDING = f"""
    WITH recent AS MATERIALIZED (
        SELECT state, outcome, received_at, processed_at FROM webhook_event
        WHERE received_at > :events_since ORDER BY received_at DESC LIMIT :most
    )
    SELECT clock_timestamp() AS machine_at, ({_EVENTS}) AS events, ({_LAGS}) AS lags, ({_PURCHASES}) AS purchases,
        ({_WORKERS}) AS workers, ({_SLOTS}) AS slots, ({_CASES}) AS cases, ({_DISPUTES}) AS disputes
"""  # noqa: S608


def given(now: datetime, *, most: int, events_of: timedelta) -> dict[str, Any]:
    """What the row is asked for with: events of so long, an hour at least, and of nothing more rows than `most`."""
    hour_ago, day_ago = now - timedelta(hours=1), now - timedelta(days=1)
    times = {"hour_ago": hour_ago, "day_ago": day_ago, "events_since": now - events_of, "due_soon": now + DUE_SOON}
    return {**times, "most": most}


@dataclass(frozen=True, slots=True)
class EventsOfAKind:
    """Those that came in, in the last day if events of a day were asked for; `outcome` is None for the undecided."""

    state: str
    outcome: str | None
    last_hour: int
    last_day: int


@dataclass(frozen=True, slots=True)
class WorkerView:
    """`seen_seconds` is how long ago it looked for overdue work, which it does each second; None: nobody may know."""

    name: str
    seen_seconds: float | None


@dataclass(frozen=True, slots=True)
class JobView:
    """Instants are of the machine's clock, by which ticks are. `age_seconds` is the age of the last tick."""

    name: str
    every: timedelta
    last_at: datetime | None
    next_at: datetime
    age_seconds: float | None
    is_late: bool


@dataclass(frozen=True, slots=True)
class DisputesView:
    """Those that are open; `due_soon` want evidence within three days, and the first of all at `next_due_at`."""

    open: int
    due_soon: int
    next_due_at: datetime | None


@dataclass(frozen=True, slots=True)
class OperationsView:
    """Purchases are those of the last day by the state of now; lags are seconds of the last hour, None without any.

    Half of its events took no longer from the door to their end than the first lag, 95 of a hundred than the second.
    """

    events: Sequence[EventsOfAKind]
    lags: Sequence[float] | None
    purchases: Mapping[PurchaseState, int]
    workers: Sequence[WorkerView]
    jobs: Sequence[JobView]
    open_cases: Mapping[str, int]
    disputes: DisputesView

    @classmethod
    def of(cls, row: RowMapping, zone: ZoneInfo) -> "OperationsView":
        purchases, slots = row["purchases"] or {}, row["slots"] or {}
        number, due_soon, next_due = row["disputes"]
        return cls(
            events=[EventsOfAKind(*kind) for kind in row["events"] or ()],
            lags=row["lags"],
            purchases={state: purchases.get(state.value, 0) for state in PurchaseState},
            workers=[WorkerView(*worker) for worker in row["workers"] or ()],
            jobs=[_job(name, _instant(slots.get(name)), row["machine_at"].astimezone(UTC), zone) for name in JOBS],
            open_cases=row["cases"] or {},
            disputes=DisputesView(number, due_soon, _instant(next_due)),
        )


def _job(name: str, last_at: datetime | None, now: datetime, zone: ZoneInfo) -> JobView:
    """One that never ran is not late: the service may have begun a moment ago."""
    ticks = JOBS[name]
    expected = last_at and ticks.following(last_at, zone) + max(LATE_AFTER, ticks.every * 2 / 5)
    return JobView(
        name=name,
        every=ticks.every,
        last_at=last_at,
        next_at=ticks.following(now, zone),
        age_seconds=None if last_at is None else max(0.0, (now - last_at).total_seconds()),
        is_late=expected is not None and now > expected,
    )


def _instant(epoch: Any) -> datetime | None:
    return None if epoch is None else datetime.fromtimestamp(epoch, UTC)
