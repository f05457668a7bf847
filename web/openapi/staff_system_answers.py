"""What staff read of the service itself. Everything is in seconds, minutes of hours or counts."""

from pydantic import Field

from billing.brakes import Lane
from billing.states import EventState, FindingKind, Outcome, PurchaseState
from web.openapi.answers import Hours, Instant, Shape


class OpenWork(Shape):
    """Null is what nobody works on any more: messages that could not be read."""

    kind: str
    open: int | None = Field(description="Rows that want a worker, now or later.")
    in_hand: int | None = Field(description="Those of them that a worker has in hand.")
    overdue_seconds: float | None = Field(description="For how long the row that waits longest has been due.")
    dead_letters: int = Field(description="What gave up and waits for a person.")


class WorkerSeen(Shape):
    name: str
    seen_seconds: float | None = Field(
        description="How long ago it looked for overdue work, as it does each second. Null: nobody may know."
    )


class EventsOfAKind(Shape):
    state: EventState
    outcome: Outcome | None
    last_hour: int
    last_day: int


class LagsOfAnHour(Shape):
    p50: float | None = Field(description="Half of the last hour's took no longer from the door to their end.")
    p95: float | None


class EventFigures(Shape):
    by_outcome: list[EventsOfAKind]
    lag_seconds: LagsOfAnHour


class Job(Shape):
    name: str
    every_seconds: int
    last_at: Instant | None = Field(description="Its last tick that was worked.")
    next_at: Instant
    is_late: bool


class Audit(Shape):
    at: Instant
    students: int
    violations: int


class LastReadings(Shape):
    events: Instant | None
    ledger: Instant | None


class Reconciliation(Shape):
    read_up_to: Instant | None = Field(description="Up to when Stripe's events were asked for.")
    succeeded_at: LastReadings
    open_findings: dict[FindingKind, int]
    events_by_list: int = Field(description="Events of the last day that no webhook brought.")


class Disputes(Shape):
    open: int
    due_soon: int = Field(description="Those that want evidence within three days.")
    next_due_at: Instant | None


class StripeCalls(Shape):
    """Calls, waits and those put off are of the last twenty seconds."""

    is_paused: bool
    paused_seconds: float
    reason: str | None
    recent_calls: int
    failing_share: float
    calls_per_second: float = Field(description="How fast Stripe may be called now.")
    rate_share: float
    waits: dict[Lane, int]
    put_off: dict[Lane, int]


class Tonight(Shape):
    """What the next nightly sweep takes if nothing is spent or extended until then."""

    at: Instant
    cutoff: Instant
    students: int
    lots: int
    minutes: int
    hours: Hours


class Health(Shape):
    at: Instant
    work: list[OpenWork]
    workers: list[WorkerSeen]
    events: EventFigures
    purchases: dict[PurchaseState, int] = Field(description="Those accepted in the last day, by their state now.")
    schedule: list[Job]
    audit: Audit | None = Field(description="Null where the ledger was never proven.")
    reconciliation: Reconciliation
    cases: dict[str, int] = Field(description="Open ones, by their reason.")
    disputes: Disputes
    stripe: StripeCalls | None = Field(description="Null while Valkey is away: nobody knows.")
    tonight: Tonight


class Quarter(Shape):
    at: Instant
    accepted: int
    completed: int
    failed: int = Field(description="Payments that failed; a purchase may fail more than once.")
    events: int
    lag_p95_seconds: float | None
    credited_minutes: int


class History(Shape):
    quarters: list[Quarter]
