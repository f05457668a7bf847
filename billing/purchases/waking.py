"""What waits until a purchase is further goes on as soon as it is, not when its own growing wait is over."""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from sqlalchemy import ARRAY, Uuid, cast, func, text
from sqlmodel import Session, col

from billing import work
from billing.messages import AskStripe, EventsWaiting
from billing.models import Purchase, StaleMark, WebhookEvent
from billing.purchases import changes

EARLY = timedelta(days=3)
"""Of clocks that differ, and of a purchase that is written down long after Stripe charged for it."""
# All of these families that are handled at all are of money that goes back; of others, an intent's own news above all,
# nothing is to be heard twice. The body is looked into for few rows: of these days, and nobody's.
HEAR_AGAIN = text("""
    UPDATE webhook_event SET state = 'received', outcome = NULL, processed_at = NULL, attempts = 0, deferrals = 0,
        due_at = clock_timestamp(), hint_at = clock_timestamp() + interval '2 seconds'
    WHERE received_at >= :since AND state = 'ignored' AND outcome = 'foreign'
        AND split_part(type, '.', 1) IN ('charge', 'refund', 'radar')
        AND strpos(convert_from(body, 'UTF8'), CAST(:intent AS text)) > 0
    RETURNING id
""")


def wake_events(session: Session, purchase: Purchase) -> None:
    """Events that came before this purchase, whose row is locked, knew its payment: now it does, or never will."""
    is_known = purchase.payment_intent_id is not None or purchase.due_at is None
    if is_known and work.wake(session, WebhookEvent, col(WebhookEvent.waits_for) == purchase.id):
        changes.follow_up(session, EventsWaiting())


def hear_again(session: Session, purchase: Purchase) -> None:
    """Refunds, disputes and warnings of a payment that Stripe made before any row of ours knew of it.

    Their events were nobody's then. Of a payment made in a browser there are none: its intent is known before it can be
    paid. So this is for what Stripe charges by itself, renewals and saved cards.
    """
    given = {"since": purchase.accepted_at - EARLY, "intent": purchase.payment_intent_id}
    if purchase.payment_intent_id and session.execute(HEAR_AGAIN, given).scalars().all():
        changes.follow_up(session, EventsWaiting())


def wake_marks(session: Session, purchase_ids: Sequence[UUID]) -> None:
    """Refunds and disputes that were heard of before these purchases, whose rows are locked, were paid: now they are.

    Who holds a mark without the purchase's lock is marking it once more, which makes it due as well.
    """
    theirs = col(StaleMark.purchase_id) == func.any(cast(list(purchase_ids), ARRAY(Uuid)))
    for mark_id in work.wake(session, StaleMark, theirs):
        changes.follow_up(session, AskStripe(mark_id=mark_id))
