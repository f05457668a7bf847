"""Money that staff give back: its hours are held and its amount reserved here; a worker of payments sends it."""

from typing import Any

from sqlalchemy import RowMapping
from sqlmodel import Session, select

from billing.config import Settings
from billing.messages import SendRefund
from billing.models import Purchase, StaffAct
from billing.purchases.locks import lock_purchase
from billing.reads.quotes import STANDING, QuoteView
from billing.refunds.holding import Wish, hold_refund, lock_lot
from billing.refunds.quote import Policy
from billing.staff.effects import Context, Effect
from billing.staff.wishes import RefundPurchase


def policy_of(settings: Settings) -> Policy:
    return Policy(settings.refund_window_days, settings.refund_fee_percent)


def refund(session: Session, act: StaffAct, context: Context) -> Effect:
    """The refund has the id of its act, so that there is one, however often the act is worked."""
    wish = RefundPurchase.model_validate(act.parameters)
    before = _locked(session, wish.transaction_id)
    made = hold_refund(
        session, Wish(act.id, wish.transaction_id, wish.amount_cents, act.request_id), context.refunds, now=context.now
    )
    session.flush()
    after = {**_facts(_standing(session, wish.transaction_id)), "amount_cents": made.amount_cents}
    if before is not None:
        after["formula"] = QuoteView.of(before, context.refunds, context.now).formula
    return Effect(None if before is None else _facts(before), after, [SendRefund(refund_id=made.id)])


def _locked(session: Session, transaction_id: int) -> RowMapping | None:
    """How the purchase stands, under the locks that the hold takes; None where there is no such purchase."""
    found = session.exec(select(Purchase.id).where(Purchase.transaction_id == transaction_id)).first()
    if found is None:
        return None
    lock_lot(session, lock_purchase(session, found))
    return _standing(session, transaction_id)


def _standing(session: Session, transaction_id: int) -> RowMapping:
    return session.execute(STANDING, {"transaction_id": transaction_id}).mappings().one()


def _facts(row: RowMapping) -> dict[str, Any]:
    return {
        "refunded_cents": row["refunded_cents"],
        "refunding_cents": row["refunding_cents"],
        "minutes_left": row["left"],
        "minutes_held": row["held"],
    }
