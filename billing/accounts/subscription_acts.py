"""A subscription as its owner wants it: cancelled, resumed, paused, of another plan, paid."""

from collections.abc import Callable
from datetime import datetime

from sqlalchemy import text
from sqlmodel import Session

from billing.accounts import fence
from billing.accounts.acts import Asked, Decision, Done, Facts, Line, Record, Refused
from billing.accounts.cards import saved_default
from billing.accounts.refusals import (
    AlreadyCancelledError,
    AlreadyPausedError,
    NoSubscriptionError,
    NotCancellingError,
    NothingDueError,
    PlanNotRecurringError,
    SamePlanError,
    SubscriptionEndedError,
    UnknownPlanError,
)
from billing.customers.found import lock_customer
from billing.errors import NoPaymentMethodError
from billing.gateway import InvalidRequestError
from billing.models import AccountAct
from billing.recurring import InvoiceThere, SubscriptionChange, SubscriptionThere
from billing.states import ENDED_SUBSCRIPTIONS, PlanType, SubscriptionStatus
from billing.subscriptions.found import apply_change
from billing.subscriptions.prices import ensure_price

PLAN = text("SELECT version_id, plan_type FROM plan_on_sale WHERE plan_id = :plan")
PAID = "paid"

Ask = Callable[[], SubscriptionThere]


def check_cancel(asked: Asked) -> Facts:
    """One that never began can only end at once. Raises NoSubscriptionError or AlreadyCancelledError."""
    current = fence.lock_current(asked.session, asked.student_id)
    if current is None:
        raise NoSubscriptionError(fence.NONE)
    is_at_once = not asked.wish["at_period_end"] or current.status is SubscriptionStatus.INCOMPLETE
    if current.status in ENDED_SUBSCRIPTIONS or (current.cancel_at_period_end and not is_at_once):
        raise AlreadyCancelledError("This subscription is cancelled already.")
    fence.put_up(current, asked.act)
    return {"subscription_id": current.stripe_subscription_id, "is_at_once": is_at_once}


def cancel(line: Line) -> Record:
    subscription_id, key = line.facts["subscription_id"], line.key()
    if line.facts["is_at_once"]:
        there = _asked(line, lambda: line.gateway.cancel_subscription(subscription_id, key), is_ended)
    else:
        change = SubscriptionChange(cancel_at_period_end=True)
        there = _asked(line, lambda: line.gateway.change_subscription(subscription_id, change, key), is_ended)
    return _changed(there, line.now)


def check_resume(asked: Asked) -> Facts:
    """Also one whose end was asked for in vain. Raises NotCancellingError beside what a live one needs."""
    live = fence.need_live(asked)
    fence.guard_resume(asked)
    is_ending = live.cancel_at_period_end or live.cancel_requested_at is not None
    if not is_ending and not live.is_paused:
        raise NotCancellingError("This subscription goes on already.")
    return {"subscription_id": live.stripe_subscription_id, "is_ending": is_ending, "is_paused": live.is_paused}


def resume(line: Line) -> Record:
    facts = line.facts
    change = SubscriptionChange(
        cancel_at_period_end=False if facts["is_ending"] else None, is_paused=False if facts["is_paused"] else None
    )
    there = _change(line, change)

    def record(session: Session, act: AccountAct) -> Decision:
        decision = _changed_or_ended(there, line.now)(session, act)
        if isinstance(decision, Done):
            fence.lift(session, act, line.student_id)
        return decision

    return record


def check_pause(asked: Asked) -> Facts:
    """Raises AlreadyPausedError beside what a live one needs."""
    live = fence.need_live(asked)
    if live.is_paused:
        raise AlreadyPausedError("This subscription is paused already.")
    return {"subscription_id": live.stripe_subscription_id}


def pause(line: Line) -> Record:
    return _changed_or_ended(_change(line, SubscriptionChange(is_paused=True)), line.now)


def check_change(asked: Asked) -> Facts:
    """Raises UnknownPlanError, PlanNotRecurringError or SamePlanError, beside what one needs that is to be charged."""
    plan = asked.session.execute(PLAN, {"plan": asked.wish["plan_id"]}).first()
    if plan is None:
        raise UnknownPlanError("plan_id: no such plan is on sale")
    if plan.plan_type != PlanType.SUBSCRIPTION:
        raise PlanNotRecurringError("This plan is no subscription.")
    current = fence.need_uncancelled(asked)
    if current.plan_version_id == plan.version_id:
        raise SamePlanError("The subscription is of this plan already.")
    return {"subscription_id": current.stripe_subscription_id, "plan_version_id": plan.version_id}


def ready_change(line: Line) -> Facts:
    price_id = ensure_price(line.desk, line.facts["plan_version_id"])
    return {"price_id": price_id, "item_id": line.gateway.retrieve_subscription(line.facts["subscription_id"]).item_id}


def change_plan(line: Line) -> Record:
    change = SubscriptionChange(item_id=line.facts["item_id"], price_id=line.facts["price_id"])
    return _changed_or_ended(_change(line, change), line.now)


def check_pay(asked: Asked) -> Facts:
    """Raises NothingDueError or NoPaymentMethodError, beside what one needs that is to be charged."""
    live = fence.need_uncancelled(asked)
    if live.invoice_id is None:
        raise NothingDueError("Nothing is due.")
    lock_customer(asked.session, asked.student_id)
    card = saved_default(asked.session, asked.student_id)
    if card is None:
        raise NoPaymentMethodError("There is no saved card to pay with.")
    names = {"subscription_id": live.stripe_subscription_id, "invoice_id": live.invoice_id}
    return {**names, "card_id": card.stripe_payment_method_id}


def ready_pay(line: Line) -> Facts:
    """It is paid with the default card of now, which Stripe may not know as such: a browser may have saved it."""
    change = SubscriptionChange(default_card_id=line.facts["card_id"])
    line.gateway.change_subscription(line.facts["subscription_id"], change, line.key("card"))
    return {}


def pay(line: Line) -> Record:
    """Raises DeclinedError where the bank does not want to. One that is paid already is not paid twice."""
    try:
        invoice = line.gateway.pay_invoice(line.facts["invoice_id"], line.key())
    except InvalidRequestError:
        found = _invoice(line)
        if found is None or found.status != PAID:
            raise
        invoice = found
    return lambda _session, _act: Done({"invoice_id": invoice.id, "status": invoice.status})


def is_ended(there: SubscriptionThere) -> bool:
    return there.status in ENDED_SUBSCRIPTIONS


def _invoice(line: Line) -> InvoiceThere | None:
    invoices = line.gateway.list_invoices(line.facts["subscription_id"])
    return next((invoice for invoice in invoices if invoice.id == line.facts["invoice_id"]), None)


def _change(line: Line, change: SubscriptionChange) -> SubscriptionThere:
    """What Stripe says of it afterwards; or that it has ended."""
    subscription_id = line.facts["subscription_id"]
    return _asked(line, lambda: line.gateway.change_subscription(subscription_id, change, line.key()), is_ended)


def _asked(line: Line, ask: Ask, is_known: Callable[[SubscriptionThere], bool]) -> SubscriptionThere:
    """A refusal is believed only where what is there does not explain it."""
    try:
        return ask()
    except InvalidRequestError:
        there = line.gateway.retrieve_subscription(line.facts["subscription_id"])
        if not is_known(there):
            raise
        return there


def _changed(there: SubscriptionThere, at: datetime) -> Record:
    def record(session: Session, act: AccountAct) -> Decision:
        apply_change(session, there, request_id=act.request_id, at=at)
        return Done(
            {
                "status": there.status,
                "cancel_at_period_end": there.cancel_at_period_end,
                "is_paused": there.is_paused,
                "period_end": there.period_end.isoformat(),
            }
        )

    return record


def _changed_or_ended(there: SubscriptionThere, at: datetime) -> Record:
    """A wish for something else than the end is refused where it has ended meanwhile; the row learns it even so."""

    def record(session: Session, act: AccountAct) -> Decision:
        decision = _changed(there, at)(session, act)
        return _ended() if is_ended(there) else decision

    return record


def _ended() -> Refused:
    return Refused(SubscriptionEndedError.error_type, fence.ENDED)
