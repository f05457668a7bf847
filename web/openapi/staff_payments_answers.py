"""What answers to staff look like about everybody's purchases, and what they brought."""

from typing import Annotated, Literal

from pydantic import Field, WithJsonSchema

from web.openapi.answers import Euros, Hours, Instant, PageOf, Shape, Transaction
from web.openapi.staff_answers import PackageOwner

RATE = {"type": "string", "pattern": r"^(0\.[0-9]{2}|1\.00)$", "examples": ["0.95"]}
Rate = Annotated[str, WithJsonSchema(RATE)]


class StaffTransaction(Transaction):
    student: PackageOwner | None = Field(description="Null as long as it is not known whose purchase it is.")
    buyer_name: str
    buyer_email: str
    payment_intent_id: str | None = Field(description="Null before the payment was prepared.")
    error_type: str | None = Field(description="Why it failed, or what keeps it waiting.")


class StaffTransactionPage(PageOf):
    results: list[StaffTransaction]


class Window(Shape):
    since: Instant = Field(alias="from", description="It is part of the window.")
    to: Instant = Field(description="When it was asked for: no part of the window any more.")
    hours: int = Field(description="How long the window is; a day has 24.")


class PurchasesOfAWindow(Shape):
    """Those that were accepted in the window, by what has become of them by now; the others add up to `accepted`."""

    accepted: int
    completed: int = Field(description="Paid, whether it was given back since or not.")
    failed: int = Field(description="A declined one may still be paid.")
    cancelled: int
    expired: int
    pending: int = Field(description="Queued, or waiting for its payment or for the bank.")


class Revenue(Shape):
    gross_eur: Euros = Field(description="Prices of the purchases that were paid in the window, by `paid_at`.")
    refunded_eur: Euros = Field(description="Refunds that arrived in the window, by `decided_at`.")
    disputed_eur: Euros = Field(description="Lost by disputes that were decided in the window, by `decided_at`.")
    net_eur: Euros = Field(description="Gross less refunded and disputed; below zero where more went than came.")


class HoursOfAWindow(Shape):
    """By the instants (`at`) of the ledger's entries; what is outstanding is of now."""

    credited: Hours = Field(description="Bought, paid with a period, or granted.")
    consumed: Hours = Field(description="Taken for lessons, less what lessons gave back; held hours are not yet.")
    expired: Hours = Field(description="Written off, less what extensions and undone sweeps brought back.")
    refunded: Hours = Field(description="Taken back with refunds and lost disputes, or by a correction of staff.")
    outstanding: Hours = Field(
        description="What students still have now: what can be spent, what is held and what is frozen. What has "
        "expired is no part of it, written off or not; what students owe is not subtracted."
    )


class RefundsOfAWindow(Shape):
    """By `decided_at`."""

    count: int = Field(description="Those that arrived.")
    amount_eur: Euros
    failed: int = Field(description="Those that failed or were cancelled.")


class DisputesOfAWindow(Shape):
    opened: int = Field(description="By `opened_at`, inquiries too.")
    won: int = Field(description="By `decided_at`.")
    lost: int = Field(description="By `decided_at`.")
    open: int = Field(description="Not decided now, whenever they were opened.")


class WebhooksOfAWindow(Shape):
    """By `received_at`, and by the state of now; those that are worked on yet are among `received` only."""

    received: int
    applied: int
    ignored: int
    parked: int
    dead: int


class PlanSold(Shape):
    plan_name: str = Field(description="As the plan was called when it was bought.")
    count: int
    amount_eur: Euros


class PaymentMetrics(Shape):
    success: Literal[True]
    window: Window
    purchases: PurchasesOfAWindow
    revenue: Revenue
    hours: HoursOfAWindow
    refunds: RefundsOfAWindow
    disputes: DisputesOfAWindow
    success_rate: Rate | None = Field(
        description="Of the purchases that were accepted in the window and have come to an end by now, the share that "
        "was paid, half up: completed / (completed + failed + cancelled + expired). Null where none has."
    )
    webhooks: WebhooksOfAWindow
    by_plan: list[PlanSold] = Field(
        description="Purchases that were paid in the window, by `paid_at`; the plan that brought most first. Their "
        "amounts add up to `gross_eur`."
    )
