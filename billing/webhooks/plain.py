"""The plain case, many at once: our intent was paid, as sold, and no one knew it yet.

What is not plain in every respect is left to the handlers, which decide one by one and come to the same result.
"""

from collections.abc import Mapping, Sequence

from sqlmodel import Session

from billing.models import WebhookEvent
from billing.purchases import completion
from billing.purchases.completion import Payment, Sold
from billing.purchases.news import Context, difference_of
from billing.states import PAYABLE
from billing.webhooks.events import StripeEvent, read_intent

PAID = "payment_intent.succeeded"
ABOUT_INTENTS = "payment_intent."


def lock_in_order(session: Session, events: Sequence[StripeEvent]) -> Mapping[str, Sold]:
    """Lock every purchase and balance that these events may touch, before any of them is worked.

    Handlers lock again what is locked already, so that no two batches ever wait for each other in a circle.
    """
    sold = completion.lock_by_intent(session, filter(None, map(_intent_of, events)))
    paid = {event.subject["id"] for event in events if event.type == PAID}
    completion.lock_balances_of(session, [one for intent, one in sold.items() if intent in paid])
    return sold


def _intent_of(event: StripeEvent) -> str | None:
    """The payment that an event is about: itself, or that of a charge, a refund or a dispute."""
    intent = event.subject["id"] if event.type.startswith(ABOUT_INTENTS) else event.subject.get("payment_intent")
    return intent if isinstance(intent, str) else None


def plain_payments(
    pairs: Sequence[tuple[WebhookEvent, StripeEvent]], sold: Mapping[str, Sold], context: Context
) -> Mapping[int | None, Payment]:
    """Payments by the id of their event's row; only the first news of a purchase is plain, what follows is not."""
    payments: dict[int | None, Payment] = {}
    heard: set[str] = set()
    for row, event in pairs:
        one = sold.get(event.subject["id"])
        if one is None or one.payment_intent_id in heard:
            continue
        heard.add(one.payment_intent_id)
        if _is_plain(event, one, context):
            payments[row.id] = Payment(one, event.created_at, event.id)
    return payments


def _is_plain(event: StripeEvent, sold: Sold, context: Context) -> bool:
    return (
        event.type == PAID
        and event.livemode == context.deployment.livemode
        and sold.state in PAYABLE
        and difference_of(sold, read_intent(event), context.deployment) is None
    )
