"""Open a dead letter anew: as if it had never been tried, due now, for the use case that works its kind."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from sqlalchemy import RowMapping, text
from sqlmodel import Session

from billing.deadletters.names import KINDS, LetterName
from billing.errors import NotFoundError, RefusedError
from billing.messages import Message
from billing.models.columns import listed
from billing.states import SETTLED

UNENDED = "payment_intent_id IS NOT NULL AND cancel_requested_at IS NULL AND abandoned_at IS NULL"
"""Of a purchase that can be paid, and that nobody wants to end: opened anew, it would be cancelled."""

IS_DECIDED: Mapping[str, str] = {
    "purchase": f"state IN ({listed(SETTLED)}) OR ({UNENDED})",
    "webhook_event": "state = 'applied'",
    "student_link": "gave_up_at IS NULL",
    "consumption_act": "state <> 'requested'",
    "staff_act": "state <> 'requested'",
    "sweep_run": "state <> 'running'",
    "notification": "state <> 'waiting'",
    "refund": "state NOT IN ('held', 'sent')",
    "stale_mark": "gave_up_at IS NULL",
    "receipt": "issued_at IS NOT NULL",
    "account_act": "state <> 'requested'",
    "payment_watch": "gave_up_at IS NULL",
    "export": "state <> 'writing'",
}
"""Of a row that is not open: that there is nothing left to do for it."""

IS_TAKEN_UP: Mapping[str, str] = {"webhook_event": "gave_up_at IS NOT NULL OR state = 'ignored'"}
"""What is worked anew, where that is not only what gave up: an event that meant nothing may mean something by now."""

STATELESS = frozenset({"student_link", "stale_mark", "receipt", "payment_watch"})
ALSO: Mapping[str, str] = {"webhook_event": ", state = 'received', outcome = NULL, processed_at = NULL"}

LOOK = """
    SELECT {state} AS state, due_at, gave_up_at, attempts, last_error, {is_decided} AS is_decided,
        {is_taken_up} AS is_taken_up, (SELECT coalesce(max(id), 0) FROM hour_entry) AS newest_entry
    FROM {table} WHERE id = :id FOR NO KEY UPDATE
"""
REOPEN = """
    UPDATE {table} SET attempts = 0, deferrals = 0, hints = 0, gave_up_at = NULL, troubled_since = NULL,
        lease_until = NULL, lease_token = NULL, due_at = clock_timestamp(),
        hint_at = clock_timestamp() + interval '2 seconds'{also}
    WHERE id = :id RETURNING due_at
"""
# It was decided by another way after it gave up: nobody has to see to it any more.
SETTLE = "UPDATE {table} SET gave_up_at = NULL WHERE id = :id AND gave_up_at IS NOT NULL"
UNMARK = text("DELETE FROM dead_letter_mark WHERE kind = :kind AND subject = :subject")


class UnreadableError(RefusedError):
    """Only a digest is kept of a message that nobody could read."""

    error_type = "invalid_state"


class Result(StrEnum):
    """What a wish to work something anew came to."""

    REOPENED = "reopened"
    ALREADY = "already applied"
    """There is nothing left to do: no effect."""
    WAITING = "waiting"
    """It is open already, and is worked when it is due: no effect."""


@dataclass(frozen=True, slots=True)
class Found:
    """A row as it was found, under lock. `newest_entry` is the last entry of the ledger at that time."""

    state: str | None
    due_at: datetime | None
    gave_up_at: datetime | None
    attempts: int
    last_error: str | None
    newest_entry: int
    result: Result

    @classmethod
    def of(cls, row: RowMapping) -> "Found":
        return cls(
            state=row["state"],
            due_at=row["due_at"] and row["due_at"].astimezone(UTC),
            gave_up_at=row["gave_up_at"] and row["gave_up_at"].astimezone(UTC),
            attempts=row["attempts"],
            last_error=row["last_error"],
            newest_entry=row["newest_entry"],
            result=_result(row),
        )


@dataclass(frozen=True, slots=True)
class Reopened:
    found: Found
    due_at: datetime | None
    hints: list[Message]


def look(session: Session, name: LetterName) -> Found:
    """Lock the row and say what a replay of it would be.

    Raises NotFoundError where there is no such row, UnreadableError for a message that could not be read.
    """
    if name.kind not in KINDS:
        raise UnreadableError(f"{name} could not be read, and only its digest is kept: it can be parked or discarded")
    statement = LOOK.format(
        table=name.table,
        state=state_of(name.kind),
        is_decided=IS_DECIDED[name.kind],
        is_taken_up=IS_TAKEN_UP.get(name.kind, "gave_up_at IS NOT NULL"),
    )
    row = session.execute(text(statement), {"id": name.key}).mappings().one_or_none()
    if row is None:
        raise NotFoundError(f"there is no {name}")
    return Found.of(row)


def reopen(session: Session, name: LetterName) -> Reopened:
    """Raises what `look` raises. A row that is open or decided stays as it is; a decided one is no dead letter more."""
    found = look(session, name)
    if found.result is Result.WAITING:
        return Reopened(found, found.due_at, [])
    session.execute(UNMARK, {"kind": name.kind, "subject": name.subject})
    if found.result is Result.ALREADY:
        session.execute(text(SETTLE.format(table=name.table)), {"id": name.key})
        return Reopened(found, None, [])
    statement = REOPEN.format(table=name.table, also=ALSO.get(name.kind, ""))
    due_at: datetime = session.execute(text(statement), {"id": name.key}).scalar_one()
    return Reopened(found, due_at.astimezone(UTC), KINDS[name.kind].hints([name.key]))


def state_of(kind: str) -> str:
    """The expression by which rows of this kind say how they stand."""
    return "NULL" if kind in STATELESS else "state"


def _result(row: RowMapping) -> Result:
    if row["due_at"] is not None:
        return Result.WAITING
    if row["is_decided"] or not row["is_taken_up"]:
        return Result.ALREADY
    return Result.REOPENED
