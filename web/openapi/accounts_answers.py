"""What answers to the owner of an account look like."""

from typing import Any, Literal
from uuid import UUID

from pydantic import Field

from billing.states import AccountAction, ActState, SubscriptionStatus
from web.openapi.answers import Euros, Hours, Instant, Path, PlanDetails, Shape


class Card(Shape):
    """A saved card. Of its number nobody here knows more than the last four digits."""

    id: str = Field(description="Stripe's id of the payment method.")
    brand: str
    last4: str = Field(pattern="^[0-9]{4}$")
    exp_month: int = Field(ge=1, le=12)
    exp_year: int
    is_default: bool
    is_expired: bool = Field(description="The month that is printed on it is over.")


class Cards(Shape):
    success: Literal[True]
    payment_methods: list[Card] = Field(description="The default one first, then the newest.")


class AccountActAccepted(Shape):
    """The wish is committed; what becomes of it is at `status_url`."""

    success: Literal[True]
    id: UUID
    status: ActState = Field(description="`requested`; of a repeated request the state of now.")
    status_url: Path


class AccountAct(Shape):
    success: Literal[True] = Field(description="That it can be told; `status` says what became of it.")
    id: UUID
    action: AccountAction
    status: ActState
    error_type: str | None = Field(description="Why it was refused; of Stripe's refusals in Stripe's words.")
    message: str | None
    result: dict[str, Any] | None
    client_secret: str | None = Field(description="What a browser finishes it with, while that is of use.")
    requested_at: Instant
    decided_at: Instant | None


class CardSetup(AccountAct):
    """All that a browser needs to save a card."""

    setup_intent_id: str | None
    publishable_key: str


class PeriodHours(Shape):
    hours_included: Hours
    hours_consumed: Hours
    hours_remaining: Hours


class Dunning(Shape):
    """An invoice that is due and not paid."""

    amount_due: Euros
    attempts: int
    next_attempt_at: Instant | None = Field(description="When Stripe tries the card again by itself.")
    client_secret: str | None = Field(description="With it a browser can pay the invoice.")


class Subscription(Shape):
    plan: PlanDetails | None = Field(description="Of the present period; null where its price is none of the plans'.")
    next_plan: PlanDetails | None = Field(description="What the next period is charged by, where that is another.")
    status: SubscriptionStatus = Field(description="Stripe's word.")
    current_period_start: Instant
    current_period_end: Instant
    cancel_at_period_end: bool
    is_paused: bool
    hours_this_period: PeriodHours | None = Field(description="Null where nothing is paid for the present period.")
    dunning: Dunning | None
    ended_at: Instant | None
    payments: list[int] = Field(description="The `transaction_id` of each period that was paid, the newest first.")


class OwnSubscription(Shape):
    success: Literal[True]
    subscription: Subscription | None = Field(description="The newest that goes on, else the newest that there was.")
