"""The refunds of a payment as Stripe has them: ours are brought up to date, others are taken over.

A refund of ours carries our mark; one without it was made elsewhere. The list is the present truth, so it may be
applied as often and as late as one likes.
"""

from collections.abc import Sequence
from datetime import datetime

import structlog
from sqlmodel import Session, col, select

from billing import cases, ledger, retry
from billing.deployment import Deployment
from billing.gateway import RefundThere
from billing.ids import marked_subject, new_id
from billing.models import Purchase, Refund, StaleMark
from billing.purchases import calls
from billing.purchases.locks import lock_purchase
from billing.purchases.news import Context
from billing.refunds import outcomes
from billing.refunds.holding import lock_lot, open_after, reserve
from billing.refunds.shares import share_of
from billing.states import PAID, CallState, RefundOrigin, RefundState

log = structlog.get_logger(__name__)

STATES = {
    "pending": RefundState.SENT,
    "requires_action": RefundState.SENT,
    "succeeded": RefundState.SUCCEEDED,
    "failed": RefundState.FAILED,
    "canceled": RefundState.CANCELLED,
}
"""Stripe, "The Refund object", attribute `status`."""
UNDECIDED = frozenset({RefundState.HELD, RefundState.SENT})


def apply_refunds(session: Session, mark: StaleMark, found: Sequence[RefundThere], context: Context) -> bool:
    """False where the purchase is not known to be paid yet: its hours cannot be taken before they are there.

    Those that we know come first: one that failed makes room for those that were made since.
    """
    purchase = lock_purchase(session, mark.purchase_id)
    if purchase.state not in PAID:
        return False
    rows = _rows(session, purchase)
    known = [(there, row) for there in found if (row := _row_of(there, rows, context.deployment))]
    for there, row in known:
        apply(session, purchase, row, there, context)
    ids = {there.id for there, _ in known}
    for there in found:
        if there.id not in ids and (row := _take_over(session, purchase, there, rows, context)):
            apply(session, purchase, row, there, context)
    return True


def apply(session: Session, purchase: Purchase, refund: Refund, there: RefundThere, context: Context) -> None:
    """Bring a locked refund of a locked purchase to what Stripe says of it; what is known already changes nothing."""
    if refund.stripe_refund_id is None:
        _adopt(session, refund, there, at=context.now)
    target = STATES.get(there.status, RefundState.SENT)
    if target is not refund.state and outcomes.can_move(refund, target):
        _move(session, purchase, refund, there, target, context)
    if refund.state is RefundState.SENT and refund.due_at is None:
        # Should the event be lost that ends it; also where it had been given up.
        open_after(refund, retry.after(retry.ON_ITS_WAY, 0) or retry.LONGEST)
        refund.gave_up_at, refund.attempts = None, refund.deferrals


def _adopt(session: Session, refund: Refund, there: RefundThere, *, at: datetime) -> None:
    """Whoever sent it need not, and may not, send it again."""
    refund.stripe_refund_id = there.id
    call = calls.open_refund_call(session, refund)
    if call is not None:
        calls.close_call(call, CallState.ANSWERED, at=at, object_id=there.id)


def _move(
    session: Session, purchase: Purchase, refund: Refund, there: RefundThere, target: RefundState, context: Context
) -> None:
    at = context.now
    if target is RefundState.SENT:
        outcomes.move_to(session, refund, target, at=at)
    elif target is RefundState.SUCCEEDED:
        outcomes.succeed(session, purchase, refund, at=at)
    else:
        reason = there.failure_reason or there.status
        refund.error_type, refund.error_message = "refund_failed", reason
        outcomes.fail(session, purchase, refund, target, context)
        detail = f"{there.amount_cents} cents did not arrive: {reason}"
        cases.open_case(session, "refund_failed", there.id, purchase_id=purchase.id, detail=detail, at=at)


def _rows(session: Session, purchase: Purchase) -> Sequence[Refund]:
    theirs = select(Refund).where(Refund.purchase_id == purchase.id).order_by(col(Refund.id))
    return session.exec(theirs.with_for_update().execution_options(populate_existing=True)).all()


def _row_of(there: RefundThere, rows: Sequence[Refund], deployment: Deployment) -> Refund | None:
    """One that we know by Stripe's id, or ours by its mark where we still wait to hear of it.

    What carries the mark of one that is decided, or known by another id, moved money once more.
    """
    if known := next((row for row in rows if row.stripe_refund_id == there.id), None):
        return known
    ours = marked_subject(deployment.installation, there.mark)
    waiting = (row for row in rows if row.id == ours and row.stripe_refund_id is None)
    return next((row for row in waiting if row.state in UNDECIDED), None)


def _take_over(
    session: Session, purchase: Purchase, there: RefundThere, rows: Sequence[Refund], context: Context
) -> Refund | None:
    """A refund that was made elsewhere takes unused minutes; those that were used already are a shortfall and a case.

    One that failed before we heard of it never was. Where one of ours is on its way beside it, Stripe refuses one of
    the two: once ours is refused they are listed again.
    """
    if STATES.get(there.status) in (RefundState.FAILED, RefundState.CANCELLED):
        return None
    lot = lock_lot(session, purchase)
    open_cents = purchase.price_cents - purchase.refunded_cents - purchase.refunding_cents
    if lot is not None and there.currency == purchase.currency and there.amount_cents <= open_cents:
        return _made_elsewhere(session, purchase, there, lot, context)
    if any(row.state in UNDECIDED for row in rows):
        log.info("refund_beside_ours", purchase_id=str(purchase.id), stripe_refund_id=there.id)
    else:
        _open_case(session, purchase, there, "refund_does_not_fit", context)
    return None


def _made_elsewhere(
    session: Session, purchase: Purchase, there: RefundThere, lot: ledger.Lot, context: Context
) -> Refund:
    share = share_of(session, purchase, lot, there.amount_cents, at=context.now)
    refund = Refund(
        id=new_id(),
        purchase_id=purchase.id,
        origin=RefundOrigin.EXTERNAL,
        amount_cents=there.amount_cents,
        currency=there.currency,
        minutes=share.minutes,
        minutes_short=share.short,
        state=RefundState.SENT,
        stripe_refund_id=there.id,
        request_id=there.id[:64],
        created_at=context.now,
    )
    session.add(refund)
    reserve(session, purchase, refund, lot, at=context.now)
    if share.short:
        _open_case(session, purchase, there, "refund_of_used_hours", context, f", {share.short} minutes were used")
    log.info("refund_taken_over", refund_id=str(refund.id), stripe_refund_id=there.id)
    return refund


def _open_case(
    session: Session, purchase: Purchase, there: RefundThere, reason: str, context: Context, more: str = ""
) -> None:
    detail = f"{there.amount_cents} cents of {purchase.price_cents} were given back at Stripe{more}"
    cases.open_case(session, reason, there.id, purchase_id=purchase.id, detail=detail, at=context.now)
