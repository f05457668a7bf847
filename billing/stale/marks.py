"""Marking: all that an event does whose order matters."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import text
from sqlmodel import Session

from billing.messages import AskStripe
from billing.purchases import changes
from billing.states import StaleKind

# One that is leased is being asked about: its worker sees that there are more marks and asks again. One that was seen
# to, or given up, begins anew.
MARK = text("""
    INSERT INTO stale_mark AS mark (subject, object_id, purchase_id, marks, request_id, marked_at, due_at, hint_at)
    VALUES (:subject, :object_id, :purchase_id, 1, :request_id, :at,
        clock_timestamp(), clock_timestamp() + interval '2 seconds')
    ON CONFLICT (subject, object_id) DO UPDATE
    SET marks = mark.marks + 1, marked_at = excluded.marked_at, request_id = excluded.request_id, gave_up_at = NULL,
        attempts = CASE WHEN mark.due_at IS NULL THEN 0 ELSE mark.attempts END,
        deferrals = CASE WHEN mark.due_at IS NULL THEN 0 ELSE mark.deferrals END,
        due_at = CASE WHEN mark.lease_token IS NULL THEN excluded.due_at ELSE mark.due_at END,
        hint_at = CASE WHEN mark.lease_token IS NULL THEN excluded.hint_at ELSE mark.hint_at END
    RETURNING id
""")


def mark(
    session: Session, subject: StaleKind, object_id: str, *, purchase_id: UUID | None, request_id: str, at: datetime
) -> None:
    """Stripe is to be asked about this object, once this transaction is committed."""
    given = {"subject": subject.value, "object_id": object_id, "purchase_id": purchase_id}
    mark_id = session.execute(MARK, {**given, "request_id": request_id, "at": at}).scalar_one()
    changes.follow_up(session, AskStripe(mark_id=mark_id))
