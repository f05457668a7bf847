"""A subscription as Stripe has it, with its invoices: written down, and what was paid for credited once.

The answer is the present truth, so it may be applied as often and as late as one likes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import structlog
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import Session, col, select

from billing import cases
from billing.gateway import PaymentGateway
from billing.ids import marked_subject, new_id
from billing.models import Purchase, StaleMark, Subscription
from billing.purchases.news import Context
from billing.recurring import InvoiceThere, SubscriptionThere
from billing.stale.marks import mark as mark_stale
from billing.states import ENDED_SUBSCRIPTIONS, LIVE_SUBSCRIPTIONS, PurchaseChannel, StaleKind, SubscriptionStatus
from billing.subscriptions import facts
from billing.subscriptions.credit import credit_paid
from billing.subscriptions.ending import end_unpaid

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class SubscriptionFound:
    """All that is asked of Stripe when a subscription may have changed."""

    subscription: SubscriptionThere
    invoices: Sequence[InvoiceThere]


def ask_subscription(gateway: PaymentGateway, subscription_id: str) -> SubscriptionFound:
    return SubscriptionFound(gateway.retrieve_subscription(subscription_id), gateway.list_invoices(subscription_id))


def apply_subscription(session: Session, mark: StaleMark, found: SubscriptionFound, context: Context) -> bool:
    """False where the purchase that begins it is about to keep it: its worker has the answer and has not committed."""
    there = found.subscription
    row = _locked(session, there.id)
    if row is None:
        return _apply_unknown(session, found, context)
    first = _lock_first(session, row)
    if difference := _difference_of(row, there, context):
        _open_case(session, "subscription_differs", there, context, first, detail=difference)
        return True
    if not _is_old(session, mark):
        _write(session, row, found, context)
    credit_paid(session, row, first, found.invoices, context, request_id=mark.request_id)
    if there.status in ENDED_SUBSCRIPTIONS and first is not None:
        end_unpaid(session, first, cause=there.id, at=context.now)
    return True


def keep_begun(session: Session, student_id: int, there: SubscriptionThere) -> UUID:
    """The row of a subscription that was just created; the same one where it is there already."""
    begun = insert(Subscription).values(
        id=new_id(),
        student_id=student_id,
        stripe_subscription_id=there.id,
        stripe_customer_id=there.customer_id,
        invoice_attempts=0,
        began_at=there.created_at,
        **facts.facts_of(session, there, SubscriptionStatus.INCOMPLETE),
    )
    session.execute(begun.on_conflict_do_nothing(index_elements=["stripe_subscription_id"]))
    return session.exec(select(Subscription.id).where(Subscription.stripe_subscription_id == there.id)).one()


def hand_to(session: Session, subscription_id: UUID, student_id: int) -> None:
    """To whom its purchase belongs: what a guest had begun may have become an account's while Stripe was asked."""
    session.get_one(Subscription, subscription_id).student_id = student_id


def apply_change(session: Session, there: SubscriptionThere, *, request_id: str, at: datetime) -> None:
    """What Stripe answered to a change of ours: the row is brought up to it, and Stripe asked about the rest.

    The mark also tells whoever asks at this moment that the answer is older than this change. A subscription that is
    not known here is only asked about.
    """
    row = _locked(session, there.id)
    if row is not None:
        facts.write(session, row, there)
    mark_stale(session, StaleKind.SUBSCRIPTION, there.id, purchase_id=None, request_id=request_id, at=at)


def _write(session: Session, row: Subscription, found: SubscriptionFound, context: Context) -> None:
    before = row.status
    facts.write(session, row, found.subscription)
    facts.write_invoice(row, found.invoices, context)
    facts.lower_fence(session, row)
    facts.report_price(session, row, found.subscription, context)
    _report_another(session, row, context)
    if row.status is not before:
        log.info("subscription_moved", subscription_id=found.subscription.id, status=row.status)


def _report_another(session: Session, row: Subscription, context: Context) -> None:
    """Two that live at once were bought in two windows before either was paid: somebody is charged twice."""
    if row.status not in LIVE_SUBSCRIPTIONS:
        return
    theirs = (Subscription.student_id == row.student_id, col(Subscription.status).in_(LIVE_SUBSCRIPTIONS))
    living = session.exec(select(Subscription.stripe_subscription_id).where(*theirs)).all()
    if len(living) > 1:
        told = ", ".join(sorted(living))
        detail = f"{told} are both charged; a student has one: cancel the other, and give its money back"
        cases.open_case(session, "second_subscription", told, purchase_id=None, detail=detail, at=context.now)


def _locked(session: Session, stripe_subscription_id: str) -> Subscription | None:
    """Before its purchases and the balance, as everybody does."""
    ours = select(Subscription).where(Subscription.stripe_subscription_id == stripe_subscription_id)
    return session.exec(ours.with_for_update().execution_options(populate_existing=True)).first()


def _lock_first(session: Session, row: Subscription) -> Purchase | None:
    first = select(Purchase).where(Purchase.subscription_id == row.id, Purchase.channel == PurchaseChannel.CHECKOUT)
    return session.exec(first.with_for_update().execution_options(populate_existing=True)).first()


def _is_old(session: Session, mark: StaleMark) -> bool:
    """Whether it was marked again since Stripe was asked, by a change of ours perhaps: it will be asked again."""
    marks = session.exec(select(StaleMark.marks).where(StaleMark.id == mark.id)).first()
    return marks is not None and marks != mark.marks


def _difference_of(row: Subscription, there: SubscriptionThere, context: Context) -> str | None:
    found = (there.customer_id, there.livemode)
    ours = (row.stripe_customer_id, context.deployment.livemode)
    return None if found == ours else f"it is of {found}, ours of {ours} (customer, live)"


def _apply_unknown(session: Session, found: SubscriptionFound, context: Context) -> bool:
    """No row of ours: its purchase is about to make one, or it is not to be. One that cost nobody anything and is over
    is no matter for people."""
    there = found.subscription
    marked = select(Purchase).where(Purchase.id == marked_subject(context.deployment.installation, there.mark))
    purchase = session.exec(marked.with_for_update().execution_options(populate_existing=True)).first()
    if purchase is not None and _is_about_to_keep(session, purchase, there):
        return False
    is_paid = any(invoice.paid_cents > 0 for invoice in found.invoices)
    if is_paid or there.status not in ENDED_SUBSCRIPTIONS:
        _open_case(session, "foreign_subscription", there, context, purchase, detail=f"{there.id} is {there.status}")
    return True


def _is_about_to_keep(session: Session, purchase: Purchase, there: SubscriptionThere) -> bool:
    if purchase.subscription_id is None:
        return purchase.due_at is not None
    return session.get_one(Subscription, purchase.subscription_id).stripe_subscription_id == there.id


def _open_case(
    session: Session,
    reason: str,
    there: SubscriptionThere,
    context: Context,
    purchase: Purchase | None,
    *,
    detail: str,
) -> None:
    purchase_id = purchase.id if purchase else None
    cases.open_case(session, reason, there.id, purchase_id=purchase_id, detail=detail, at=context.now)
