"""What becomes of a refund, whoever made it: its minutes are taken, or come back, with its money."""

from datetime import datetime, timedelta

import structlog
from sqlmodel import Session

from billing import ledger, packages, work
from billing.disputes import effects
from billing.errors import BillingError
from billing.ledger import Move, Posting
from billing.ledger.expiries import write_off
from billing.messages import ActDecided
from billing.models import Purchase, Refund
from billing.purchases import changes, lifecycle
from billing.purchases.news import Context
from billing.refunds.holding import lock_lot
from billing.states import REFUND_MOVES, EntryKind, Part, PurchaseState, RefundState, Step

log = structlog.get_logger(__name__)

SECOND_LIFE = timedelta(days=7)
"""Hours that were held for a refund that failed live for so long at least, and to the end of that day."""


class IllegalRefundMoveError(BillingError):
    """The code tried a move that the table does not have: a defect, never news."""


def can_move(refund: Refund, target: RefundState) -> bool:
    return target in REFUND_MOVES[refund.state]


def move_to(session: Session, refund: Refund, target: RefundState, *, at: datetime) -> None:
    """Where it is decided nothing is left to do for it, not even for people who found it given up."""
    if not can_move(refund, target):
        raise IllegalRefundMoveError(f"{refund.state} -> {target}")
    refund.state = target
    if target is not RefundState.SENT:
        refund.decided_at, refund.gave_up_at = at, None
        work.close(refund)
    changes.follow_up(session, ActDecided(act_id=refund.id))


def succeed(session: Session, purchase: Purchase, refund: Refund, *, at: datetime) -> None:
    """The money is on its way for good: held minutes are taken, those that are not there any more are owed."""
    move_to(session, refund, RefundState.SUCCEEDED, at=at)
    refund.error_type = refund.error_message = None
    purchase.refunding_cents -= refund.amount_cents
    purchase.refunded_cents += refund.amount_cents
    lot = lock_lot(session, purchase)
    if lot is not None:
        _post(session, purchase, refund, lot, released=refund.minutes, taken=refund.minutes, at=at)
        ledger.return_money(session, lot.student_id, cents=refund.amount_cents, minutes_owed=refund.minutes_short)
    if purchase.refunded_cents == purchase.price_cents and lifecycle.can_move(purchase.state, PurchaseState.REFUNDED):
        lifecycle.move_to(purchase, PurchaseState.REFUNDED)
    lifecycle.note_step(session, purchase, Step.REFUNDED, cause=refund.stripe_refund_id or str(refund.id), at=at)
    log.info("refund_succeeded", refund_id=str(refund.id), purchase_id=str(purchase.id))


def fail(session: Session, purchase: Purchase, refund: Refund, target: RefundState, context: Context) -> None:
    """The money did not go, or came back from the bank: the hours are the student's again, for a week at least."""
    at = context.now
    was_there = refund.state is RefundState.SUCCEEDED
    move_to(session, refund, target, at=at)
    lot = lock_lot(session, purchase)
    if was_there:
        _take_back(session, purchase, refund, lot, at=at)
    else:
        purchase.refunding_cents -= refund.amount_cents
        if lot is not None:
            _post(session, purchase, refund, lot, released=refund.minutes, taken=0, at=at)
    if lot is not None and refund.minutes:
        _revive(session, purchase, refund, lot, context)
    effects.ask_about_losses(session, purchase, request_id=refund.request_id, at=at)
    lifecycle.note_step(session, purchase, Step.REFUND_FAILED, cause=refund.stripe_refund_id or str(refund.id), at=at)
    log.warning("refund_failed", refund_id=str(refund.id), purchase_id=str(purchase.id), state=target)


def _revive(session: Session, purchase: Purchase, refund: Refund, lot: ledger.Lot, context: Context) -> None:
    """They live on as they would have, and a week at least: only hours that can be spent are ever held.

    While a dispute is open nobody can spend them. What had expired beside them does not come back with them, whether a
    sweep has written it off by now or not.
    """
    if lot.left and not lot.is_alive(context.now):
        write_off(session, {lot.id: lot.left}, at=context.now)
    at, source = context.now, f"refund:{refund.id}"
    end = packages.end_of_day(at + SECOND_LIFE, context.deployment.zone)
    ledger.extend(session, [ledger.Extension(lot.id, end)], source=f"{source}:extended", at=at)
    effects.freeze_returned(session, purchase, lot, refund.minutes, source=f"{source}:frozen", at=at)


def _take_back(session: Session, purchase: Purchase, refund: Refund, lot: ledger.Lot | None, *, at: datetime) -> None:
    purchase.refunded_cents -= refund.amount_cents
    lifecycle.take_money_back(purchase)
    if lot is None:
        return
    ledger.return_money(session, lot.student_id, cents=-refund.amount_cents, minutes_owed=-refund.minutes_short)
    if refund.minutes:
        moves, source = [Move(lot.id, refund.minutes, Part.REFUNDED)], f"refund:{refund.id}:failed"
        ledger.post(session, [Posting(lot.student_id, EntryKind.REFUND, source, moves, at, purchase_id=purchase.id)])


def _post(
    session: Session, purchase: Purchase, refund: Refund, lot: ledger.Lot, *, released: int, taken: int, at: datetime
) -> None:
    steps = (
        (EntryKind.RELEASE, f"refund:{refund.id}:released", Move(lot.id, released, Part.HELD)),
        (EntryKind.REFUND, f"refund:{refund.id}", Move(lot.id, -taken, Part.REFUNDED)),
    )
    postings = [
        Posting(lot.student_id, kind, source, [move], at, purchase_id=purchase.id)
        for kind, source, move in steps
        if move.minutes
    ]
    ledger.post(session, postings)
