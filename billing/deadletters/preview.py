"""What a replay would do, without doing it.

The handlers of events make no calls, so that one really runs, in a savepoint that is rolled back; of what asks Stripe
or a mail server it is said what would be asked, and what is known.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, select, text
from sqlalchemy.exc import InterfaceError, InternalError, OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import Session, col

from billing.deadletters.intentions import intention
from billing.deadletters.names import LetterName
from billing.deadletters.reopen import Result, look
from billing.deployment import Deployment
from billing.errors import TransientError
from billing.models import Installation, WebhookEvent
from billing.purchases.news import Context
from billing.reads.written import counted
from billing.webhooks.events import read_event
from billing.webhooks.handlers import handle

EVENT = "webhook_event"

# What a savepoint has written is known by the number that its first row got: nobody else's rows have it.
TOUCH = text("UPDATE webhook_event SET hints = hints WHERE id = :id RETURNING CAST(xmin AS text)")
NEWEST = text("""
    SELECT (SELECT coalesce(max(id), 0) FROM hour_entry) AS entries,
        (SELECT coalesce(max(id), 0) FROM hour_lot) AS lots,
        (SELECT coalesce(max(id), 0) FROM purchase_transition) AS steps,
        (SELECT coalesce(max(id), 0) FROM staff_case) AS cases
""")
WRITTEN: Mapping[str, str] = {
    "purchases": """
        SELECT DISTINCT ON (purchase.transaction_id) transaction_id, purchase.id::text AS id, purchase.state
        FROM purchase_transition AS step JOIN purchase ON purchase.id = step.purchase_id
        WHERE step.id > :steps AND step.xmin::text = :written ORDER BY purchase.transaction_id
    """,
    "entries": """
        SELECT kind, minutes, student_id, source FROM hour_entry
        WHERE id > :entries AND xmin::text = :written ORDER BY id
    """,
    "lots": """
        SELECT origin, minutes_granted AS minutes, student_id, to_char(expires_at AT TIME ZONE 'UTC',
            'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS expires_at
        FROM hour_lot WHERE id > :lots AND xmin::text = :written ORDER BY id
    """,
    "cases": """
        SELECT reason, source, detail FROM staff_case WHERE id > :cases AND xmin::text = :written ORDER BY id
    """,
    "asked_of_stripe": """
        SELECT subject, object_id FROM stale_mark WHERE due_at IS NOT NULL AND xmin::text = :written ORDER BY id
    """,
}
WORDS: Mapping[str, Sequence[str]] = {
    "purchases": ["purchase"],
    "entries": ["entry", "entries"],
    "lots": ["lot"],
    "cases": ["case"],
    "asked_of_stripe": ["question to Stripe", "questions to Stripe"],
}
"""For one row of what is written, and for more where that is not the same with an s."""
BEFORE = text("SELECT transaction_id, state FROM purchase WHERE transaction_id = ANY(CAST(:numbers AS bigint[]))")


@dataclass(frozen=True, slots=True)
class Terms:
    """Of the place and the time at which a replay would be."""

    livemode: bool
    zone: ZoneInfo
    now: datetime


@dataclass(frozen=True, slots=True)
class Preview:
    """`outcome` is what the handler of an event came to, `error` what broke it; `says` is the same for people.

    `effects` are the rows that would be written: purchases that move, entries, lots, cases, what Stripe is asked.
    """

    result: Result
    says: str
    outcome: str | None = None
    error: str | None = None
    effects: Mapping[str, Sequence[Mapping[str, Any]]] = field(default_factory=dict)


async def preview(connection: AsyncConnection, name: LetterName, terms: Terms) -> Preview:
    """Nothing of it stays. Raises NotFoundError and UnreadableError as a replay would, LockTimeoutError where a worker
    has the rows in hand."""
    return await connection.run_sync(lambda plain: preview_in(plain, name, terms))


def preview_in(connection: Connection, name: LetterName, terms: Terms) -> Preview:
    with Session(connection, join_transaction_mode="create_savepoint") as session:  # rolled back where the block ends
        found = look(session, name)
        if found.result is not Result.REOPENED:
            return Preview(found.result, _nothing(found.result, found.state))
        if name.kind != EVENT:
            return Preview(found.result, intention(session, name))
        ran = _run(session, int(name.subject), terms)
    return _with_states_before(connection, ran)


def _nothing(result: Result, state: str | None) -> str:
    if result is Result.WAITING:
        return "it is open already, and is worked when it is due: a replay would change nothing"
    return f"there is nothing left to do ({state or 'seen to'}): a replay would change nothing"


def _run(session: Session, event_id: int, terms: Terms) -> Preview:
    """The event through its handler."""
    deployment = Deployment(session.scalars(select(col(Installation.id))).one(), terms.livemode, terms.zone)
    newest = session.execute(NEWEST).mappings().one()
    written = session.execute(TOUCH, {"id": event_id}).scalar_one()
    try:
        outcome = handle(session, read_event(session.get_one(WebhookEvent, event_id)), Context(deployment, terms.now))
        session.flush()
    except (TransientError, OperationalError, InterfaceError, InternalError):
        raise
    except Exception as error:  # what breaks the handler is the answer
        reason = f"{type(error).__name__}: {error}"
        return Preview(Result.REOPENED, f"its handler would break: {reason}", error=reason)
    known = {**newest, "written": written}
    effects = {
        what: [dict(row) for row in session.execute(text(statement), known).mappings()]
        for what, statement in WRITTEN.items()
    }
    return Preview(Result.REOPENED, _told(outcome, effects), outcome=outcome, effects=effects)


def _told(outcome: str, effects: Mapping[str, Sequence[object]]) -> str:
    counts = ", ".join(counted(len(rows), *WORDS[what]) for what, rows in effects.items() if rows)
    return f"{outcome}: {counts or 'nothing would be written'}"


def _with_states_before(connection: Connection, ran: Preview) -> Preview:
    """Purchases with the state that they are in now."""
    moved = ran.effects.get("purchases", ())
    if not moved:
        return ran
    numbers = [row["transaction_id"] for row in moved]
    before = {row.transaction_id: row.state for row in connection.execute(BEFORE, {"numbers": numbers})}
    purchases = [{**row, "state_before": before[row["transaction_id"]]} for row in moved]
    return Preview(ran.result, ran.says, ran.outcome, ran.error, {**ran.effects, "purchases": purchases})
