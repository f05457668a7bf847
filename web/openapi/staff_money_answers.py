"""What answers to staff look like where money went back, or is to."""

from typing import Literal
from uuid import UUID

from pydantic import Field

from billing.states import DisputeState, RefundOrigin
from web.openapi.answers import MAYBE, Absent, Euros, Hours, Instant, PageOf, Path, Shape
from web.openapi.staff_answers import PackageOwner

RefundStatus = Literal["requested", "refused", "held", "sent", "succeeded", "failed", "cancelled"]


class RefundQuote(Shape):
    success: Literal[True]
    transaction_id: int
    refundable_amount: Euros
    unused_hours: Hours
    unused_minutes: int
    price: Euros
    refunded_eur: Euros
    fee: Euros = Field(description="What is kept of the value of the unused hours.")
    formula: str | None = Field(description="How the amount is reckoned; null where no formula is asked.")
    reason: str | Absent = MAYBE
    """Of a refund that would be refused: with which word."""
    message: str | Absent = MAYBE


class RefundAccepted(Shape):
    """The wish is committed; what becomes of it is at `status_url`."""

    success: Literal[True]
    id: UUID
    status: RefundStatus = Field(description="`requested`; of a repeated request the status of now.")
    status_url: Path


class RefundRow(Shape):
    """`requested` until a worker has held the hours, `held` until Stripe is asked, `sent` until it is decided."""

    id: UUID
    status: RefundStatus
    transaction_id: int
    amount: Euros | None = Field(description="Null where all was asked for, and is not reckoned yet.")
    minutes: int | None = Field(description="Held for it, or taken with it.")
    hours: Hours | None
    minutes_short: int | None = Field(description="Used already when the money left: the student owes them.")
    origin: RefundOrigin = Field(description="`external`: made at Stripe, by somebody else.")
    reason: str | None
    requested_by: str | None
    stripe_refund_id: str | None
    error_type: str | Absent = MAYBE
    message: str | Absent = MAYBE
    requested_at: Instant
    decided_at: Instant | None


class Refund(RefundRow):
    success: Literal[True]


class RefundPage(PageOf):
    results: list[RefundRow]


class DisputeRow(Shape):
    id: UUID
    stripe_dispute_id: str
    transaction_id: int
    amount: Euros
    currency: str
    reason: str
    status: str = Field(description="Stripe's own word.")
    state: DisputeState
    withdrawn: Euros = Field(description="What the bank has taken and not given back.")
    minutes_frozen: int = Field(description="Of the purchase, which nobody can spend while it is open.")
    minutes_lost: int
    minutes_short: int = Field(description="Used already when it was lost: the student owes them.")
    evidence_due_at: Instant | None
    opened_at: Instant
    decided_at: Instant | None
    student: PackageOwner | None


class DisputePage(PageOf):
    results: list[DisputeRow]


class BookedSession(Shape):
    id: UUID = Field(description="Of the consumption that holds the hours.")
    session_id: str
    ends_at: Instant
    hours: Hours
    minutes: int


class Dispute(DisputeRow):
    success: Literal[True]
    booked_sessions: list[BookedSession] = Field(description="Lessons on hours of this purchase.")


class NamedInvoice(Shape):
    success: Literal[True]
    receipt_id: UUID
    invoice_ref: str
