"""Events and payment intents as their bodies tell them, read without trusting their shape."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import orjson

from billing.deployment import MARK, Deployment
from billing.gateway import AUTHENTICATION_REQUIRED
from billing.ids import marked_subject
from billing.models import WebhookEvent

NAMELESS = frozenset({"invoice.upcoming"})
"""Types whose object is not made yet, so that it has no id (Stripe, "Types of events")."""


@dataclass(frozen=True, slots=True)
class StripeEvent:
    """An event of our account with an object in it; `subject` is that object (Stripe, "The Event object").

    Where the object has no id yet, it is empty here.
    """

    id: str
    type: str
    created_at: datetime
    livemode: bool
    subject: dict[str, Any]
    request_id: str
    previous: dict[str, Any]
    """What was different of the object before, where the event tells."""


@dataclass(frozen=True, slots=True)
class IntentNews:
    """What an event says of a payment intent (Stripe, "The PaymentIntent object")."""

    intent_id: str
    amount_cents: int | None
    currency: str
    livemode: bool
    mark: str | None
    error_type: str | None
    error_message: str | None

    def purchase_id(self, deployment: Deployment) -> UUID | None:
        """The purchase that our mark names; None where the object is not of this installation."""
        return marked_subject(deployment.installation, self.mark)


def read_event(row: WebhookEvent) -> StripeEvent | None:
    """None for an event that is none of ours to apply: without an object, of a connected account, or of API v2."""
    body = orjson.loads(row.body)
    data = body.get("data")
    subject = data.get("object") if isinstance(data, dict) else None
    if body.get("object") != "event" or body.get("account") or not isinstance(subject, dict):
        return None
    if row.type in NAMELESS:
        subject.setdefault("id", "")
    if not isinstance(subject.get("id"), str):
        return None
    previous = data.get("previous_attributes")
    created = body.get("created")
    return StripeEvent(
        id=row.stripe_event_id,
        type=row.type,
        created_at=_instant(created) or row.received_at,
        livemode=body.get("livemode") is True,
        subject=subject,
        request_id=row.request_id,
        previous=previous if isinstance(previous, dict) else {},
    )


def read_intent(event: StripeEvent) -> IntentNews:
    intent = event.subject
    metadata = intent.get("metadata")
    error = intent.get("last_payment_error")
    error = error if isinstance(error, dict) else {}
    return IntentNews(
        intent_id=intent["id"],
        amount_cents=_cents(intent),
        currency=str(intent.get("currency")),
        livemode=intent.get("livemode", event.livemode) is True,
        mark=_text(metadata.get(MARK)) if isinstance(metadata, dict) else None,
        error_type=_error_type(error),
        error_message=_text(error.get("message")),
    )


def _error_type(error: dict[str, Any]) -> str | None:
    """Its class, or that the bank wants the owner of the card to be there, which he can still be."""
    kind = AUTHENTICATION_REQUIRED if error.get("code") == AUTHENTICATION_REQUIRED else _text(error.get("type"))
    return kind and kind[:40]


def _instant(seconds: object) -> datetime | None:
    """Whole seconds since the epoch; anything that is no date of this century is none."""
    if not isinstance(seconds, int) or not 0 < seconds < 4_102_444_800:
        return None
    return datetime.fromtimestamp(seconds, UTC)


def _cents(intent: dict[str, Any]) -> int | None:
    amount = intent.get("amount_received", intent.get("amount"))
    return amount if isinstance(amount, int) and not isinstance(amount, bool) else None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
