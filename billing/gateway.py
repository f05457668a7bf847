"""What we need from a payment service, in our words: calls, their answers, and every way in which they fail."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, ClassVar, Protocol

from billing import retry
from billing.errors import BillingError, PermanentError, TransientError
from billing.reconciling import ReconcilingGateway
from billing.recurring import RecurringGateway

AUTHENTICATION_REQUIRED = "authentication_required"
"""Stripe's code ("Error codes"), and our type, for a payment that the bank takes only from the card's owner."""

CLOCKS_DIFFER = timedelta(hours=1)
"""How far Stripe's clock and ours may be apart when an object is looked for by its time."""


@dataclass(frozen=True, slots=True)
class StoredCall:
    """A call as it was written down: it is sent exactly so, however often, whatever the code has become since."""

    parameters: Mapping[str, Any]
    idempotency_key: str
    api_version: str


@dataclass(frozen=True, slots=True)
class Intent:
    """A payment intent as it is now. `mark` is the purchase it says it belongs to; what it says is not proof."""

    id: str
    client_secret: str
    status: str
    amount_cents: int
    amount_received_cents: int
    currency: str
    customer: str | None
    livemode: bool
    mark: str | None
    created_at: datetime
    paid_at: datetime | None
    """When its charge was made, where the answer carries the charge."""
    cancellation_reason: str | None
    error_type: str | None = None
    """Why the last try to pay it failed: Stripe's class of error, or `authentication_required`."""
    error_message: str | None = None

    def __repr__(self) -> str:
        return f"Intent({self.id}, {self.status})"


@dataclass(frozen=True, slots=True)
class RefundThere:
    """A refund as Stripe has it now. `mark` names the refund of ours that it is, where it is one."""

    id: str
    payment_intent_id: str | None
    amount_cents: int
    currency: str
    status: str
    mark: str | None
    failure_reason: str | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class DisputeThere:
    """A dispute as Stripe has it now; `withdrawn_cents` is what was taken and not given back, without fees."""

    id: str
    payment_intent_id: str | None
    amount_cents: int
    currency: str
    status: str
    reason: str
    withdrawn_cents: int
    evidence_due_at: datetime | None
    created_at: datetime


class PaymentGateway(RecurringGateway, ReconcilingGateway, Protocol):
    """Every method raises a `GatewayError`, and nothing else, where there is no answer to return.

    Call it with no transaction open: an answer may take `retry.IN_CALL_SECONDS`.
    """

    @property
    def api_version(self) -> str:
        """The version for which new calls are written down."""

    def create_intent(self, call: StoredCall) -> Intent: ...

    def retrieve_intent(self, intent_id: str) -> Intent: ...

    def cancel_intent(self, intent_id: str, key: str) -> Intent: ...

    def find_intent(self, mark: str, since: datetime, until: datetime) -> Intent | None:
        """The newest intent with this mark of those made between the two; None is the certainty that there is none."""

    def create_refund(self, call: StoredCall) -> RefundThere: ...

    def list_refunds(self, payment_intent_id: str) -> Sequence[RefundThere]:
        """All of them, the oldest first."""

    def retrieve_dispute(self, dispute_id: str) -> DisputeThere: ...


class GatewayError(BillingError):
    """`error_type` is the contract's word and `message` may be shown to anybody; code and request id are for us.

    `waits` are those before it is tried again, where that is of use.
    """

    error_type: ClassVar[str] = "api_error"
    waits: ClassVar[retry.Waits] = retry.STRIPE
    message: str = "The payment service could not do this."

    def __init__(self, message: str | None = None, *, code: str | None = None, request_id: str | None = None) -> None:
        if message:
            self.message = message
        self.code = code
        self.request_id = request_id
        super().__init__(self.message)

    def wait_after(self, deferrals: int) -> timedelta:
        return retry.after(self.waits, deferrals) or retry.LONGEST

    def wait_unless_final(self, deferrals: int) -> timedelta | None:
        """None for what Stripe will never answer otherwise: it is left to people."""
        return None if isinstance(self, PermanentError) else self.wait_after(deferrals)

    def __str__(self) -> str:
        facts = [fact for fact in (self.code, self.request_id) if fact]
        return f"{self.message} ({', '.join(facts)})" if facts else self.message


class StripeBusyError(GatewayError, TransientError):
    """It did nothing: too many calls, or another one holds the key or the object."""

    error_type = "rate_limit_error"
    waits = retry.CROWDED
    message = "The payment service is busy; we go on trying."


class OutcomeUnknownError(GatewayError, TransientError):
    """It may have done it or not: the same key again, later a look."""

    message = "The payment service did not give an answer; we go on trying."


class NoConnectionError(OutcomeUnknownError):
    """The line broke, before or after the work was done."""

    error_type = "api_connection_error"
    message = "The payment service cannot be reached; we go on trying."


class StripeRefusedUsError(GatewayError, TransientError):
    """Our key is wrong or may not do this: nothing a buyer could mend, so he is told it is unavailable."""

    error_type = "authentication_error"
    message = "The payment service is unavailable; we go on trying."


class NotAskedError(GatewayError, TransientError):
    """Nothing was sent to Stripe, so nothing can have happened, no send is counted, and no buyer's time is used up."""


class StripeCrowdedError(NotAskedError):
    """There was no place under Stripe's limits in time; after so many seconds there should be one for this call."""

    error_type = "rate_limit_error"
    message = "The payment service is busy; we go on trying."

    def __init__(self, seconds: float = 1.0) -> None:
        super().__init__()
        self.seconds = seconds

    def wait_after(self, deferrals: int) -> timedelta:  # its turn does not depend on how often it came
        return timedelta(seconds=self.seconds)


class StripePausedError(NotAskedError):
    """Stripe is in trouble, or does not take our key: it is asked again once a probe succeeds."""

    error_type = "api_connection_error"
    message = "Payments are paused for a moment; your purchase waits and goes on by itself."


class DeclinedError(GatewayError, PermanentError):
    """The payment method was refused; the message is the one meant for its owner."""

    error_type = "card_error"
    message = "The payment was declined."

    def __init__(
        self,
        message: str | None = None,
        *,
        code: str | None = None,
        request_id: str | None = None,
        intent_id: str | None = None,
    ) -> None:
        super().__init__(message, code=code, request_id=request_id)
        self.intent_id = intent_id
        """What was made all the same, and can still be paid."""


class InvalidRequestError(GatewayError, PermanentError):
    """It will never do this: a parameter is wrong, or the object is not in a state for it, or not there."""

    error_type = "invalid_request_error"
    message = "The payment service refused this payment."


class KeyReusedError(GatewayError, PermanentError):
    """The key was used before with other parameters: two of our calls claim to be one."""

    error_type = "invalid_request_error"
    message = "The payment service refused this payment."
