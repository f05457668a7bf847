"""Inbound from Stripe: verify a signature over raw bytes, read an event's id and type, and nothing more.

Done by hand, because the library parses and wraps the whole event, which costs fifty times as much as the check itself,
and answers some hostile headers with a TypeError. https://docs.stripe.com/webhooks#verify-manually says how.
"""

import hmac
from collections.abc import Sequence
from datetime import datetime, timedelta
from hashlib import sha256

import orjson

from billing.errors import RefusedError

PAST_TOLERANCE = timedelta(seconds=300)
FUTURE_TOLERANCE = timedelta(seconds=60)
HEADER_BYTES = 1024
HEADER_PARTS = 8
CLOCK_DIGITS = 12
FIELD_LENGTH = 255

EVENT_OBJECTS = ("event", "v2.core.event")
"""Stripe's newer events call themselves differently; they are kept, and ignored, like any type nobody handles."""


class BadSignatureError(RefusedError):
    """The bytes are not what somebody with one of our secrets signed just now."""

    error_type = "invalid_signature"


class NotAnEventError(RefusedError):
    """The bytes are signed, but they are not an event of Stripe's."""


def verify(body: bytes, header: bytes, secrets: Sequence[str], *, now: datetime) -> None:
    """Raises BadSignatureError unless `header` holds a signature of `body` by one of `secrets`, made about `now`."""
    made_at, signatures = _parts(header)
    age_seconds = int(now.timestamp()) - int(made_at)  # both in whole seconds, as Stripe counts
    if not -FUTURE_TOLERANCE.total_seconds() <= age_seconds <= PAST_TOLERANCE.total_seconds():
        raise BadSignatureError("the signature was not made in the last five minutes")
    signed = made_at + b"." + body
    expected = [hmac.digest(secret.encode(), signed, sha256).hex().encode() for secret in secrets]
    matches = [hmac.compare_digest(ours, theirs) for ours in expected for theirs in signatures]
    if not any(matches):
        raise BadSignatureError("the signature does not fit the body")


def _parts(header: bytes) -> tuple[bytes, list[bytes]]:
    """The instant as it was signed, and the signatures of the scheme v1."""
    parts = [part.partition(b"=") for part in header.split(b",", HEADER_PARTS)]
    if len(header) > HEADER_BYTES or not header.isascii() or len(parts) > HEADER_PARTS:
        raise BadSignatureError("the signature header is not one of Stripe's")
    instants = [value for name, _, value in parts if name == b"t"]
    signatures = [value for name, _, value in parts if name == b"v1"]
    if len(instants) != 1 or not signatures:
        raise BadSignatureError("the signature header needs one t and at least one v1")
    if not instants[0].isdigit() or len(instants[0]) > CLOCK_DIGITS:
        raise BadSignatureError("the instant of the signature is not a number of seconds")
    return instants[0], signatures


def read_event(body: bytes) -> tuple[str, str]:
    """The id and the type of an event. Raises NotAnEventError for anything else."""
    try:
        event = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise NotAnEventError("the body is not JSON") from None
    if not isinstance(event, dict) or event.get("object") not in EVENT_OBJECTS:
        raise NotAnEventError("the body is not an event")
    return _text(event, "id"), _text(event, "type")


def _text(event: dict[str, object], name: str) -> str:
    value = event.get(name)
    # A NUL is legal in JSON, and the one character that a text column refuses.
    if not isinstance(value, str) or not 0 < len(value) <= FIELD_LENGTH or "\0" in value:
        raise NotAnEventError(f"{name}: must be a string of 1 to {FIELD_LENGTH} characters")
    return value
