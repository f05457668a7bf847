"""Only what somebody with our secret signed just now is an event of Stripe's."""

import hmac
from datetime import UTC, datetime, timedelta
from hashlib import sha256

import orjson
import pytest
import stripe

from billing.stripe_events import BadSignatureError, NotAnEventError, read_event, verify

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
SECRET = "whsec_first"
BODY = '{"id": "evt_1", "object": "event", "type": "ping", "name": "Lúcia"}'.encode()


def signature(body: bytes = BODY, *, at: datetime = NOW, secret: str = SECRET) -> str:
    return hmac.new(secret.encode(), f"{int(at.timestamp())}.".encode() + body, sha256).hexdigest()


def header(body: bytes = BODY, *, at: datetime = NOW, secret: str = SECRET) -> bytes:
    return f"t={int(at.timestamp())},v1={signature(body, at=at, secret=secret)}".encode()


def is_good(given: bytes, body: bytes = BODY, *secrets: str) -> bool:
    try:
        verify(body, given, secrets or (SECRET,), now=NOW)
    except BadSignatureError:
        return False
    return True


def test_what_the_library_accepts_we_accept() -> None:
    """Stripe's own verification is the oracle, on text bodies and on those with other bytes."""
    now = datetime.now(UTC)
    for body in (BODY, b"{}", b'{"a": "\\u0000"}', b" " * 100_000):
        given = header(body, at=now)
        assert stripe.WebhookSignature.verify_header(body.decode(), given.decode(), SECRET, tolerance=300)
        verify(body, given, [SECRET], now=now)


def test_any_byte_may_be_signed() -> None:
    """A body that is no UTF-8 is refused for what it is, not for what verification trips over."""
    assert is_good(header(b"\xff\x00\xfe"), b"\xff\x00\xfe")


@pytest.mark.parametrize(
    ("age_seconds", "good"), [(0, True), (300, True), (301, False), (-60, True), (-61, False), (10**6, False)]
)
def test_a_signature_is_of_about_now(age_seconds: int, good: bool) -> None:
    """An old one is a replay, and one from the future will be; both bounds are inclusive."""
    assert is_good(header(at=NOW - timedelta(seconds=age_seconds))) is good


def test_every_configured_secret_is_tried() -> None:
    """While a secret is rotated, Stripe signs with the old and the new."""
    assert is_good(header(secret="whsec_second"), BODY, "whsec_first", "whsec_second")
    assert not is_good(header(secret="whsec_third"), BODY, "whsec_first", "whsec_second")


def test_one_good_signature_of_several_is_enough() -> None:
    at = int(NOW.timestamp())
    assert is_good(f"t={at},v1={'0' * 64},v1={signature()},v0=abc".encode())


T, V1 = f"t={int(NOW.timestamp())}", f"v1={signature()}"


@pytest.mark.parametrize(
    "given",
    [
        "",
        ",",
        "=",
        "t",
        T,
        V1,
        f"{T},v1=",
        f"{T},v0={signature()}",
        f"{T},{V1[:-1]}",
        f"{T},{V1}0",
        f"{T},{V1.upper()}",
        f"{T}, {V1}",
        f"{T};{V1}",
        f"{T},{T},{V1}",
        f"t=,{V1}",
        f"t=-1,{V1}",
        f"t=1e9,{V1}",
        f"t=+{T[2:]},{V1}",
        f"t= {T[2:]},{V1}",
        f"t=0{T[2:]},{V1}",
        f"t=NaN,{V1}",
        f"t={'9' * 13},{V1}",
        f"t={'9' * 900},{V1}",
        f"t=١٧,{V1}",
        f"{T},v1=é",
        f"{T},{V1},v0=\x00é",
        ",".join([T, V1, *["v0=x"] * 7]),
        ",".join([T, V1, *["a=b"] * 10_000]),
        f"{T},{V1},v0={'x' * 1024}",
    ],
)
def test_a_strange_header_is_refused_and_nothing_worse(given: str) -> None:
    """The library raises TypeError on some of these, which would be a 500 and three days of repeats."""
    assert not is_good(given.encode())
    assert not is_good(given.encode("utf-16"))


def test_another_body_is_refused() -> None:
    assert not is_good(header(), BODY + b" ")


def test_id_and_type_are_read() -> None:
    assert read_event(BODY) == ("evt_1", "ping")
    assert read_event(orjson.dumps({"id": "evt_2", "object": "v2.core.event", "type": "v2.x"})) == ("evt_2", "v2.x")


GOOD = {"id": "evt_1", "object": "event", "type": "ping"}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"null",
        b"7",
        b"{",
        b'"event"',
        b"\xff",
        b"[" * 100_000,
        b'{"a":' * 100_000,
        orjson.dumps({}),
        orjson.dumps({**GOOD, "object": "charge"}),
        orjson.dumps({**GOOD, "object": None}),
        orjson.dumps({**GOOD, "object": ["event"]}),
        orjson.dumps({**GOOD, "id": None}),
        orjson.dumps({**GOOD, "id": 7}),
        orjson.dumps({**GOOD, "id": ""}),
        orjson.dumps({**GOOD, "id": "e" * 256}),
        orjson.dumps({**GOOD, "id": "evt_\0"}),
        orjson.dumps({**GOOD, "type": {}}),
        orjson.dumps({**GOOD, "type": "t\0"}),
        orjson.dumps({**GOOD, "type": "t" * 256}),
        b'{"id": "evt_\\ud800", "object": "event", "type": "ping"}',
        b'{"id": NaN, "object": "event", "type": "ping"}',
    ],
    ids=range(23),
)
def test_what_is_no_event_is_refused(body: bytes) -> None:
    with pytest.raises(NotAnEventError):
        read_event(body)


def test_ids_of_255_characters_are_read() -> None:
    assert read_event(orjson.dumps({**GOOD, "id": "é" * 255})) == ("é" * 255, "ping")
