"""A buyer who waits, through every process: told by the worker, not by asking again and again."""

import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import httpx2
import pytest

from billing.ids import new_id
from tests.support.stack import PREFIX, Stack
from tests.web.following import Event, events_in

WORKER_SECONDS = 0.9
"""The hint, the claim, Stripe's answer, the commit and the word of it; the look each second alone would take longer."""


@pytest.fixture
def apart() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as pool:
        yield pool


def buy(stack: Stack, **headers: str) -> httpx2.Response:
    student = {"name": "Ana", "email": f"{new_id().hex[:12]}@example.com"}
    body = {"plan_id": 2, "student_info": student}
    return stack.door.post(f"{PREFIX}/purchase/initiate/", json=body, headers=headers)


def key_of(answer: httpx2.Response) -> dict[str, str]:
    return {"X-Access-Token": answer.headers["X-Access-Token"]}


def followed(stack: Stack, path: str, headers: dict[str, str]) -> list[Event]:
    with httpx2.Client(base_url=stack.url, timeout=20) as client, client.stream("GET", path, headers=headers) as answer:
        return list(events_in(answer.iter_lines()))


def follow(stack: Stack, apart: ThreadPoolExecutor, accepted: dict[str, Any], **more: str) -> "Future[list[Event]]":
    headers = {"X-Access-Token": accepted["access_token"], **more}
    return apart.submit(followed, stack, accepted["events_url"], headers)


def test_the_secret_comes_with_the_answer(stack: Stack) -> None:
    """One request buys; the front end needs no second one to show the card form."""
    buy(stack, Prefer="wait=20")  # connections and imports of a new pipeline
    began = time.monotonic()
    answer = buy(stack, Prefer="wait=20")
    seconds = time.monotonic() - began
    assert (answer.status_code, answer.json()["status"]) == (201, "pending")
    assert answer.json()["client_secret"].startswith(answer.json()["payment_intent_id"])
    assert seconds < WORKER_SECONDS


def test_a_stream_tells_a_purchase_from_its_acceptance_to_its_hours(stack: Stack, apart: ThreadPoolExecutor) -> None:
    accepted = buy(stack).json()
    following = follow(stack, apart, accepted)
    stack.pay(stack.wait_for(accepted, "pending"))
    events = following.result(timeout=20)
    assert [event.last_step for event in events] == ["accepted", "intent_created", "paid", "credited"]
    ids = [int(event.id) for event in events]
    assert (ids[0], ids) == (0, sorted(set(ids)))
    assert events[-1].data == stack.status(accepted)
    resumed = follow(stack, apart, accepted, **{"Last-Event-ID": events[1].id})
    assert resumed.result(timeout=20) == events[2:]


def test_a_payment_is_told_to_who_waits_for_it(stack: Stack, apart: ThreadPoolExecutor) -> None:
    """The drained batch tells the door; the long poll ends with it."""
    bought = buy(stack, Prefer="wait=20")
    path, key = bought.headers["Location"], key_of(bought)
    known = stack.door.get(path, headers=key).headers["ETag"]
    headers = {**key, "If-None-Match": known, "Prefer": "wait=20"}
    waiting = apart.submit(httpx2.get, f"{stack.url}{path}", headers=headers, timeout=30)
    stack.pay(bought.json())
    answer = waiting.result()
    assert (answer.status_code, answer.json()["status"]) == (200, "completed")


def test_a_cancel_is_waited_for(stack: Stack) -> None:
    bought = buy(stack, Prefer="wait=20")
    cancel = f"{bought.headers['Location']}cancel/"
    answer = stack.door.post(cancel, headers={**key_of(bought), "Prefer": "wait=20"})
    assert (answer.status_code, answer.json()["status"]) == (200, "cancelled")
    assert stack.stripe.v1.payment_intents.retrieve(bought.json()["payment_intent_id"]).status == "canceled"


def test_what_is_paid_is_not_cancelled(stack: Stack) -> None:
    """Paid at Stripe, not yet known here: the worker finds out, and the hours are credited."""
    bought = buy(stack, Prefer="wait=20")
    stack.control.post("/delivery", json={"paused": True})
    try:
        stack.pay(bought.json())
        cancel = f"{bought.headers['Location']}cancel/"
        answer = stack.door.post(cancel, headers={**key_of(bought), "Prefer": "wait=20"})
    finally:
        stack.control.post("/delivery", json={"paused": False})
    assert (answer.status_code, answer.json()["error_type"]) == (409, "invalid_state")
    status = stack.door.get(bought.headers["Location"], headers=key_of(bought)).json()
    assert status["status"] == "completed"


def test_trouble_at_stripe_is_told_while_the_purchase_waits(stack: Stack, apart: ThreadPoolExecutor) -> None:
    """No step of the timeline, and still told at once; then the intent, when Stripe is back."""
    away = {"match": {"path": "/v1/payment_intents$"}, "when": "before", "do": {"status": 500}, "times": 4}
    stack.control.post("/faults", json=[away])
    accepted = buy(stack).json()
    following = follow(stack, apart, accepted)
    stack.pay(stack.wait_for(accepted, "pending", seconds=30))
    events = following.result(timeout=20)
    assert [event.data["status"] for event in events] == ["queued", "queued", "pending", "completed", "completed"]
    assert events[1].data["error_type"] == "api_error"
