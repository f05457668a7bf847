"""Differences and cases that somebody has looked at: closed with a note, which is the reason of the act."""

from sqlalchemy import TextClause, text
from sqlmodel import Session

from billing.errors import NotFoundError, RefusedError
from billing.models import StaffAct
from billing.staff.effects import Context, Effect
from billing.staff.wishes import CloseCase, CloseFinding


class ClosedAlreadyError(RefusedError):
    """Somebody was faster, and the note is theirs."""

    error_type = "invalid_state"


LOCK_FINDING = text("SELECT state, closed_by FROM finding WHERE id = :id FOR NO KEY UPDATE")
LOCK_CASE = text("SELECT state, closed_by FROM staff_case WHERE id = :id FOR NO KEY UPDATE")
CLOSE_FINDING = text("""
    UPDATE finding SET state = 'closed', closed_at = :now, closed_by = :actor, note = :note WHERE id = :id
""")
CLOSE_CASE = text("""
    UPDATE staff_case SET state = 'closed', closed_at = :now, closed_by = :actor, note = :note WHERE id = :id
""")


def close_finding(session: Session, act: StaffAct, context: Context) -> Effect:
    wish = CloseFinding.model_validate(act.parameters)
    _lock(session, LOCK_FINDING, wish.finding_id, wish.target)
    return _close(session, CLOSE_FINDING, wish.finding_id, act, context)


def close_case(session: Session, act: StaffAct, context: Context) -> Effect:
    wish = CloseCase.model_validate(act.parameters)
    _lock(session, LOCK_CASE, wish.case_id, wish.target)
    return _close(session, CLOSE_CASE, wish.case_id, act, context)


def _lock(session: Session, statement: TextClause, subject: object, name: str) -> None:
    """Raises NotFoundError or ClosedAlreadyError."""
    found = session.execute(statement, {"id": subject}).mappings().one_or_none()
    if found is None:
        raise NotFoundError(f"there is no {name}")
    if found["state"] == "closed":
        raise ClosedAlreadyError(f"{name} was closed by {found['closed_by']}")


def _close(session: Session, statement: TextClause, subject: object, act: StaffAct, context: Context) -> Effect:
    session.execute(statement, {"id": subject, "now": context.now, "actor": act.actor, "note": act.reason})
    return Effect({"state": "open"}, {"state": "closed", "note": act.reason})
