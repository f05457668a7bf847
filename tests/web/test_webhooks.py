"""A 200 to Stripe means that the event is kept; anything else, that Stripe is to send it again or stop."""

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import orjson
import pytest
from sqlalchemy import text
from starlette.testclient import TestClient

from billing.db import Begin
from billing.errors import LockTimeoutError
from tests.web.support import WEBHOOK, deliver, signed


def event(name: str = "evt_1", **fields: Any) -> bytes:
    return orjson.dumps({"id": name, "object": "event", "type": "payment_intent.succeeded", **fields})


def kept(begin: Begin) -> list[tuple[str, str, bytes, str]]:
    with begin() as session:
        statement = text("SELECT stripe_event_id, type, body, state FROM webhook_event ORDER BY id")
        return [(row[0], row[1], bytes(row[2]), row[3]) for row in session.execute(statement)]


def test_a_signed_event_is_kept_byte_for_byte(client: TestClient, begin: Begin) -> None:
    body = b' {"type": "payment_intent.succeeded",  "object": "event", "id": "evt_1", "x": "\xc3\xa9"} '
    answer = deliver(client, body, **{"Content-Type": "application/json; charset=utf-8"})
    assert (answer.status_code, answer.content) == (200, b'{"received":true}')
    assert kept(begin) == [("evt_1", "payment_intent.succeeded", body, "received")]


def test_a_repeat_is_acknowledged_and_kept_once(client: TestClient, begin: Begin) -> None:
    """Stripe repeats when it doubts us; it must not be told that something is wrong."""
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda _: deliver(client, event()), range(20)))
    assert {answer.status_code for answer in answers} == {200}
    assert len(kept(begin)) == 1


def test_a_crowd_of_events_is_kept_whole(client: TestClient, begin: Begin) -> None:
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda number: deliver(client, event(f"evt_{number}")), range(100)))
    assert len(kept(begin)) == 100


def test_unsigned_stale_and_strange_deliveries_leave_nothing(client: TestClient, begin: Begin) -> None:
    body, now = event(), time.time()
    headers: list[dict[str, str]] = [
        {},
        {"Stripe-Signature": "rubbish"},
        signed(body, secret="whsec_another"),
        signed(body, at=now - 320),
        signed(body, at=now + 80),
        signed(event("evt_2")),
    ]
    for given in headers:
        answer = client.post(WEBHOOK, content=body, headers=given)
        assert (answer.status_code, answer.json()["error_type"]) == (400, "invalid_signature"), given
    for name, value in signed(body).items():
        twice = client.post(WEBHOOK, content=body, headers=[(name, value), (name, value)])
        assert twice.status_code == 400
    assert kept(begin) == []


@pytest.mark.parametrize("value", [b"t=1,v1=\xff", b"\xc3\xa9", b"t=\xd9\xa1,v1=0"])
def test_a_header_that_is_not_ascii_is_a_400(shared_client: TestClient, value: bytes) -> None:
    answer = shared_client.post(WEBHOOK, content=event(), headers=[(b"Stripe-Signature", value)])
    assert (answer.status_code, answer.json()["error_type"]) == (400, "invalid_signature")


@pytest.mark.parametrize("body", [b"[]", b"", b"\xff", b"{}", event(object="charge"), event(""), event("evt_\0")])
def test_a_signed_body_that_is_no_event_is_a_400(shared_client: TestClient, body: bytes) -> None:
    answer = deliver(shared_client, body)
    assert (answer.status_code, answer.json()["error_type"]) == (400, "validation_error")


def test_an_event_of_any_mode_account_or_version_is_kept(client: TestClient, begin: Begin) -> None:
    """What it means is the worker's business; the door only promises that it is not lost."""
    odd = [
        event("evt_1", livemode=True),
        event("evt_2", account="acct_1"),
        event("evt_3", data=None),
        event("evt_4", object="v2.core.event"),
        event("evt_5", type="nobody.knows"),
    ]
    assert [deliver(client, body).status_code for body in odd] == [200] * 5
    assert len(kept(begin)) == 5


def test_what_is_not_committed_is_to_be_sent_again(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """A 4xx would make Stripe stop; 503 makes it try again."""

    async def locked(*_: object) -> None:
        raise LockTimeoutError("held by somebody")

    monkeypatch.setattr("web.door.accept_events", locked)
    answer = deliver(client, event())
    assert (answer.status_code, answer.json()["error_type"]) == (503, "unavailable")
    assert answer.headers["Retry-After"]


def test_the_sandbox_may_use_the_other_prefix(client: TestClient, begin: Begin) -> None:
    body = event()
    assert client.post("/api/finances/api/webhooks/stripe/", content=body, headers=signed(body)).status_code == 200
    assert len(kept(begin)) == 1
