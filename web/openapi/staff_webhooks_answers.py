"""What answers to staff look like where something failed, or differs."""

from typing import Any, Literal
from uuid import UUID

from pydantic import Field

from billing.deadletters.outcome import Became
from billing.deadletters.reopen import Result
from billing.states import CaseState, EntryKind, EventState, FindingKind, Outcome
from web.openapi.answers import MAYBE, Absent, Euros, Instant, PageOf, Shape

LetterState = Literal["dead", "parked", "discarded"]


class EventRow(Shape):
    stripe_event_id: str
    event_type: str
    status: EventState
    outcome: Outcome | None = Field(description="What its handler came to, once it ran.")
    attempts: int
    error_message: str | None = Field(description="The last trouble with it, which may be over.")
    received_at: Instant
    processed_at: Instant | None


class Lags(Shape):
    p50: float | None = Field(description="Half of the newest 1000 took no longer from the door to their end.")
    p95: float | None


class EventPage(PageOf):
    results: list[EventRow]
    counts: dict[EventState, int] = Field(description="Of all events, whatever was asked for.")
    lag_seconds: Lags


class ReplayedEntry(Shape):
    id: int
    kind: EntryKind
    minutes: int
    student_id: int
    source: str


class Replayed(Shape):
    """`already applied`: there was nothing left to do. `waiting`: it was open already. Both change nothing."""

    success: Literal[True]
    id: UUID = Field(description="Of the act, in the audit log.")
    kind: str
    subject: str
    result: Result
    became: Became | Absent = MAYBE
    """How it stands since, as far as it is known in the time that `Prefer` grants."""
    state: str | None = MAYBE
    detail: str | None = MAYBE
    reason: str | None = MAYBE
    due_at: Instant | None = MAYBE
    ledger_entries: list[ReplayedEntry] | Absent = MAYBE


class ReplayPreview(Shape):
    """What a replay would write now; nothing of it was written."""

    success: Literal[True]
    dry_run: Literal[True]
    kind: str
    subject: str
    result: Result
    says: str
    outcome: Outcome | None
    error: str | None = Field(description="What would break it again.")
    effects: dict[str, list[dict[str, Any]]] = Field(
        description="Of an event: purchases that move, entries, lots, cases, and what Stripe would be asked."
    )


class LetterRow(Shape):
    kind: str
    subject: str
    state: LetterState
    reason: str | None
    error_class: str | None
    digest: str = Field(description="The same for failures that are alike.")
    attempts: int
    first_at: Instant
    at: Instant


class LetterPage(PageOf):
    results: list[LetterRow]


class MarkedLetter(Shape):
    success: Literal[True]
    id: UUID = Field(description="Of the act, in the audit log.")
    kind: str
    subject: str
    state: LetterState


class Ending(Shape):
    state: CaseState
    opened_at: Instant
    closed_at: Instant | None
    closed_by: str | None
    note: str | None


class FindingRow(Ending):
    id: UUID
    kind: FindingKind
    source: str = Field(description="The object at Stripe, or ours, that differs.")
    transaction_id: int | None
    detail: str
    ours: Euros | None
    theirs: Euros | None
    owner: str | None
    seen_at: Instant = Field(description="When it was found last.")


class FindingPage(PageOf):
    results: list[FindingRow]


class CaseRow(Ending):
    id: int
    reason: str
    source: str
    transaction_id: int | None
    detail: str


class CasePage(PageOf):
    results: list[CaseRow]


class Closed(Shape):
    success: Literal[True]
    id: UUID = Field(description="Of the act, in the audit log.")
    target: str
    state: Literal["closed"]
    note: str
