"""What Stripe says of a payment intent, one handler each. They read as the business rules they are."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar
from uuid import UUID

from sqlmodel import Session, select

from billing import cases, work
from billing.deployment import Deployment
from billing.models import Purchase
from billing.purchases import completion, lifecycle
from billing.reads.written import difference_told
from billing.secrets import Vault
from billing.states import PAYABLE, SETTLED, Outcome, PurchaseState, Step
from billing.webhooks.events import IntentNews, StripeEvent, read_intent


@dataclass(frozen=True, slots=True)
class Context:
    """What a handler may know beside the event: where it runs, and what time it is.

    Who asked Stripe has a vault as well, for secrets that it was told.
    """

    deployment: Deployment
    now: datetime
    vault: Vault | None = None


def confirm_paid(session: Session, event: StripeEvent, context: Context) -> Outcome:
    news = read_intent(event)
    sold = _looked_for(lambda: _sold(session, news), session, news, context)
    if sold is None:
        return _unknown(session, event, news, context)
    if difference := difference_of(sold, news, context.deployment):
        return _open_case(session, event, context, "payment_differs", sold.id, detail=difference)
    if sold.state not in PAYABLE and not lifecycle.can_move(sold.state, PurchaseState.COMPLETED):
        return Outcome.LATE
    if sold.state not in PAYABLE:
        _open_case(session, event, context, "paid_after_end", sold.id, detail=f"it was {sold.state} here")
    payment = completion.Payment(sold, event.created_at, event.id)
    completion.complete(session, [payment], context.deployment, now=context.now)
    return Outcome.APPLIED


def mark_failed(session: Session, event: StripeEvent, context: Context) -> Outcome:
    """A declined intent keeps its secret: the buyer may try another card."""
    news = read_intent(event)
    purchase = _locked(session, news, context)
    if purchase is None:
        return _unknown(session, event, news, context)
    if not lifecycle.can_move(purchase.state, PurchaseState.FAILED):
        return Outcome.LATE
    lifecycle.fail(
        session,
        purchase,
        news.error_type or lifecycle.CARD_ERROR,
        news.error_message or lifecycle.DECLINED,
        cause=event.id,
        at=event.created_at,
    )
    return Outcome.APPLIED


def mark_processing(session: Session, event: StripeEvent, context: Context) -> Outcome:
    return _move(session, event, context, lambda _: (PurchaseState.PROCESSING, Step.PAYMENT_PROCESSING))


def mark_cancelled(session: Session, event: StripeEvent, context: Context) -> Outcome:
    return _move(session, event, context, lifecycle.end_of)


def note_action_required(session: Session, event: StripeEvent, context: Context) -> Outcome:
    """The buyer has to prove who they are; nothing of ours changes but the timeline."""
    news = read_intent(event)
    purchase = _locked(session, news, context)
    if purchase is None:
        return _unknown(session, event, news, context)
    if purchase.state in SETTLED:
        return Outcome.LATE
    lifecycle.note_step(session, purchase, Step.ACTION_REQUIRED, cause=event.id, at=event.created_at)
    return Outcome.APPLIED


def difference_of(sold: completion.Sold, news: IntentNews, deployment: Deployment) -> str | None:
    """Where what was paid is not what was sold, in words; None where they agree."""
    paid = (news.amount_cents, news.currency, news.livemode)
    return difference_told(paid, (sold.price_cents, sold.currency, deployment.livemode))


Aim = Callable[[Purchase], tuple[PurchaseState, Step]]
Found = TypeVar("Found")


def _move(session: Session, event: StripeEvent, context: Context, aim: Aim) -> Outcome:
    news = read_intent(event)
    purchase = _locked(session, news, context)
    if purchase is None:
        return _unknown(session, event, news, context)
    target, step = aim(purchase)
    if not lifecycle.can_move(purchase.state, target):
        return Outcome.LATE
    lifecycle.move_to(purchase, target)
    lifecycle.note_step(session, purchase, step, cause=event.id, at=event.created_at)
    if target in SETTLED:
        work.close(purchase)
    return Outcome.APPLIED


def _sold(session: Session, news: IntentNews) -> completion.Sold | None:
    return completion.lock_by_intent(session, [news.intent_id]).get(news.intent_id)


def _locked(session: Session, news: IntentNews, context: Context) -> Purchase | None:
    return _looked_for(lambda: _lock(session, Purchase.payment_intent_id == news.intent_id), session, news, context)


def _looked_for(look: Callable[[], Found | None], session: Session, news: IntentNews, context: Context) -> Found | None:
    """Whoever is about to keep the intent holds its purchase's lock, which is waited for: he wakes what was put off
    before, and what comes after sees it kept; so nothing waits for a moment that has passed."""
    found = look()
    if found is not None:
        return found
    marked = _lock(session, Purchase.id == news.purchase_id(context.deployment))
    return look() if marked is not None and marked.payment_intent_id == news.intent_id else None


def _lock(session: Session, which: bool) -> Purchase | None:
    ours = select(Purchase).where(which)
    return session.exec(ours.with_for_update().execution_options(populate_existing=True)).first()


def _unknown(session: Session, event: StripeEvent, news: IntentNews, context: Context) -> Outcome:
    """No purchase has this intent: not ours, not yet known to our row, or an intent that was not to be paid."""
    purchase_id = news.purchase_id(context.deployment)
    if purchase_id is None:
        return Outcome.FOREIGN
    purchase = session.get(Purchase, purchase_id)
    if purchase is None or (purchase.payment_intent_id is None and purchase.due_at is not None):
        return Outcome.WAIT
    if event.type == "payment_intent.succeeded":
        return _open_case(session, event, context, "foreign_intent_paid", purchase_id, detail=news.intent_id)
    return Outcome.LATE


def _open_case(
    session: Session, event: StripeEvent, context: Context, reason: str, purchase_id: UUID, *, detail: str
) -> Outcome:
    cases.open_case(session, reason, event.id, purchase_id=purchase_id, detail=detail, at=context.now)
    return Outcome.DIFFERENCE
