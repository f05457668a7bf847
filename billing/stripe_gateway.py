"""Outbound to Stripe: the only module that calls it, and the one table that says what its errors mean for us.

Every error of the library is replaced by one of ours, without a chain: theirs carry whole bodies and headers.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar

import stripe
import structlog

from billing import retry
from billing import stripe_answers as answers
from billing.config import Settings
from billing.deployment import MARK
from billing.gateway import (
    DeclinedError,
    DisputeThere,
    GatewayError,
    Intent,
    InvalidRequestError,
    KeyReusedError,
    NoConnectionError,
    OutcomeUnknownError,
    RefundThere,
    StoredCall,
    StripeBusyError,
    StripeRefusedUsError,
)

T = TypeVar("T")
log: structlog.stdlib.BoundLogger = structlog.get_logger("billing.stripe")

PAGE = 100
LOOK_SECONDS = 15.0
"""No page of a list is asked for after this, so that a look ends within its claim."""

BUSY_CODES = frozenset({"idempotency_key_in_use", "lock_timeout", "rate_limit"})

BY_STATUS: Mapping[int, type[GatewayError]] = {
    401: StripeRefusedUsError,
    403: StripeRefusedUsError,
    409: StripeBusyError,
    429: StripeBusyError,
}
"""For answers whose body may be anybody's: a proxy, a firewall, a page of HTML. Any other status says nothing."""

BY_CLASS: Sequence[tuple[type[Exception], type[GatewayError]]] = (
    (stripe.APIConnectionError, NoConnectionError),
    (stripe.RateLimitError, StripeBusyError),
    (stripe.AuthenticationError, StripeRefusedUsError),
    (stripe.PermissionError, StripeRefusedUsError),
    (stripe.IdempotencyError, KeyReusedError),
    (stripe.CardError, DeclinedError),
    (stripe.InvalidRequestError, InvalidRequestError),
)


class StripeGateway:
    """Safe to share between threads: the library keeps a session for each."""

    def __init__(self, settings: Settings) -> None:
        self._client = stripe.StripeClient(
            settings.stripe_secret_key,
            http_client=stripe.RequestsClient(timeout=retry.TRY_SECONDS),
            max_network_retries=0,
            base_addresses={"api": settings.stripe_api_base},
        )

    @property
    def api_version(self) -> str:
        return stripe.api_version

    def create_intent(self, call: StoredCall) -> Intent:
        options: Any = {"idempotency_key": call.idempotency_key, "stripe_version": call.api_version}
        parameters: Any = dict(call.parameters)
        return _asked(answers.intent, self._client.v1.payment_intents.create, parameters, options)

    def retrieve_intent(self, intent_id: str) -> Intent:
        parameters = {"expand": ["latest_charge"]}
        return _asked(answers.intent, self._client.v1.payment_intents.retrieve, intent_id, parameters)

    def cancel_intent(self, intent_id: str, key: str) -> Intent:
        parameters, options = {"cancellation_reason": "abandoned"}, {"idempotency_key": key}
        return _asked(answers.intent, self._client.v1.payment_intents.cancel, intent_id, parameters, options)

    def find_intent(self, mark: str, since: datetime, until: datetime) -> Intent | None:
        """Lists rather than searches: Stripe's search is a minute behind, and a miss has to be certain."""
        window = {"gte": int(since.timestamp()), "lte": int(until.timestamp())}
        parameters: dict[str, Any] = {"created": window, "limit": PAGE}
        deadline = time.monotonic() + LOOK_SECONDS
        while time.monotonic() < deadline:
            page = _asked(answers.page, self._client.v1.payment_intents.list, parameters)
            for listed in page.data:
                if listed.metadata.get(MARK) == mark:
                    return self.retrieve_intent(listed.id)
            if not page.has_more or not page.data:
                return None
            parameters["starting_after"] = page.data[-1].id
        raise OutcomeUnknownError("The payment service has too many payments to look through; we go on trying.")

    def create_refund(self, call: StoredCall) -> RefundThere:
        options: Any = {"idempotency_key": call.idempotency_key, "stripe_version": call.api_version}
        parameters: Any = dict(call.parameters)
        return _asked(answers.refund, self._client.v1.refunds.create, parameters, options)

    def list_refunds(self, payment_intent_id: str) -> Sequence[RefundThere]:
        parameters: dict[str, Any] = {"payment_intent": payment_intent_id, "limit": PAGE}
        found: list[RefundThere] = []
        while True:
            page = _asked(answers.refunds, self._client.v1.refunds.list, parameters)
            found += page.refunds
            if not page.has_more or not page.refunds:
                return found[::-1]  # it lists the newest first, and a second holds many
            parameters["starting_after"] = page.refunds[-1].id

    def retrieve_dispute(self, dispute_id: str) -> DisputeThere:
        return _asked(answers.dispute, self._client.v1.disputes.retrieve, dispute_id)


def classify(error: Exception) -> GatewayError:
    """What an error of the library means for us.

    `error.error.code` is read, for `error.code` is None on the classes where it matters most (409, 429).
    """
    details = getattr(error, "error", None)
    code = _text(getattr(details, "code", None))
    status = getattr(error, "http_status", None)
    kind = _kind(error, code, status)
    message = _text(getattr(details, "message", None)) if kind is DeclinedError else None
    return kind(message, code=code, request_id=_text(getattr(error, "request_id", None)))


def _kind(error: Exception, code: str | None, status: int | None) -> type[GatewayError]:
    if code in BUSY_CODES:
        return StripeBusyError
    for theirs, ours in BY_CLASS:
        if isinstance(error, theirs):
            return ours
    return BY_STATUS.get(status or 0, OutcomeUnknownError)


def _asked(read: Callable[[Any], T], call: Callable[..., object], *arguments: object) -> T:
    """Seconds of trying inside one call; a wait of minutes is the row's."""
    return retry.in_call(lambda: _asked_once(read, call, *arguments), on=(StripeBusyError, OutcomeUnknownError))


def _asked_once(read: Callable[[Any], T], call: Callable[..., object], *arguments: object) -> T:
    try:
        return read(_plain(call(*arguments)))
    except (stripe.StripeError, ValueError, AttributeError) as error:
        # Beside its own errors the library raises these where an answer is not what it expects.
        ours = classify(error)
        _tell(error, ours)
        raise ours from None


def _tell(error: Exception, ours: GatewayError) -> None:
    facts = {"error_type": ours.error_type, "code": ours.code, "stripe_request_id": ours.request_id}
    status, parameter = getattr(error, "http_status", None), getattr(error, "param", None)
    reason = getattr(error, "user_message", None) if isinstance(ours, InvalidRequestError | KeyReusedError) else None
    log.warning(
        "stripe_call_failed", theirs=type(error).__name__, status=status, parameter=parameter, reason=reason, **facts
    )


def _plain(answer: object) -> object:
    return answer.to_dict() if isinstance(answer, stripe.StripeObject) else answer


def _text(value: object) -> str | None:
    return value[:500] if isinstance(value, str) else None
