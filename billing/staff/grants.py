"""Hours that staff give, and hours that they take back: by entries, never by an edit."""

from datetime import datetime

from sqlmodel import Session

from billing import ledger, packages
from billing.errors import InsufficientBalanceError, NotFoundError
from billing.ledger import Account, Credit, Move, Posting
from billing.models import StaffAct, Student
from billing.reads.written import hours, instant
from billing.staff.effects import Context, Effect
from billing.staff.wishes import Correct, Grant
from billing.states import EntryKind, LotOrigin, Part

CURRENCY = "eur"
"""Of a lot that cost nothing."""


def grant(session: Session, act: StaffAct, context: Context) -> Effect:
    """A lot of its own, without value; it lasts as a package does that is bought now."""
    wish = Grant.model_validate(act.parameters)
    available = _locked(session, wish.student_id).available(context.now)
    end = packages.expires_at(context.now, wish.validity_days, context.zone)
    ledger.credit(session, [_credit(act, wish, end, context.now)])
    after = {"minutes_available": available + wish.minutes, "expires_at": instant(end)}
    return Effect({"minutes_available": available}, after)


def correct(session: Session, act: StaffAct, context: Context) -> Effect:
    """From the lots that would be spent next."""
    wish = Correct.model_validate(act.parameters)
    account = _locked(session, wish.student_id)
    available = account.available(context.now)
    if wish.minutes > available:
        raise InsufficientBalanceError(f"only {hours(max(0, available))} hours are there to be taken back")
    posting = Posting(
        student_id=wish.student_id,
        kind=EntryKind.CORRECT,
        source=f"staff_act:{act.id}",
        moves=_first(account, wish.minutes, context.now),
        at=context.now,
    )
    ledger.post(session, [posting])
    return Effect({"minutes_available": available}, {"minutes_available": available - wish.minutes})


def _locked(session: Session, student_id: int) -> Account:
    """Raises NotFoundError where there is no such student."""
    if session.get(Student, student_id) is None:
        raise NotFoundError(f"there is no student {student_id}")
    return ledger.lock_accounts(session, [student_id])[student_id]


def _credit(act: StaffAct, wish: Grant, end: datetime, now: datetime) -> Credit:
    return Credit(
        student_id=wish.student_id,
        origin=LotOrigin.GRANT,
        source=f"staff_act:{act.id}",
        purchase_id=None,
        minutes=wish.minutes,
        value_cents=0,
        currency=CURRENCY,
        starts_at=now,
        expires_at=end,
        at=now,
    )


def _first(account: Account, minutes: int, now: datetime) -> list[Move]:
    moves: list[Move] = []
    for lot in account.spendable(now):
        taken = min(lot.left, minutes)
        minutes -= taken
        if taken:
            moves.append(Move(lot.id, -taken, Part.REFUNDED))
    return moves
