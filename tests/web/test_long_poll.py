"""Waiting for a status: as long as asked, and not a moment longer than it takes."""

import time
from collections.abc import Callable
from typing import Any

import pytest
from httpx2 import Response
from starlette.testclient import TestClient

from billing.db import Begin
from billing.ids import new_id
from billing.models import Purchase
from billing.states import PurchaseState, Step
from tests.support.factories import load_purchase
from tests.web.following import Worker, path_of, soon
from tests.web.support import INITIATE, wish

S = PurchaseState
SOON_SECONDS = 0.3
WOKEN_SECONDS = 0.5
"""So much later at most, by the notification; the look each second may take twice as long."""


def timed(ask: Callable[[], Response]) -> tuple[Response, float]:
    began = time.monotonic()
    return ask(), time.monotonic() - began


@pytest.fixture
def buy(client: TestClient) -> Callable[..., Response]:
    """A purchase for an address of its own, or for that of a repeat."""

    def post(wait: str | None = "wait=10", email: str = "", **headers: str) -> Response:
        prefer = {} if wait is None else {"Prefer": wait}
        email = email or f"{new_id().hex}@example.com"
        return client.post(INITIATE, json=wish(email), headers={**prefer, **headers})

    return post


@pytest.fixture
def get(client: TestClient, worker: Worker) -> Callable[..., Response]:
    def ask(purchase: Purchase, wait: str | None = "wait=10", **headers: str) -> Response:
        prefer = {} if wait is None else {"Prefer": wait}
        return client.get(path_of(purchase), headers={**worker.key(purchase), **prefer, **headers})

    return ask


def test_a_purchase_is_answered_with_its_secret_once_it_is_there(
    client: TestClient, worker: Worker, buy: Callable[..., Response]
) -> None:
    """The 201 is the status resource; what else the 202's body tells stands in headers."""
    with soon(lambda: worker.prepare(worker.newest())):
        answer, seconds = timed(buy)
    assert SOON_SECONDS < seconds < SOON_SECONDS + WOKEN_SECONDS
    assert (answer.status_code, answer.json()["status"]) == (201, "pending")
    assert answer.json()["client_secret"] == "pi_1_secret_2"
    assert answer.headers["Preference-Applied"] == "wait=10"
    followed = client.get(answer.headers["Location"], headers={"X-Access-Token": answer.headers["X-Access-Token"]})
    assert followed.json() == answer.json()


def test_a_failure_is_an_outcome_too(worker: Worker, buy: Callable[..., Response]) -> None:
    """Nobody waits half a minute to read that Stripe refused at once."""
    refused: dict[str, Any] = {
        "error_type": "invalid_request_error",
        "error_message": "No.",
        "due_at": None,
        "hint_at": None,
    }
    with soon(lambda: worker.change(worker.newest(), (Step.PAYMENT_FAILED, S.FAILED), **refused)):
        answer, seconds = timed(buy)
    assert seconds < SOON_SECONDS + WOKEN_SECONDS
    assert (answer.status_code, answer.json()["status"]) == (201, "failed")
    assert answer.json()["error_type"] == "invalid_request_error"


def test_trouble_while_queued_is_no_outcome(worker: Worker, buy: Callable[..., Response]) -> None:
    """Still queued: the payment may be there in the next second."""
    trouble: dict[str, Any] = {"error_type": "api_connection_error", "error_message": "Away."}
    with soon(lambda: worker.change(worker.newest(), **trouble)):
        answer, seconds = timed(lambda: buy("wait=1"))
    assert (answer.status_code, seconds > 1) == (202, True)


def test_what_takes_longer_is_a_202_with_everything_in_it(buy: Callable[..., Response]) -> None:
    answer, seconds = timed(lambda: buy("wait=1"))
    assert answer.status_code == 202
    assert 1 <= seconds < 1.5
    assert set(buy(None).json()) == set(answer.json())
    assert (answer.headers["Preference-Applied"], answer.headers["Retry-After"]) == ("wait=1", "1")


@pytest.mark.parametrize("wait", [None, "wait=-1", "wait=soon", "respond-async", "wait=0"])
def test_who_does_not_ask_does_not_wait(buy: Callable[..., Response], wait: str | None) -> None:
    answer, seconds = timed(lambda: buy(wait))
    assert (answer.status_code, seconds < 0.5) == (202, True)
    assert answer.headers.get("Preference-Applied") == ("wait=0" if wait == "wait=0" else None)


def test_a_repeat_is_answered_at_once_with_what_became_of_the_first(
    worker: Worker, buy: Callable[..., Response]
) -> None:
    repeat: dict[str, Any] = {"email": "ana@example.com", "Idempotency-Key": "click"}
    first = buy(None, **repeat)
    worker.complete(worker.newest(), payment_intent_id="pi_1")
    again, seconds = timed(lambda: buy("wait=30", **repeat))
    assert (again.status_code, again.json()["status"]) == (201, "completed")
    assert again.json()["task_id"] == first.json()["task_id"]
    assert again.headers["Idempotent-Replayed"] == "true"
    assert seconds < 0.5


def test_a_refusal_is_not_waited_for(client: TestClient) -> None:
    answer, seconds = timed(lambda: client.post(INITIATE, json=wish(plan_id=0), headers={"Prefer": "wait=10"}))
    assert (answer.status_code, seconds < 0.5) == (400, True)
    assert "Preference-Applied" not in answer.headers


def test_a_queued_purchase_is_waited_for(worker: Worker, get: Callable[..., Response]) -> None:
    purchase = worker.buy()
    with soon(lambda: worker.prepare(purchase)):
        answer, seconds = timed(lambda: get(purchase, "wait=99"))
    assert (answer.status_code, answer.json()["status"]) == (200, "pending")
    assert answer.headers["Preference-Applied"] == "wait=30"
    assert SOON_SECONDS < seconds < SOON_SECONDS + WOKEN_SECONDS


def test_trouble_at_stripe_is_news_to_who_follows(worker: Worker, get: Callable[..., Response]) -> None:
    purchase = worker.buy()
    trouble: dict[str, Any] = {"error_type": "api_connection_error", "error_message": "Away."}
    with soon(lambda: worker.change(purchase, **trouble)):
        answer, seconds = timed(lambda: get(purchase))
    assert (answer.json()["status"], answer.json()["message"]) == ("queued", "Away.")
    assert seconds < SOON_SECONDS + WOKEN_SECONDS


@pytest.mark.parametrize("state", [S.PENDING, S.PROCESSING, S.FAILED])
def test_what_is_past_the_queue_is_answered_at_once(
    worker: Worker, get: Callable[..., Response], state: PurchaseState
) -> None:
    answer, seconds = timed(lambda: get(worker.buy(state)))
    assert (answer.status_code, seconds < 0.5) == (200, True)


def test_who_knows_the_present_state_waits_for_the_next(worker: Worker, get: Callable[..., Response]) -> None:
    purchase = worker.buy(S.PENDING)
    known = get(purchase, None).headers["ETag"]
    with soon(lambda: worker.complete(purchase)):
        answer, seconds = timed(lambda: get(purchase, **{"If-None-Match": known}))
    assert (answer.status_code, answer.json()["status"]) == (200, "completed")
    assert answer.headers["ETag"] != known
    assert seconds < SOON_SECONDS + WOKEN_SECONDS


def test_what_did_not_change_is_a_304_in_the_end(worker: Worker, get: Callable[..., Response]) -> None:
    purchase = worker.buy(S.PENDING)
    known = get(purchase, None).headers["ETag"]
    answer, seconds = timed(lambda: get(purchase, "wait=1", **{"If-None-Match": known}))
    assert (answer.status_code, answer.content, answer.headers["ETag"]) == (304, b"", known)
    assert answer.headers["Preference-Applied"] == "wait=1"
    assert 1 <= seconds < 1.5


def test_who_knows_an_older_state_is_told_at_once(worker: Worker, get: Callable[..., Response]) -> None:
    """What the caller does not know yet is there already."""
    purchase = worker.buy(S.PENDING)
    answer, seconds = timed(lambda: get(purchase, **{"If-None-Match": '"older"'}))
    assert (answer.status_code, seconds < 0.5) == (200, True)


def test_a_queued_purchase_is_waited_for_whatever_is_known_of_it(worker: Worker, get: Callable[..., Response]) -> None:
    """Whoever asks with a wait wants what can be paid, and there is nothing of it yet."""
    purchase = worker.buy()
    with soon(lambda: worker.prepare(purchase)):
        answer, _ = timed(lambda: get(purchase, **{"If-None-Match": '"older"'}))
    assert answer.json()["status"] == "pending"


def test_a_stranger_does_not_wait(client: TestClient, worker: Worker) -> None:
    purchase = worker.buy()
    answer, seconds = timed(lambda: client.get(path_of(purchase), headers={"Prefer": "wait=10"}))
    assert (answer.status_code, seconds < 0.5) == (404, True)


def test_a_lost_notification_costs_a_second(worker: Worker, get: Callable[..., Response]) -> None:
    purchase = worker.buy()
    with soon(lambda: worker.prepare(purchase, tell=False)):
        answer, seconds = timed(lambda: get(purchase))
    assert answer.json()["status"] == "pending"
    assert seconds < SOON_SECONDS + 1.5


def test_a_notification_about_nothing_ends_no_wait(worker: Worker, get: Callable[..., Response], begin: Begin) -> None:
    """Anybody who reaches the channel can send ids; each is one look at a row."""
    purchase = worker.buy()
    with soon(lambda: worker.tell(purchase.id, new_id())):
        answer, seconds = timed(lambda: get(purchase, "wait=1"))
    assert (answer.json()["status"], seconds > 1) == ("queued", True)
    assert load_purchase(begin, purchase.id).state is S.QUEUED
