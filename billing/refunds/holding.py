"""The first step of a refund: its minutes are held and its amount reserved, before anybody asks Stripe."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlmodel import Session, col, select

from billing import ledger
from billing.errors import (
    InvalidTransactionStateError,
    NoRefundableHoursError,
    NotFoundError,
    RefundExceedsError,
    RefusedError,
)
from billing.messages import SendRefund
from billing.models import Dispute, HourLot, Purchase, Refund
from billing.purchases import changes
from billing.refunds.quote import Policy, Quote, Standing, quote
from billing.refunds.shares import spoken_for
from billing.states import DisputeState, EntryKind, Part, PurchaseState, RefundOrigin, RefundState
from billing.work.claims import HINTED_BY_ITS_MAKER, database_now


@dataclass(frozen=True, slots=True)
class Wish:
    """`id` becomes the refund's; `amount_cents` None is all that can be given back."""

    id: UUID
    transaction_id: int
    amount_cents: int | None
    request_id: str


def hold_refund(session: Session, wish: Wish, policy: Policy, *, now: datetime) -> Refund:
    """Hold what the wish takes, under the locks of purchase and balance, and leave the rest to whoever sends it.

    The hint for a sender is noted in `changes`. Raises NotFoundError, InvalidTransactionStateError,
    NoRefundableHoursError, RefundExceedsError, or RefusedError for an amount that is none.
    """
    purchase = _refundable(session, wish.transaction_id, policy, now)
    lot = _lot(session, purchase)
    offered = quote(_standing(session, purchase, lot, now), policy)
    amount = _amount(wish, offered)
    refund = Refund(
        id=wish.id,
        purchase_id=purchase.id,
        origin=RefundOrigin.STAFF,
        amount_cents=amount,
        currency=purchase.currency,
        minutes=offered.minutes_of(amount),
        state=RefundState.HELD,
        request_id=wish.request_id,
        created_at=now,
    )
    open_after(refund, timedelta())
    session.add(refund)
    reserve(session, purchase, refund, lot, at=now)
    changes.follow_up(session, SendRefund(refund_id=refund.id))
    return refund


def open_after(refund: Refund, wait: timedelta) -> None:
    """Somebody is to see to it then, whether or not a hint arrives."""
    refund.due_at = database_now(wait)  # type: ignore[assignment]  # an expression, until it is flushed
    refund.hint_at = database_now(wait + HINTED_BY_ITS_MAKER)  # type: ignore[assignment]


def reserve(session: Session, purchase: Purchase, refund: Refund, lot: ledger.Lot, *, at: datetime) -> None:
    """Take the refund's minutes out of what is left, and its amount out of what can still go back."""
    purchase.refunding_cents += refund.amount_cents
    if refund.minutes:
        moves = [ledger.Move(lot.id, -refund.minutes, Part.HELD)]
        source = f"refund:{refund.id}:held"
        held = ledger.Posting(lot.student_id, EntryKind.HOLD, source, moves, at, purchase_id=purchase.id)
        ledger.post(session, [held])


def lock_lot(session: Session, purchase: Purchase) -> ledger.Lot | None:
    """The lot that this purchase brought, with the balance it counts in, both locked."""
    lot_id = session.exec(select(HourLot.id).where(HourLot.purchase_id == purchase.id)).first()
    if lot_id is None or purchase.student_id is None:
        return None
    return ledger.lock_accounts(session, [purchase.student_id], [lot_id])[purchase.student_id].lots[lot_id]


def _refundable(session: Session, transaction_id: int, policy: Policy, now: datetime) -> Purchase:
    found = select(Purchase).where(Purchase.transaction_id == transaction_id)
    purchase = session.exec(found.with_for_update().execution_options(populate_existing=True)).first()
    if purchase is None:
        raise NotFoundError("there is no such transaction")
    if purchase.state is not PurchaseState.COMPLETED or purchase.paid_at is None:
        raise InvalidTransactionStateError(f"a purchase that is {purchase.state} cannot be refunded")
    if purchase.payment_intent_id is None:
        raise InvalidTransactionStateError("it was not paid at Stripe, so nothing can be given back there")
    if policy.is_over(purchase.paid_at, now):
        raise InvalidTransactionStateError(f"it was paid more than {policy.window_days} days ago")
    if _open_disputes(session, purchase):
        raise InvalidTransactionStateError("its payment is disputed; the dispute decides about the money")
    return purchase


def _open_disputes(session: Session, purchase: Purchase) -> Sequence[UUID]:
    opened = select(Dispute.id).where(Dispute.purchase_id == purchase.id, col(Dispute.state) == DisputeState.OPEN)
    return session.exec(opened).all()


def _lot(session: Session, purchase: Purchase) -> ledger.Lot:
    lot = lock_lot(session, purchase)
    if lot is None:
        raise NoRefundableHoursError("this purchase has brought no hours")
    return lot


def _standing(session: Session, purchase: Purchase, lot: ledger.Lot, now: datetime) -> Standing:
    """Minutes that expired are nobody's any more, swept or not."""
    return Standing(
        price_cents=purchase.price_cents,
        gone_cents=purchase.refunded_cents + purchase.refunding_cents,
        minutes_granted=lot.granted,
        minutes_gone=lot.parts[Part.REFUNDED] + spoken_for(session, purchase).held,
        minutes_unused=lot.left if lot.is_alive(now) else 0,
    )


def _amount(wish: Wish, offered: Quote) -> int:
    if wish.amount_cents is not None and wish.amount_cents <= 0:
        raise RefusedError("an amount to give back is more than nothing")
    if offered.refundable_cents == 0:
        raise NoRefundableHoursError("none of its hours are left that could be given back")
    amount = offered.refundable_cents if wish.amount_cents is None else wish.amount_cents
    if amount > offered.refundable_cents:
        raise RefundExceedsError(f"at most {offered.refundable_cents / 100:.2f} can be given back")
    return amount
