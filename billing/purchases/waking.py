"""What waits until a purchase is further goes on as soon as it is, not when its own growing wait is over."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import ARRAY, Uuid, cast, func
from sqlmodel import Session, col

from billing import work
from billing.messages import AskStripe, EventsWaiting
from billing.models import Purchase, StaleMark, WebhookEvent
from billing.purchases import changes


def wake_events(session: Session, purchase: Purchase) -> None:
    """Events that came before this purchase, whose row is locked, knew its payment: now it does, or never will."""
    is_known = purchase.payment_intent_id is not None or purchase.due_at is None
    if is_known and work.wake(session, WebhookEvent, col(WebhookEvent.waits_for) == purchase.id):
        changes.follow_up(session, EventsWaiting())


def wake_marks(session: Session, purchase_ids: Sequence[UUID]) -> None:
    """Refunds and disputes that were heard of before these purchases, whose rows are locked, were paid: now they are.

    Who holds a mark without the purchase's lock is marking it once more, which makes it due as well.
    """
    theirs = col(StaleMark.purchase_id) == func.any(cast(list(purchase_ids), ARRAY(Uuid)))
    for mark_id in work.wake(session, StaleMark, theirs):
        changes.follow_up(session, AskStripe(mark_id=mark_id))
