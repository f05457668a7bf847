"""What answers look like. The routes write plain dicts, for speed; tests hold those against these models."""

from enum import StrEnum
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema
from pydantic.json_schema import SkipJsonSchema

from billing.reads.bookings import NoBooking
from billing.states import EntryKind, PlanType, PurchaseState, Step, SubscriptionStatus

AMOUNT = {"type": "string", "pattern": r"^-?[0-9]+\.[0-9]{2}$"}
INSTANT = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z$"

Euros = Annotated[str, WithJsonSchema({**AMOUNT, "description": "Euros with two places.", "examples": ["140.00"]})]
Hours = Annotated[str, WithJsonSchema({**AMOUNT, "description": "Hours with two places.", "examples": ["10.00"]})]
Instant = Annotated[str, WithJsonSchema({"type": "string", "format": "date-time", "pattern": INSTANT})]
Path = Annotated[str, WithJsonSchema({"type": "string", "format": "uri-reference"})]


def _without_default(schema: dict[str, Any]) -> None:
    schema.pop("default", None)


MAYBE = Field(default=None, json_schema_extra=_without_default)
"""Of a field that is left out where there is nothing to say; it is never null."""

Absent = SkipJsonSchema[None]


class Shape(BaseModel):
    """What is not written here is in no answer."""

    model_config = ConfigDict(extra="forbid")


class Error(Shape):
    """Every 4xx and 5xx."""

    success: Literal[False]
    error_type: str = Field(description="Which error it is, for programs.")
    message: str = Field(description="What went wrong, for people.")
    field_errors: dict[str, list[str]] | Absent = Field(
        default=None, description="Complaints by the path of the field.", json_schema_extra=_without_default
    )
    request_id: str = Field(description="As in `X-Request-Id`; with it we find the request in our log.")


class PlanDetails(Shape):
    id: int
    name: str
    description: str
    plan_type: PlanType
    hours_included: Hours
    price_eur: Euros
    validity_days: int | None = Field(description="Null where a subscription's period says until when.")
    price_per_hour: Euros


class PlanOnSale(PlanDetails):
    plan_type_display: str
    display_order: int
    is_featured: bool
    currency: str


class PurchaseAccepted(Shape):
    """The purchase is committed; its payment is prepared next."""

    success: Literal[True]
    task_id: UUID
    status: PurchaseState = Field(description="`queued`; of a repeated request the state of now.")
    status_url: Path
    events_url: Path
    access_token: str = Field(description="With it a guest follows the purchase.")
    plan_details: PlanDetails
    message: str


class TimelineStep(Shape):
    step: Step
    at: Instant


class Purchase(Shape):
    success: Literal[True]
    task_id: UUID
    status: PurchaseState
    client_secret: str | None = Field(description="What the payment is made with; there from `pending` until settled.")
    payment_intent_id: str | None
    transaction_id: int | None
    publishable_key: str
    plan_details: PlanDetails
    refunded_eur: Euros
    error_type: str | Absent = Field(
        default=None,
        description="Why it failed, or what keeps it waiting; Stripe's words: `card_error`, `rate_limit_error`, "
        "`invalid_request_error`, `authentication_error`, `api_connection_error`, `api_error`.",
        json_schema_extra=_without_default,
    )
    message: str
    timeline: list[TimelineStep]


class ChangeAccepted(Shape):
    """A wish that a worker fulfils; what became of it is at `status_url`."""

    success: Literal[True]
    id: UUID
    status: PurchaseState
    status_url: Path


class StripeConfig(Shape):
    public_key: str
    js_url: str
    success: Literal[True]


class Student(Shape):
    id: int | None = Field(description="Null for a caller who has bought nothing yet.")
    name: str
    email: str | None


class BalanceSummary(Shape):
    """purchased = consumed + expired + held + refunded + frozen + remaining."""

    hours_purchased: Hours
    hours_consumed: Hours
    hours_expired: Hours
    hours_held: Hours
    hours_refunded: Hours
    hours_frozen: Hours
    remaining_hours: Hours = Field(description="What can be spent, less what is owed.")
    balance_amount: Euros = Field(description="Payments less refunds and lost disputes.")


class Package(Shape):
    transaction_id: int | None = Field(description="Null for hours that were not bought.")
    plan_name: str
    hours_included: Hours
    hours_consumed: Hours
    hours_remaining: Hours
    expires_at: Instant | None = Field(description="The first instant at which it is too late.")
    days_until_expiry: int | None
    is_expired: bool


class PackageStatus(Shape):
    active_packages: list[Package]
    expired_packages: list[Package]


class SubscriptionInfo(Shape):
    """All is null or false where there was never one."""

    is_active: bool = Field(description="It began and goes on.")
    status: SubscriptionStatus | None
    plan_name: str | None
    current_period_end: Instant | None
    cancel_at_period_end: bool
    is_paused: bool
    next_charge_eur: Euros | None = Field(
        description="What the next period will cost; null where none will be charged."
    )


class Balance(Shape):
    student_info: Student
    balance_summary: BalanceSummary
    package_status: PackageStatus
    upcoming_expirations: list[Package] = Field(description="What expires within seven days.")
    subscription_info: SubscriptionInfo


class PageOf(Shape):
    """Rows of one page, and where those beside it are."""

    count: int = Field(ge=0, description="Rows of all pages.")
    next: Path | None
    previous: Path | None


class Transaction(Shape):
    transaction_id: int
    task_id: UUID
    transaction_type: PlanType
    plan_name: str
    amount: Euros
    refunded_eur: Euros
    payment_status: PurchaseState
    expires_at: Instant | None
    created_at: Instant
    paid_at: Instant | None


class TransactionPage(PageOf):
    results: list[Transaction]


class Consumption(Shape):
    """What one entry of the ledger moved of one package; what was taken is negative."""

    id: int
    at: Instant
    kind: EntryKind
    hours: Hours
    minutes: int
    source: str


class PackageRow(Package):
    consumption: list[Consumption] | Absent = MAYBE


class PackagePage(PageOf):
    results: list[PackageRow]


class Entry(Shape):
    id: int
    at: Instant
    kind: EntryKind
    hours: Hours = Field(description="Signed: what was taken is negative.")
    minutes: int
    transaction_id: int | None
    source: str
    balance_after: Hours


class Explanation(Shape):
    """The balance at an instant. Minutes add up exactly; hours are for reading."""

    at: Instant
    minutes_by_kind: dict[EntryKind, int]
    minutes: int
    hours: Hours
    minutes_expired_unwritten: int = Field(description="Expired by then, and not written off yet.")
    minutes_remaining: int
    remaining_hours: Hours


class EntryPage(PageOf):
    results: list[Entry]
    explanation: Explanation | Absent = MAYBE


class BookingCheck(Shape):
    can_book: bool
    hours_required: Hours
    hours_available: Hours
    hours_remaining_after: Hours
    reason: NoBooking | Absent = MAYBE


class WebhookReceived(Shape):
    received: Literal[True]


class Live(Shape):
    status: Literal["live"]


class Readiness(StrEnum):
    READY = "ready"
    UNAVAILABLE = "unavailable"


class Ready(Shape):
    """The details are for the machine itself, for the networks of METRICS_ALLOW and for the role `service`."""

    status: Readiness
    checks: dict[str, bool] | Absent = MAYBE
    revision: str | None = MAYBE
    oldest_overdue_seconds: float | None = MAYBE
    broker_reachable: bool | None = MAYBE
    hints_dropped: int | Absent = MAYBE
