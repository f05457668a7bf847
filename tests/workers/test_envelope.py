"""Our own messages pass, and nothing else does."""

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest
import redis

from billing import logs
from billing.config import Settings
from billing.messages import MESSAGES, EventsWaiting, Message
from tests.support.messages import SAMPLES
from workers.envelope import MOST_BYTES, complaint, complaint_about_item
from workers.hints import Publisher


def published(settings: Settings, message: Message) -> bytes:
    publisher = Publisher(settings)
    publisher.publish([message])
    publisher.close()
    with redis.Redis.from_url(settings.broker_url) as client:
        item = client.rpop(message.queue)
    assert isinstance(item, bytes)
    return item


@pytest.mark.parametrize("kind", MESSAGES)
def test_a_message_of_ours_is_read(settings: Settings, kind: type[Message]) -> None:
    logs.bind_request_id("r1")
    item = published(settings, SAMPLES[kind])
    logs.bind_request_id(None)
    assert complaint_about_item(item) is None
    raw = json.loads(item)
    assert raw["headers"]["request_id"] == "r1"
    assert complaint(raw["headers"], raw["content-type"], base64.b64decode(raw["body"])) is None


HEADERS: dict[str, Any] = {"task": "billing.webhooks.drain", "id": "t1", "timelimit": [None, None], "retries": 0}
BODY = b'[[], {}, {"callbacks": null, "errbacks": null, "chain": null, "chord": null}]'

FORGED_HEADERS: dict[str, dict[str, Any]] = {
    "no task": {"task": None},
    "a task that is no name": {"task": ["x"]},
    "an unknown task": {"task": "billing.webhooks.explode"},
    "a task of celery's": {"task": "celery.backend_cleanup"},
    "no id": {"id": 7},
    "parked for later": {"eta": "2099-01-01T00:00:00+00:00"},
    "a time limit": {"timelimit": [1, 1]},
    "a wrong time limit": {"timelimit": 5},
    "a retry": {"retries": 3},
    "compressed": {"compression": "bzip2"},
    "a group": {"group": "g"},
    "stamped": {"stamped_headers": ["x"], "stamps": {"x": "y"}},
    "a long id": {"id": "x" * 1000},
    "a request id that is none": {"request_id": {"a": 1}},
}


@pytest.mark.parametrize("change", FORGED_HEADERS.values(), ids=FORGED_HEADERS)
def test_a_forged_header_is_refused(change: dict[str, Any]) -> None:
    assert complaint(HEADERS, "application/json", BODY) is None
    assert complaint({**HEADERS, **change}, "application/json", BODY)


FORGED_BODIES: dict[str, bytes] = {
    "nothing": b"",
    "a number": b"5",
    "an object": b"{}",
    "not json": b"\x80\x04K\x05.",
    "not text": b"\xff\xfe",
    "two parts": b"[[], {}]",
    "a callback": b'[[], {}, {"callbacks": [{"task": "billing.ledger.audit"}]}]',
    "a chord": b'[[], {}, {"chord": {"task": "billing.ledger.audit"}}]',
    "deep": b"[" * 5000 + b"]" * 5000,
    "large": b'[["' + b"x" * MOST_BYTES + b'"], {}, {}]',
}


@pytest.mark.parametrize("body", FORGED_BODIES.values(), ids=FORGED_BODIES)
def test_a_forged_body_is_refused(body: bytes) -> None:
    reason = complaint(HEADERS, "application/json", body)
    assert reason
    assert len(reason) < 200


@pytest.mark.parametrize("content_type", ["application/x-python-serialize", "application/x-yaml", None, ""])
def test_only_json_is_read(content_type: str | None) -> None:
    assert complaint(HEADERS, content_type, BODY) == "not JSON"


def changed(settings: Settings, change: Callable[[dict[str, Any]], object]) -> bytes:
    raw: dict[str, Any] = json.loads(published(settings, EventsWaiting()))
    change(raw)
    return json.dumps(raw).encode()


BROKEN: dict[str, Callable[[dict[str, Any]], object]] = {
    "no properties": lambda raw: raw.pop("properties"),
    "no delivery tag": lambda raw: raw["properties"].pop("delivery_tag"),
    "no delivery info": lambda raw: raw["properties"].pop("delivery_info"),
    "an exchange that is none": lambda raw: raw["properties"]["delivery_info"].update(exchange=None),
    "another encoding": lambda raw: raw["properties"].update(body_encoding="rot13"),
    "a body that is none": lambda raw: raw.update(body="!!"),
    "a body of a number": lambda raw: raw.update(body=7),
    "a packed body": lambda raw: raw["headers"].update(compression="gzip"),
    "headers that are none": lambda raw: raw.update(headers=[]),
    "much too large": lambda raw: raw.update(body=base64.b64encode(b"x" * 10_000_000).decode()),
}


@pytest.mark.parametrize("change", BROKEN.values(), ids=BROKEN)
def test_an_element_that_kombu_would_fall_over_is_refused(
    settings: Settings, change: Callable[[dict[str, Any]], object]
) -> None:
    assert complaint_about_item(changed(settings, change))


@pytest.mark.parametrize("item", [b"garbage", b"", b"null", b"[]", b"5", b'"x"', b"{}", b"\xff\xfe", b"{" * 100_000])
def test_an_element_that_is_no_message_is_refused(item: bytes) -> None:
    assert complaint_about_item(item)
