"""Put a dead letter aside, or be done with it, without working it anew."""

from uuid import UUID

from sqlalchemy import text
from sqlmodel import Session

from billing.deadletters.names import KINDS, LetterName
from billing.errors import NotFoundError, RefusedError
from billing.states import DeadLetterState

# Nobody works it anew meanwhile.
LOCK = "SELECT {is_dead} FROM {table} WHERE id = :id FOR NO KEY UPDATE"
BEFORE = text("SELECT state FROM dead_letter WHERE kind = :kind AND subject = :subject")
# The clock that says when a message came last may have been moved ahead of this one.
MARK = text("""
    INSERT INTO dead_letter_mark (kind, subject, state, act_id, at)
    SELECT kind, subject, :state, :act_id, greatest(clock_timestamp(), at)
    FROM dead_letter WHERE kind = :kind AND subject = :subject
    ON CONFLICT (kind, subject) DO UPDATE SET state = excluded.state, act_id = excluded.act_id, at = excluded.at
""")


class NotDeadError(RefusedError):
    """It has not given up, or not any more."""

    error_type = "invalid_state"


def mark(session: Session, name: LetterName, state: DeadLetterState, act_id: UUID) -> str:
    """How it stood before. Raises NotFoundError where there is no such row, NotDeadError where it has not given up."""
    is_dead = "gave_up_at IS NOT NULL" if name.kind in KINDS else "true"
    statement = text(LOCK.format(is_dead=is_dead, table=name.table))
    found = session.execute(statement, {"id": name.key}).scalar_one_or_none()
    if found is None:
        raise NotFoundError(f"there is no {name}")
    if not found:
        raise NotDeadError(f"{name} has not given up")
    letter = {"kind": name.kind, "subject": name.subject}
    before: str = session.execute(BEFORE, letter).scalar_one()
    session.execute(MARK, {**letter, "state": state.value, "act_id": act_id})
    return before
