"""The subscription that an account's owner means, and the fence that a wish to cancel it puts up."""

from sqlalchemy import Update, case, exists, select, update
from sqlmodel import Session, col

from billing.accounts.acts import Asked
from billing.accounts.refusals import CancelledMeanwhileError, NoSubscriptionError, SubscriptionEndedError
from billing.models import AccountAct, Subscription
from billing.states import ENDED_SUBSCRIPTIONS, LIVE_SUBSCRIPTIONS, AccountAction, SubscriptionStatus

ENDED = "This subscription has ended; a new one may be bought."
NONE = "There is no subscription."
CANCELLED = "The end of this subscription was asked for; resume it first."


def lock_current(session: Session, student_id: int) -> Subscription | None:
    """The live one, else the one that is about to begin, else the last that ended."""
    status = col(Subscription.status)
    turn = case((status.in_(LIVE_SUBSCRIPTIONS), 0), (status == SubscriptionStatus.INCOMPLETE, 1), else_=2)
    theirs = select(Subscription).where(col(Subscription.student_id) == student_id)
    first = theirs.order_by(turn, col(Subscription.began_at).desc(), col(Subscription.id)).limit(1)
    return session.scalars(first.with_for_update().execution_options(populate_existing=True)).first()


def lock_live(session: Session, student_id: int) -> Subscription | None:
    current = lock_current(session, student_id)
    return current if current is not None and current.status in LIVE_SUBSCRIPTIONS else None


def need_live(asked: Asked) -> Subscription:
    """Raises NoSubscriptionError or SubscriptionEndedError."""
    current = lock_current(asked.session, asked.student_id)
    if current is None or current.status is SubscriptionStatus.INCOMPLETE:
        raise NoSubscriptionError(NONE)
    if current.status in ENDED_SUBSCRIPTIONS:
        raise SubscriptionEndedError(ENDED)
    return current


def need_uncancelled(asked: Asked) -> Subscription:
    """Raises CancelledMeanwhileError too: nothing is charged once the end was asked for."""
    subscription = need_live(asked)
    if subscription.cancel_requested_at is not None or subscription.cancel_at_period_end:
        raise CancelledMeanwhileError(CANCELLED)
    return subscription


def guard_uncancelled(asked: Asked) -> None:
    need_uncancelled(asked)


def guard_resume(asked: Asked) -> None:
    """A resume lifts the fence of wishes before it, and not that of one that was accepted after it."""
    lock_current(asked.session, asked.student_id)
    if is_cancel_waiting(asked.session, asked.act):
        raise CancelledMeanwhileError(CANCELLED)


def is_cancel_waiting(session: Session, act: AccountAct) -> bool:
    """Whether another wish to cancel is accepted and not decided. Ask with the subscription locked: the door puts up
    the fence in the transaction that accepts."""
    waiting = exists().where(
        col(AccountAct.caller_sub) == act.caller_sub,
        col(AccountAct.id) != act.id,
        col(AccountAct.action) == AccountAction.CANCEL,
        col(AccountAct.due_at).is_not(None),
    )
    return bool(session.scalar(select(waiting)))


def put_up(subscription: Subscription, act: AccountAct) -> None:
    """Where the door did not know yet that the subscription is the caller's."""
    subscription.cancel_requested_at = subscription.cancel_requested_at or act.requested_at


def lift(session: Session, act: AccountAct, student_id: int) -> None:
    """After a resume; unless the end was asked for again."""
    current = lock_current(session, student_id)
    if current is not None and not is_cancel_waiting(session, act):
        session.execute(_lifted(current))


def lift_unless_cancelling(session: Session, act: AccountAct, student_id: int) -> None:
    """After a wish to cancel that came to nothing: the subscription goes on as before."""
    current = lock_current(session, student_id)
    if current is None or current.cancel_at_period_end or current.status in ENDED_SUBSCRIPTIONS:
        return
    if not is_cancel_waiting(session, act):
        session.execute(_lifted(current))


def _lifted(subscription: Subscription) -> Update:
    return update(Subscription).where(col(Subscription.id) == subscription.id).values(cancel_requested_at=None)
