"""Cancelling: wished at the door, answered when a worker has found out whether it was possible."""

import time
from collections.abc import Callable
from typing import Any

import pytest
from httpx2 import Response
from redis import Redis
from starlette.testclient import TestClient

from billing.db import Begin, connect
from billing.ids import new_id
from billing.models import Purchase
from billing.states import PurchaseState, Step
from tests.support.factories import add_student, load_purchase
from tests.web.following import Worker, path_of, soon
from tests.web.support import API, Tokens, buy

S = PurchaseState
Cancel = Callable[..., Response]


@pytest.fixture
def cancel(client: TestClient, worker: Worker) -> Cancel:
    def post(purchase: Purchase, **headers: str) -> Response:
        return client.post(path_of(purchase, "cancel/"), headers={**worker.key(purchase), **headers})

    return post


def settled(worker: Worker, state: PurchaseState) -> Purchase:
    return worker.buy(state, student_id=add_student(worker.begin, f"{new_id().hex}@example.com", at=worker.now))


def test_a_wish_is_kept_and_a_worker_hinted(worker: Worker, cancel: Cancel, begin: Begin, valkey_url: str) -> None:
    purchase = worker.buy(S.PENDING)
    answer = cancel(purchase)
    assert answer.status_code == 202
    assert answer.json() == {
        "success": True,
        "id": str(purchase.id),
        "status": "pending",
        "status_url": path_of(purchase),
    }
    found = load_purchase(begin, purchase.id)
    assert found.cancel_requested_at is not None
    assert found.due_at is not None
    deadline = time.monotonic() + 5
    with Redis.from_url(valkey_url) as client:
        while not client.llen("purchases"):
            assert time.monotonic() < deadline


def test_wished_twice_is_wished_once(worker: Worker, cancel: Cancel, begin: Begin) -> None:
    purchase = worker.buy()
    cancel(purchase, **{"Idempotency-Key": "click"})
    first = load_purchase(begin, purchase.id).cancel_requested_at
    assert cancel(purchase, **{"Idempotency-Key": "click"}).status_code == 202
    assert load_purchase(begin, purchase.id).cancel_requested_at == first


def test_a_key_that_is_none_is_refused(worker: Worker, cancel: Cancel) -> None:
    answer = cancel(worker.buy(), **{"Idempotency-Key": "two words"})
    assert (answer.status_code, answer.json()["error_type"]) == (400, "validation_error")


def test_the_outcome_is_waited_for(worker: Worker, cancel: Cancel) -> None:
    purchase = worker.buy(S.PENDING)
    gone: dict[str, Any] = {"client_secret": None, "due_at": None, "hint_at": None}
    with soon(lambda: worker.change(purchase, (Step.CANCELLED, S.CANCELLED), **gone)):
        answer = cancel(purchase, Prefer="wait=10")
    assert (answer.status_code, answer.json()["status"]) == (200, "cancelled")
    assert answer.json()["task_id"] == str(purchase.id)
    assert answer.headers["Preference-Applied"] == "wait=10"
    assert cancel(purchase, Prefer="wait=10").status_code == 200


def test_paid_meanwhile_is_paid(worker: Worker, cancel: Cancel) -> None:
    purchase = worker.buy(S.PENDING)
    with soon(lambda: worker.complete(purchase, cancel_requested_at=None)):
        answer = cancel(purchase, Prefer="wait=10")
    assert (answer.status_code, answer.json()["error_type"]) == (409, "invalid_state")


def test_where_stripe_will_not_the_wish_is_refused(worker: Worker, cancel: Cancel) -> None:
    """The worker drops the wish; the purchase stays what it was."""
    purchase = worker.buy(S.PROCESSING)
    dropped: dict[str, Any] = {"cancel_requested_at": None, "due_at": None, "hint_at": None}
    with soon(lambda: worker.change(purchase, **dropped)):
        answer = cancel(purchase, Prefer="wait=10")
    assert (answer.status_code, answer.json()["error_type"]) == (409, "invalid_state")
    assert "under way" in answer.json()["message"]


@pytest.mark.parametrize("state", [S.COMPLETED, S.REFUNDED, S.EXPIRED])
def test_what_is_settled_cannot_be_cancelled(worker: Worker, cancel: Cancel, state: PurchaseState) -> None:
    purchase = settled(worker, state)
    assert (cancel(purchase).status_code, cancel(purchase).json()["status"]) == (202, state)
    answer = cancel(purchase, Prefer="wait=10")
    assert (answer.status_code, answer.json()["error_type"]) == (409, "invalid_state")


def test_what_failed_without_an_intent_has_nothing_to_cancel(worker: Worker, cancel: Cancel) -> None:
    purchase = worker.buy(S.FAILED, payment_intent_id=None, error_type="api_error", error_message="No.")
    assert cancel(purchase, Prefer="wait=10").status_code == 409


def test_an_outcome_that_takes_longer_is_a_202(worker: Worker, cancel: Cancel) -> None:
    answer = cancel(worker.buy(), Prefer="wait=1")
    assert (answer.status_code, answer.json()["status"]) == (202, "queued")


def test_nobody_cancels_what_is_anothers(client: TestClient, worker: Worker, tokens: Tokens, begin: Begin) -> None:
    purchase = worker.buy(caller_sub="user-1")
    missing = client.post(f"{API}purchase/{new_id()}/cancel/", headers={"X-Request-Id": "same"})
    for headers in ({}, tokens.of("user-2"), {"X-Access-Token": "x"}, tokens.of("boss", roles=["admin"])):
        answer = client.post(path_of(purchase, "cancel/"), headers={"X-Request-Id": "same", **headers})
        assert (answer.status_code, answer.content) == (404, missing.content)
    assert load_purchase(begin, purchase.id).cancel_requested_at is None
    assert client.post(path_of(purchase, "cancel/"), headers=tokens.of("user-1")).status_code == 202


def test_a_row_in_other_hands_is_a_503_in_time(worker: Worker, cancel: Cancel, database_url: str) -> None:
    """A worker records an answer of Stripe's; the caller tries again rather than hang."""
    purchase = worker.buy(S.PENDING)
    engine = connect(database_url, "tests")
    with engine.begin() as connection:
        connection.exec_driver_sql("SELECT 1 FROM purchase FOR UPDATE")
        answer = cancel(purchase)
    engine.dispose()
    assert (answer.status_code, answer.json()["error_type"]) == (503, "unavailable")
    assert cancel(purchase).status_code == 202


def test_only_post_cancels(client: TestClient) -> None:
    task_id = buy(client).json()["task_id"]
    answer = client.get(f"{API}purchase/{task_id}/cancel/")
    assert (answer.status_code, answer.headers["Allow"]) == (405, "POST")
