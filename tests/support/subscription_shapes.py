"""New subscriptions, invoices and their intents, as the payment service in memory makes them."""

from calendar import monthrange
from datetime import datetime

from billing.gateway import Intent
from billing.recurring import InvoiceLine, InvoiceThere, PriceThere, SubscriptionThere


def month_after(start: datetime) -> datetime:
    """The same day of the next month, or its last one."""
    year, month = divmod(start.year * 12 + start.month, 12)
    return start.replace(year=year, month=month + 1, day=min(start.day, monthrange(year, month + 1)[1]))


def new_subscription(
    number: int, customer_id: str, price: PriceThere, mark: str | None, now: datetime
) -> SubscriptionThere:
    return SubscriptionThere(
        id=f"sub_{number}",
        customer_id=customer_id,
        status="incomplete",
        mark=mark,
        item_id=f"si_{number}",
        price_id=price.id,
        period_start=now,
        period_end=month_after(now),
        cancel_at_period_end=False,
        is_paused=False,
        default_card_id=None,
        livemode=False,
        created_at=now,
        ended_at=None,
    )


def new_invoice(number: int, subscription: SubscriptionThere, price: PriceThere, intent: Intent) -> InvoiceThere:
    """Open, for the subscription's present period."""
    line = InvoiceLine(
        id=f"il_{number}",
        price_id=price.id,
        amount_cents=price.amount_cents,
        quantity=1,
        is_proration=False,
        period_start=subscription.period_start,
        period_end=subscription.period_end,
    )
    is_first = subscription.period_start == subscription.created_at
    return InvoiceThere(
        id=f"in_{number}",
        subscription_id=subscription.id,
        status="open",
        billing_reason="subscription_create" if is_first else "subscription_cycle",
        due_cents=price.amount_cents,
        paid_cents=0,
        currency=price.currency,
        payment_intent_id=intent.id,
        client_secret=intent.client_secret,
        attempts=0,
        next_attempt_at=None,
        livemode=False,
        created_at=subscription.period_start,
        paid_at=None,
        lines=[line],
    )


def new_intent(number: int, cents: int, currency: str, customer: str | None, mark: str | None, now: datetime) -> Intent:
    """An intent of an invoice carries no mark of ours."""
    return Intent(
        id=f"pi_{number}",
        client_secret=f"pi_{number}_secret_x",
        status="requires_payment_method",
        amount_cents=cents,
        amount_received_cents=0,
        currency=currency,
        customer=customer,
        livemode=False,
        mark=mark,
        created_at=now,
        paid_at=None,
        cancellation_reason=None,
    )
