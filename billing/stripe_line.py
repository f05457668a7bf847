"""The line to Stripe: every call goes through it, and the one table here says what its errors mean for us.

Every error of the library is replaced by one of ours, without a chain: theirs carry whole bodies and headers.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import stripe
import structlog

from billing import retry
from billing.brakes import Brakes
from billing.config import Settings
from billing.gateway import (
    DeclinedError,
    GatewayError,
    InvalidRequestError,
    KeyReusedError,
    NoConnectionError,
    NotAskedError,
    OutcomeUnknownError,
    StripeBusyError,
    StripeRefusedUsError,
)

T = TypeVar("T")
log: structlog.stdlib.BoundLogger = structlog.get_logger("billing.stripe")

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


READS = ("retrieve", "list", "search")
"""How the library's methods begin that only read."""


class StripeLine:
    """Safe to share between threads: the library keeps a session for each."""

    def __init__(self, settings: Settings) -> None:
        self._brakes = Brakes.of(settings)
        self.v1 = stripe.StripeClient(
            settings.stripe_secret_key,
            http_client=stripe.RequestsClient(timeout=retry.TRY_SECONDS),
            max_network_retries=0,
            base_addresses={"api": settings.stripe_api_base},
        ).v1

    @property
    def api_version(self) -> str:
        """The version that the library was made for: every call of ours is answered in it."""
        return stripe.api_version

    def asked(self, read: Callable[[Any], T], call: Callable[..., object], *arguments: object) -> T:
        """Seconds of trying inside one call; a wait of minutes is the row's.

        Raises NotAskedError only where no try at all was sent.
        """
        passage = self._brakes.passage(_endpoint(call), is_read=_is_read(call))
        try:
            return retry.in_call(
                lambda: passage.through(lambda: self._asked_once(read, call, *arguments), self._look),
                on=(StripeBusyError, OutcomeUnknownError),
            )
        except NotAskedError as error:
            raise passage.told or error from None

    def _look(self) -> object:
        """The cheapest read that every key we can work with may do; it has no effect."""
        return self._asked_once(lambda page: page, self.v1.payment_intents.list, {"limit": 1})

    @staticmethod
    def _asked_once(read: Callable[[Any], T], call: Callable[..., object], *arguments: object) -> T:
        try:
            return read(_plain(call(*arguments)))
        except (stripe.StripeError, ValueError, AttributeError) as error:
            # Beside its own errors the library raises these where an answer is not what it expects.
            ours = classify(error)
            _tell(error, ours)
            raise ours from None


def _endpoint(call: Callable[..., object]) -> str:
    """Method and path have this name in the library: `PaymentIntentService.create`."""
    return call.__qualname__


def _is_read(call: Callable[..., object]) -> bool:
    return call.__name__.startswith(READS)


def classify(error: Exception) -> GatewayError:
    """What an error of the library means for us.

    `error.error.code` is read, for `error.code` is None on the classes where it matters most (409, 429).
    """
    details = getattr(error, "error", None)
    code = _text(getattr(details, "code", None))
    status = getattr(error, "http_status", None)
    kind = _kind(error, code, status)
    request_id = _text(getattr(error, "request_id", None))
    if kind is DeclinedError:
        intent_id = _text(getattr(getattr(details, "payment_intent", None), "id", None))
        message = _text(getattr(details, "message", None))
        return DeclinedError(message, code=code, request_id=request_id, intent_id=intent_id)
    return kind(code=code, request_id=request_id)


def _kind(error: Exception, code: str | None, status: int | None) -> type[GatewayError]:
    if code in BUSY_CODES:
        return StripeBusyError
    for theirs, ours in BY_CLASS:
        if isinstance(error, theirs):
            return ours
    return BY_STATUS.get(status or 0, OutcomeUnknownError)


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
