"""Events that never reached us are recorded as if they had been delivered.

That a purchase was paid is not believed from a listed body, whose shape is of another API version perhaps: the payment
itself is asked for, and what it says is applied with the record. Everything else goes through the handlers.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import structlog
from sqlalchemy import text
from sqlmodel import Session

from billing.gateway import Intent, InvalidRequestError, PaymentGateway
from billing.messages import FollowUp
from billing.models import WebhookEvent
from billing.purchases import changes, completion
from billing.purchases.completion import Payment, Sold
from billing.purchases.news import Context
from billing.reconciling import EventThere
from billing.states import PAYABLE, EventState, Outcome
from billing.webhooks.accept import ACCEPT
from billing.webhooks.events import IntentNews, StripeEvent, read_event, read_intent
from billing.webhooks.plain import PAID
from billing.webhooks.settle import CLOSE

log = structlog.get_logger(__name__)

KNOWN = text("SELECT stripe_event_id FROM webhook_event WHERE stripe_event_id = ANY(CAST(:ids AS text[]))")
OWNED = text("SELECT payment_intent_id, state FROM purchase WHERE payment_intent_id = ANY(CAST(:intents AS text[]))")
RECORD = text(f"{ACCEPT.text} RETURNING stripe_event_id, id")


@dataclass(frozen=True, slots=True)
class Look:
    """A page of events beside our rows. `paid` are its payments by their intents, of any event that says so."""

    new: Sequence[EventThere]
    paid: Mapping[str, StripeEvent]
    payable: Collection[str]
    """Intents of purchases of ours that wait for exactly this news, which is new."""
    unknown: Collection[str]
    """Intents that carry our mark, and that no purchase has."""


def look(session: Session, events: Sequence[EventThere], context: Context) -> Look:
    known = set(session.execute(KNOWN, {"ids": [one.id for one in events]}).scalars())
    new = [one for one in events if one.id not in known]
    paid = {event.subject["id"]: event for one in events if (event := _payment_in(one, context))}
    owned = {row.payment_intent_id: row.state for row in session.execute(OWNED, {"intents": sorted(paid)})}
    return Look(
        new=new,
        paid=paid,
        payable=[intent for intent, event in paid.items() if event.id not in known and owned.get(intent) in PAYABLE],
        unknown=[intent for intent, event in paid.items() if intent not in owned and _is_ours(event, context)],
    )


def ask_about(gateway: PaymentGateway, intents: Collection[str]) -> dict[str, Intent]:
    """As they are now. One that Stripe does not give us is left to the handler of its event."""
    found: dict[str, Intent] = {}
    for intent_id in sorted(intents):
        try:
            found[intent_id] = gateway.retrieve_intent(intent_id)
        except InvalidRequestError as error:
            log.warning("listed_payment_not_given", intent_id=intent_id, error=str(error))
    return found


def record(
    session: Session, seen: Look, asked: Mapping[str, Intent], context: Context, *, request_id: str
) -> tuple[int, list[FollowUp]]:
    """How many were new after all, and whom to tell; `request_id` marks them as coming by list.

    What the door takes at the same moment is one row all the same.
    """
    once = sorted(seen.new, key=lambda one: one.id)
    rows = {row.stripe_event_id: row.id for row in session.execute(RECORD, _values(once, context, request_id))}
    payments = _payments(session, [event for event in seen.paid.values() if event.id in rows], asked, context)
    if payments:
        completion.lock_balances_of(session, [payment.sold for payment in payments])
        completion.complete(session, payments, context.deployment, now=context.now)
        applied = [rows[payment.cause] for payment in payments]
        outcomes = [Outcome.APPLIED.value] * len(applied)
        session.execute(CLOSE, {"ids": applied, "outcomes": outcomes, "now": context.now})
    return len(rows), changes.noted(session)


def _values(events: Sequence[EventThere], context: Context, request_id: str) -> dict[str, list[object]]:
    return {
        "ids": [one.id for one in events],
        "types": [one.type for one in events],
        "bodies": [one.body for one in events],
        "requests": [request_id for _ in events],
        "instants": [context.now for _ in events],
    }


def _payments(
    session: Session, events: Sequence[StripeEvent], asked: Mapping[str, Intent], context: Context
) -> list[Payment]:
    by_intent = {event.subject["id"]: event for event in events if event.subject["id"] in asked}
    sold = completion.lock_by_intent(session, by_intent)
    return [
        Payment(one, asked[intent].paid_at or by_intent[intent].created_at, by_intent[intent].id)
        for intent, one in sold.items()
        if one.state in PAYABLE and _is_as_sold(one, asked[intent], context)
    ]


def _is_as_sold(sold: Sold, intent: Intent, context: Context) -> bool:
    paid = (intent.status, intent.amount_received_cents, intent.currency, intent.livemode)
    return paid == ("succeeded", sold.price_cents, sold.currency, context.deployment.livemode)


def _payment_in(event: EventThere, context: Context) -> StripeEvent | None:
    """None for any event but a payment of our mode."""
    if event.type != PAID:
        return None
    found = read_event(
        WebhookEvent(
            stripe_event_id=event.id,
            type=event.type,
            body=event.body,
            request_id="",
            state=EventState.RECEIVED,
            received_at=context.now,
        )
    )
    return found if found and found.livemode == context.deployment.livemode else None


def _is_ours(event: StripeEvent, context: Context) -> bool:
    news: IntentNews = read_intent(event)
    return news.purchase_id(context.deployment) is not None
