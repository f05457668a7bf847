"""A purchase is followed by its buyer, and by nobody else."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from starlette.testclient import TestClient

from billing.config import SANDBOX_PUBLISHABLE_KEY
from billing.db import Begin
from billing.ids import new_id
from billing.models import Purchase, PurchaseTransition
from billing.secrets import Vault
from billing.states import PurchaseState, Step
from tests.support.factories import add_purchase, add_student
from tests.web.support import API, Tokens, buy

S = PurchaseState


def follow(client: TestClient, purchase: Purchase, vault: Vault, **headers: str) -> dict[str, object]:
    token = {"X-Access-Token": vault.access_token(purchase.id)}
    answer = client.get(f"{API}purchase/{purchase.id}/", headers={**token, **headers})
    assert answer.status_code == 200
    body: dict[str, object] = answer.json()
    return body


def test_a_queued_purchase_has_no_secret_yet(client: TestClient, begin: Begin, vault: Vault, now: datetime) -> None:
    purchase = add_purchase(begin, at=now)
    assert follow(client, purchase, vault) == {
        "success": True,
        "task_id": str(purchase.id),
        "status": "queued",
        "client_secret": None,
        "payment_intent_id": None,
        "transaction_id": 1,
        "publishable_key": SANDBOX_PUBLISHABLE_KEY,
        "plan_details": {
            "id": 2,
            "name": "Standard Package",
            "description": "Ten hours for a steady month and a half.",
            "plan_type": "package",
            "hours_included": "10.00",
            "price_eur": "140.00",
            "validity_days": 45,
            "price_per_hour": "14.00",
        },
        "refunded_eur": "0.00",
        "message": "Your purchase is accepted; its payment is being prepared.",
        "timeline": [{"step": "accepted", "at": "2026-03-02T12:00:00.000Z"}],
    }


@pytest.mark.parametrize("state", [S.PENDING, S.PROCESSING, S.FAILED])
def test_the_secret_is_there_while_the_intent_can_be_paid(
    client: TestClient, begin: Begin, vault: Vault, now: datetime, state: PurchaseState
) -> None:
    purchase = add_purchase(begin, at=now, state=state, client_secret=vault.seal("pi_1_secret_2"))
    seen = follow(client, purchase, vault)
    assert seen["client_secret"] == "pi_1_secret_2"
    assert seen["payment_intent_id"] == purchase.payment_intent_id


@pytest.mark.parametrize("state", [S.COMPLETED, S.CANCELLED, S.EXPIRED, S.REFUNDED])
def test_a_settled_purchase_has_no_secret_any_more(
    client: TestClient, begin: Begin, vault: Vault, now: datetime, state: PurchaseState
) -> None:
    purchase = add_purchase(begin, at=now, state=state, student_id=add_student(begin, at=now))
    seen = follow(client, purchase, vault)
    assert (seen["status"], seen["client_secret"]) == (state, None)


def test_a_failure_without_an_intent_says_why(client: TestClient, begin: Begin, vault: Vault, now: datetime) -> None:
    failure: dict[str, Any] = {"error_type": "api_connection_error", "error_message": "The payment service is away."}
    purchase = add_purchase(begin, at=now, state=S.FAILED, payment_intent_id=None, **failure)
    seen = follow(client, purchase, vault)
    assert (seen["error_type"], seen["message"]) == ("api_connection_error", "The payment service is away.")
    assert seen["client_secret"] is None


def test_an_unreadable_secret_hides_nothing_else(client: TestClient, begin: Begin, vault: Vault, now: datetime) -> None:
    other = Vault(["another key that is long enough for it"])
    purchase = add_purchase(begin, at=now, state=S.PENDING, client_secret=other.seal("pi_1_secret_2"))
    seen = follow(client, purchase, vault)
    assert (seen["status"], seen["client_secret"]) == ("pending", None)


def test_the_timeline_tells_what_happened_in_order(
    client: TestClient, begin: Begin, vault: Vault, now: datetime
) -> None:
    purchase = add_purchase(begin, at=now, state=S.PROCESSING)
    with begin() as session:
        for minutes, step in enumerate((Step.INTENT_CREATED, Step.PAYMENT_PROCESSING), 1):
            at = now + timedelta(minutes=minutes)
            session.add(PurchaseTransition(purchase_id=purchase.id, step=step, state=S.PENDING, cause="test", at=at))
    assert follow(client, purchase, vault)["timeline"] == [
        {"step": "accepted", "at": "2026-03-02T12:00:00.000Z"},
        {"step": "intent_created", "at": "2026-03-02T12:01:00.000Z"},
        {"step": "payment_processing", "at": "2026-03-02T12:02:00.000Z"},
    ]


def test_hours_are_told_of_when_they_are_there(client: TestClient, begin: Begin, vault: Vault, now: datetime) -> None:
    """A subscription's payment completes its purchase; the hours come with the invoice, a moment later."""
    purchase = add_purchase(begin, at=now, state=S.COMPLETED, student_id=add_student(begin, at=now))
    assert follow(client, purchase, vault)["message"] == "The payment arrived; the hours follow in a moment."
    with begin() as session:
        step = PurchaseTransition(purchase_id=purchase.id, step=Step.CREDITED, state=S.COMPLETED, cause="test", at=now)
        session.add(step)
    assert follow(client, purchase, vault)["message"] == "The payment arrived and the hours are credited."


def test_the_caller_who_made_it_follows_it_by_his_token(shared_client: TestClient, tokens: Tokens) -> None:
    url = buy(shared_client, **tokens.of("user-1")).json()["status_url"]
    assert shared_client.get(url, headers=tokens.of("user-1")).status_code == 200


def test_a_page_link_may_carry_the_access_token(shared_client: TestClient) -> None:
    body = buy(shared_client).json()
    assert shared_client.get(body["status_url"], params={"access_token": body["access_token"]}).status_code == 200


def test_a_stranger_cannot_tell_it_from_one_that_is_not_there(shared_client: TestClient, tokens: Tokens) -> None:
    """A 403, or another body, would say that the id is somebody's."""
    mine, other = buy(shared_client, **tokens.of("user-1")).json(), buy(shared_client).json()
    guest_with_same_address = tokens.of("user-2", email="ana@example.com")
    staff = tokens.of("staff-1", roles=["staff", "admin", "service"])
    missing = shared_client.get(f"{API}purchase/{new_id()}/", headers={"X-Request-Id": "same"})
    answers = [
        shared_client.get(mine["status_url"], headers={"X-Request-Id": "same", **headers})
        for headers in (
            {},
            guest_with_same_address,
            staff,
            {"X-Access-Token": other["access_token"]},
            {"X-Access-Token": ""},
            {"X-Access-Token": mine["access_token"][:-1]},
        )
    ]
    assert {(answer.status_code, answer.content) for answer in answers} == {(404, missing.content)}


@pytest.mark.parametrize("path", ["x", "%00", "..", "{0}0", "urn:uuid:{0}", "{{{0}}}", "1", "%2e%2e%2f", "é"])
def test_what_is_no_id_is_not_there(shared_client: TestClient, tokens: Tokens, path: str) -> None:
    task_id = buy(shared_client, **tokens.of()).json()["task_id"]
    assert shared_client.get(f"{API}purchase/{path.format(task_id)}/", headers=tokens.of()).status_code == 404


def test_an_unchanged_status_is_not_sent_twice(shared_client: TestClient, tokens: Tokens) -> None:
    url = buy(shared_client, **tokens.of()).json()["status_url"]
    etag = shared_client.get(url, headers=tokens.of()).headers["ETag"]
    for given in (etag, f"W/{etag}", f'"x", {etag}', "*"):
        again = shared_client.get(url, headers={"If-None-Match": given, **tokens.of()})
        assert (again.status_code, again.content, again.headers["Cache-Control"]) == (304, b"", "no-store")
