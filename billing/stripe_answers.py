"""The fields of Stripe's answers that we read; an answer without them is no answer and raises ValueError."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from pydantic import BaseModel

from billing.deployment import MARK, REFUND_MARK
from billing.gateway import AUTHENTICATION_REQUIRED, DisputeThere, Intent, RefundThere


class _Charge(BaseModel):
    created: datetime
    paid: bool = False


class _PaymentError(BaseModel):
    """Stripe, "The PaymentIntent object": `last_payment_error`."""

    type: str
    code: str | None = None
    message: str | None = None

    @property
    def error_type(self) -> str:
        return AUTHENTICATION_REQUIRED if self.code == AUTHENTICATION_REQUIRED else self.type


class _Intent(BaseModel):
    """Stripe, "The PaymentIntent object"."""

    object: Literal["payment_intent"]
    id: str
    client_secret: str
    status: str
    amount: int
    amount_received: int = 0
    currency: str
    customer: str | None = None
    livemode: bool
    created: datetime
    metadata: dict[str, str] = {}
    latest_charge: _Charge | str | None = None
    cancellation_reason: str | None = None
    last_payment_error: _PaymentError | None = None


class _Listed(BaseModel):
    id: str
    metadata: dict[str, str] = {}


class _Page(BaseModel):
    object: Literal["list"]
    data: list[_Listed]
    has_more: bool


class _Refund(BaseModel):
    """Stripe, "The Refund object"."""

    object: Literal["refund"]
    id: str
    amount: int
    currency: str
    status: str | None = None
    created: datetime
    metadata: dict[str, str] | None = None
    payment_intent: str | None = None
    failure_reason: str | None = None

    def in_our_words(self) -> RefundThere:
        return RefundThere(
            id=self.id,
            payment_intent_id=self.payment_intent,
            amount_cents=self.amount,
            currency=self.currency,
            status=self.status or "pending",
            mark=(self.metadata or {}).get(REFUND_MARK),
            failure_reason=self.failure_reason,
            created_at=self.created,
        )


class _Refunds(BaseModel):
    object: Literal["list"]
    data: list[_Refund]
    has_more: bool


class _BalanceTransaction(BaseModel):
    amount: int


class _EvidenceDetails(BaseModel):
    due_by: datetime | None = None


class _Dispute(BaseModel):
    """Stripe, "The Dispute object"."""

    object: Literal["dispute"]
    id: str
    amount: int
    currency: str
    status: str
    reason: str
    created: datetime
    payment_intent: str | None = None
    balance_transactions: list[_BalanceTransaction] = []
    evidence_details: _EvidenceDetails = _EvidenceDetails()


@dataclass(frozen=True, slots=True)
class RefundsPage:
    refunds: Sequence[RefundThere]
    has_more: bool


def page(answer: object) -> _Page:
    return _Page.model_validate(answer)


def intent(answer: object) -> Intent:
    found = _Intent.model_validate(answer)
    charge, error = found.latest_charge, found.last_payment_error
    return Intent(
        id=found.id,
        client_secret=found.client_secret,
        status=found.status,
        amount_cents=found.amount,
        amount_received_cents=found.amount_received,
        currency=found.currency,
        customer=found.customer,
        livemode=found.livemode,
        mark=found.metadata.get(MARK),
        created_at=found.created,
        paid_at=charge.created if isinstance(charge, _Charge) and charge.paid else None,
        cancellation_reason=found.cancellation_reason,
        error_type=error.error_type if error else None,
        error_message=error.message if error else None,
    )


def refund(answer: object) -> RefundThere:
    return _Refund.model_validate(answer).in_our_words()


def refunds(answer: object) -> RefundsPage:
    found = _Refunds.model_validate(answer)
    return RefundsPage([one.in_our_words() for one in found.data], found.has_more)


def dispute(answer: object) -> DisputeThere:
    found = _Dispute.model_validate(answer)
    return DisputeThere(
        id=found.id,
        payment_intent_id=found.payment_intent,
        amount_cents=found.amount,
        currency=found.currency,
        status=found.status,
        reason=found.reason,
        # What was withdrawn is negative there, and what came back positive.
        withdrawn_cents=max(0, -sum(one.amount for one in found.balance_transactions)),
        evidence_due_at=found.evidence_details.due_by,
        created_at=found.created,
    )
