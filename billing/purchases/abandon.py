"""End purchases that nobody paid for a day: their intents are cancelled at Stripe before they are closed here.

Where Stripe answers that one was paid meanwhile it completes, and is credited.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

import structlog
from sqlalchemy import text

from billing.db import Begin
from billing.messages import Message, PreparePayment

log = structlog.get_logger(__name__)

AFTER = timedelta(hours=24)
CHUNK = 500

# A payment that is being processed cannot be cancelled, and one that somebody cancels already need not be.
ABANDON = text("""
    WITH unpaid AS (
        SELECT id FROM purchase
        WHERE accepted_at <= :before AND payment_intent_id IS NOT NULL AND state IN ('pending', 'failed')
            AND cancel_requested_at IS NULL AND due_at IS NULL AND gave_up_at IS NULL
        ORDER BY accepted_at LIMIT :most FOR UPDATE SKIP LOCKED
    )
    UPDATE purchase SET abandoned_at = :now, cancel_requested_at = :now,
        due_at = clock_timestamp(), hint_at = clock_timestamp() + interval '2 seconds', attempts = 0, deferrals = 0
    FROM unpaid WHERE purchase.id = unpaid.id
    RETURNING purchase.id
""")


def close_abandoned(begin: Begin, *, now: datetime) -> Sequence[Message]:
    """Wish every one of them cancelled, in chunks; returns what brings workers to them."""
    messages: list[Message] = []
    while chunk := _abandon(begin, now):
        messages += chunk
        if len(chunk) < CHUNK:
            break
    log.info("purchases_abandoned", purchases=len(messages))
    return messages


def _abandon(begin: Begin, now: datetime) -> list[Message]:
    with begin() as session:
        ids = session.execute(ABANDON, {"before": now - AFTER, "now": now, "most": CHUNK}).scalars().all()
    return [PreparePayment(purchase_id=purchase_id) for purchase_id in ids]
