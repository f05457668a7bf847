"""The consumptions of a student whose lots go to an account."""

from datetime import datetime

from sqlalchemy import text
from sqlmodel import Session

# Held before any balance: who works one of these finds its lots where it looked for them.
LOCK = text("SELECT FROM consumption WHERE student_id = :source ORDER BY id FOR NO KEY UPDATE")
REFUSE = text("""
    UPDATE consumption AS mine SET state = 'refused', error_type = 'invalid_state', decided_at = :now
    WHERE mine.student_id = :source AND mine.state = 'requested' AND EXISTS (
        SELECT FROM consumption AS other
        WHERE other.student_id = :target AND other.session_id = mine.session_id AND other.state <> 'refused'
    )
""")
MOVE = text("""
    UPDATE consumption AS mine SET student_id = :target
    WHERE mine.student_id = :source AND (mine.state = 'refused' OR NOT EXISTS (
        SELECT FROM consumption AS other
        WHERE other.student_id = :target AND other.session_id = mine.session_id AND other.state <> 'refused'
    ))
""")


def hand_over(session: Session, source: int, target: int, *, at: datetime) -> None:
    """Give the consumptions of one student to another, before the lots follow.

    Where the other has the same session already, one that is not decided yet is refused, and one that has hours stays
    where it is: it is captured, released and given back from the lots all the same.
    """
    for statement in (LOCK, REFUSE, MOVE):
        session.execute(statement, {"source": source, "target": target, "now": at})
