"""Money that staff give back: asked for at the door, done by workers, and answered with what became of it."""

import threading
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from httpx2 import Response
from sqlalchemy import text
from starlette.testclient import TestClient

from billing.db import Begin
from billing.deployment import Deployment
from billing.ids import new_id
from billing.models import Purchase
from billing.secrets import Vault
from billing.states import RefundState
from tests.support.office import Returns
from tests.support.staff import StaffRoom
from tests.web.following import soon
from tests.web.money import Cashier
from tests.web.support import API, Tokens

REFUNDS = f"{API}admin/payments/refunds/"
REASON = "Ana moves away."
Post = Callable[..., Response]


@pytest.fixture
def today() -> datetime:
    return datetime.now(UTC)


@pytest.fixture
def cashier(
    begin: Begin, database_url: str, deployment: Deployment, vault: Vault, valkey_url: str, today: datetime
) -> Cashier:
    return Cashier(Returns(begin, deployment, vault, today), StaffRoom(begin, database_url, today), valkey_url)


@pytest.fixture
def purchase(cashier: Cashier) -> Purchase:
    """140.00 for 600 minutes; transaction 1."""
    return cashier.returns.sold()


@pytest.fixture
def admin(tokens: Tokens) -> dict[str, str]:
    return tokens.of("admin-1", roles=["admin"])


@pytest.fixture
def post(client: TestClient, admin: dict[str, str]) -> Post:
    def send(body: Any, **headers: str) -> Response:
        given = {"transaction_id": 1, "reason": REASON, **body}
        return client.post(REFUNDS, json=given, headers={**admin, **headers})

    return send


@pytest.fixture
def get(client: TestClient, tokens: Tokens) -> Callable[[str], dict[str, Any]]:
    def read(path: str) -> dict[str, Any]:
        answer = client.get(path, headers=tokens.of("staff-2", roles=["staff"]))
        assert answer.status_code == 200, answer.text
        body: dict[str, Any] = answer.json()
        return body

    return read


Get = Callable[[str], dict[str, Any]]


@pytest.mark.usefixtures("purchase")
def test_a_refund_is_followed_from_the_wish_to_its_end(post: Post, get: Get, cashier: Cashier) -> None:
    answer = post({"refund_amount": "70.00", "reason": f" {REASON} "})
    body = answer.json()
    assert (answer.status_code, body["success"], body["status"]) == (202, True, "requested")
    assert body["status_url"] == f"{REFUNDS}{body['id']}/" == answer.headers["Location"]
    asked = get(body["status_url"])
    assert (asked["status"], asked["amount"], asked["minutes"], asked["hours"]) == ("requested", "70.00", None, None)
    assert (asked["reason"], asked["requested_by"], asked["origin"]) == (REASON, "admin-1", "staff")
    cashier.hold()
    held = get(body["status_url"])
    assert (held["status"], held["minutes"], held["hours"], held["decided_at"]) == ("held", 300, "5.00", None)
    cashier.send(UUID(body["id"]))
    done = get(body["status_url"])
    assert done == {
        "success": True,
        "id": body["id"],
        "status": "succeeded",
        "transaction_id": 1,
        "amount": "70.00",
        "minutes": 300,
        "hours": "5.00",
        "minutes_short": 0,
        "origin": "staff",
        "reason": REASON,
        "requested_by": "admin-1",
        "stripe_refund_id": "re_1",
        "requested_at": asked["requested_at"],
        "decided_at": done["decided_at"],
    }
    assert done["decided_at"] is not None


@pytest.mark.usefixtures("purchase")
def test_whoever_waits_sees_what_stripe_decided(post: Post, cashier: Cashier) -> None:
    """Not only that it is held: 201 says that the money is on its way."""
    with soon(cashier.work):
        answer = post({}, Prefer="wait=10")
    body = answer.json()
    assert (answer.status_code, answer.headers["Preference-Applied"]) == (201, "wait=10"), answer.text
    assert answer.headers["Location"] == f"{REFUNDS}{body['id']}/"
    assert (body["status"], body["amount"], body["minutes"]) == ("succeeded", "140.00", 600)


@pytest.mark.usefixtures("purchase")
def test_the_wait_goes_on_while_it_is_held(post: Post, cashier: Cashier) -> None:
    with soon(cashier.hold), soon(lambda: cashier.send(cashier.newest()), after_seconds=0.8):
        answer = post({}, Prefer="wait=10")
    assert (answer.status_code, answer.json()["status"]) == (201, "succeeded")


@pytest.mark.usefixtures("purchase")
def test_the_wait_needs_no_word_of_the_worker(post: Post, cashier: Cashier, monkeypatch: pytest.MonkeyPatch) -> None:
    """The broker may be away: the rows are looked at once a second."""
    monkeypatch.setattr(Cashier, "tell", lambda *_: None)
    with soon(cashier.work):
        answer = post({}, Prefer="wait=10")
    assert (answer.status_code, answer.json()["status"]) == (201, "succeeded")


@pytest.mark.usefixtures("purchase")
def test_a_refund_that_fails_is_told_too(post: Post, cashier: Cashier) -> None:
    cashier.returns.gateway.refund_status = "failed"
    with soon(cashier.work):
        answer = post({}, Prefer="wait=10")
    body = answer.json()
    assert (answer.status_code, body["status"], body["error_type"]) == (201, "failed", "refund_failed")
    assert body["message"]


@pytest.mark.usefixtures("purchase")
def test_where_the_time_is_over_the_answer_says_how_it_stands(post: Post, cashier: Cashier) -> None:
    waited = post({}, Prefer="wait=0")
    assert (waited.status_code, waited.json()["status"]) == (202, "requested")
    cashier.hold()
    again = post({}, Prefer="wait=1")
    assert (again.status_code, again.json()["status"], again.headers["Preference-Applied"]) == (202, "held", "wait=1")
    assert again.json()["id"] == waited.json()["id"]


REFUSALS: list[tuple[Callable[[Cashier], object], dict[str, str], str]] = [
    (lambda cashier: cashier.returns.sold(), {"refund_amount": "140.01"}, "refund_exceeds_refundable"),
    (lambda cashier: cashier.returns.sold(used=600), {}, "no_refundable_hours"),
    (lambda cashier: cashier.returns.buy(), {}, "invalid_transaction_state"),
]


@pytest.mark.parametrize(("sell", "body", "error_type"), REFUSALS, ids=[refusal[2] for refusal in REFUSALS])
def test_a_refusal_is_409_for_who_waits_and_in_the_resource_for_all(
    post: Post,
    get: Get,
    cashier: Cashier,
    sell: Callable[[Cashier], object],
    body: dict[str, str],
    error_type: str,
) -> None:
    sell(cashier)
    with soon(cashier.work):
        answer = post(body, Prefer="wait=10")
    assert (answer.status_code, answer.json()["error_type"]) == (409, error_type)
    assert answer.headers["Preference-Applied"] == "wait=10"
    shown = get(f"{REFUNDS}{cashier.newest()}/")
    assert (shown["status"], shown["error_type"], shown["minutes"]) == ("refused", error_type, None)
    assert shown["message"] == answer.json()["message"]
    assert cashier.returns.gateway.creates == []


# --- repeats ---


@pytest.mark.usefixtures("purchase")
def test_a_second_click_is_the_same_refund(post: Post, cashier: Cashier) -> None:
    first, again = post({"refund_amount": "70.00"}), post({"refund_amount": 70})
    assert (again.json()["id"], again.headers["Idempotent-Replayed"]) == (first.json()["id"], "true")
    cashier.hold()
    held = post({"refund_amount": "70"})
    assert (held.json()["id"], held.json()["status"]) == (first.json()["id"], "held")
    cashier.send(UUID(first.json()["id"]))
    assert post({"refund_amount": "70.00"}).json()["id"] != first.json()["id"]


@pytest.mark.usefixtures("purchase")
def test_two_clicks_at_the_same_time_are_one_refund(post: Post, cashier: Cashier) -> None:
    together, found = threading.Barrier(2), []

    def click() -> None:
        together.wait()
        found.append(post({"refund_amount": "70.00"}))

    threads = [threading.Thread(target=click) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {answer.status_code for answer in found} == {202}
    assert len({answer.json()["id"] for answer in found}) == 1
    assert sorted("Idempotent-Replayed" in answer.headers for answer in found) == [False, True]
    cashier.work()
    assert [refund.state for refund in cashier.returns.refunds()] == [RefundState.SUCCEEDED]


@pytest.mark.usefixtures("purchase")
def test_a_key_that_comes_again_is_the_same_refund_for_ever(post: Post, cashier: Cashier) -> None:
    key = {"Idempotency-Key": "k"}
    first = post({"refund_amount": "70.00"}, **key)
    cashier.work()
    again = post({"refund_amount": "70.00"}, **key, Prefer="wait=5")
    assert (again.status_code, again.json()["id"], again.json()["status"]) == (201, first.json()["id"], "succeeded")
    assert again.headers["Idempotent-Replayed"] == "true"
    other = post({"refund_amount": "71.00"}, **key)
    assert (other.status_code, other.json()["error_type"]) == (422, "idempotency_mismatch")


# --- what is no wish ---

AMOUNTS = ["0", "0.00", 0, "-1", -1, "70.001", 70.001, "1000000.01", "9" * 30, "x", "", True, [], "1e2", " 70", "७०"]
BAD = [
    *(({"refund_amount": amount}, "refund_amount") for amount in AMOUNTS),
    *(({"reason": reason}, "reason") for reason in ("", "  ", "x" * 501, 7, None)),
    *(({"transaction_id": number}, "transaction_id") for number in ("1", 1.5, True, None, [1])),
]


@pytest.mark.usefixtures("purchase")
@pytest.mark.parametrize(("change", "field"), BAD, ids=str)
def test_what_cannot_be_read_is_named_and_nothing_is_done(
    post: Post, cashier: Cashier, change: dict[str, Any], field: str
) -> None:
    answer = post(change)
    assert (answer.status_code, answer.json()["error_type"]) == (400, "validation_error"), answer.text
    assert list(answer.json()["field_errors"]) == [field]
    assert no_act(cashier)


@pytest.mark.usefixtures("purchase")
@pytest.mark.parametrize("number", [2, 0, -1, 2**63, 10**18])
def test_a_transaction_that_is_not_there_is_404(post: Post, cashier: Cashier, number: int) -> None:
    answer = post({"transaction_id": number})
    assert (answer.status_code, answer.json()["error_type"]) == (404, "not_found")
    assert no_act(cashier)


@pytest.mark.usefixtures("purchase")
def test_staff_may_look_but_not_pay(client: TestClient, tokens: Tokens, cashier: Cashier) -> None:
    for roles in (["staff"], ["service"], ["student"]):
        answer = client.post(REFUNDS, json={}, headers=tokens.of("staff-1", roles=roles))
        assert (answer.status_code, answer.json()["error_type"]) == (403, "permission_denied")
    assert client.post(REFUNDS, json={}).status_code == 401
    assert no_act(cashier)


def no_act(cashier: Cashier) -> bool:
    with cashier.room.begin() as session:
        return bool(session.execute(text("SELECT count(*) = 0 FROM staff_act")).scalar_one())


# --- quotes ---


def test_a_quote_says_what_and_why(get: Get, cashier: Cashier) -> None:
    cashier.returns.sold(used=150)
    assert get(f"{REFUNDS}quote/?transaction_id=1") == {
        "success": True,
        "transaction_id": 1,
        "refundable_amount": "105.00",
        "unused_hours": "7.50",
        "unused_minutes": 450,
        "price": "140.00",
        "refunded_eur": "0.00",
        "fee": "0.00",
        "formula": "min(14000 x 450 / 600 - 0 fee, 10500 not given back) = 10500 cents",
    }


def test_a_quote_of_nothing_says_why(get: Get, cashier: Cashier) -> None:
    cashier.returns.sold(used=600)
    cashier.returns.buy()
    used = get(f"{REFUNDS}quote/?transaction_id=1")
    assert (used["refundable_amount"], used["reason"]) == ("0.00", "no_refundable_hours")
    unpaid = get(f"{REFUNDS}quote/?transaction_id=2")
    assert (unpaid["refundable_amount"], unpaid["formula"]) == ("0.00", None)
    assert (unpaid["reason"], unpaid["message"]) == (
        "invalid_transaction_state",
        "a purchase that is queued cannot be refunded",
    )


@pytest.mark.usefixtures("purchase")
@pytest.mark.parametrize(
    ("query", "status"),
    [("2", 404), ("0", 404), ("9" * 30, 404), ("", 400), ("x", 400), ("-1", 400), ("1.0", 400), ("٣", 400)],
)
def test_a_number_that_is_none_has_no_quote(client: TestClient, admin: dict[str, str], query: str, status: int) -> None:
    answer = client.get(f"{REFUNDS}quote/", params={"transaction_id": query}, headers=admin)
    assert answer.status_code == status
    assert client.get(f"{REFUNDS}quote/", headers=admin).status_code == 400


# --- lists ---


@pytest.fixture
def several(cashier: Cashier, post: Post) -> list[str]:
    """One that is asked for, one that was refused, one that succeeded, and one that was made at Stripe."""
    sold, other = cashier.returns.sold(), cashier.returns.sold()
    made = []
    for body in ({"refund_amount": "70.00"}, {"refund_amount": "500.00"}):
        made.append(post(body).json()["id"])
        cashier.work()
    cashier.returns.gateway.refund_elsewhere(str(other.payment_intent_id), 3_500)
    cashier.returns.hear_of_refunds(other)
    made.append(next(str(one.id) for one in cashier.returns.refunds() if one.purchase_id == other.id))
    made.append(post({"transaction_id": sold.transaction_id}).json()["id"])
    return made


def test_refunds_are_listed_also_those_that_were_made_elsewhere(get: Get, several: list[str]) -> None:
    body = get(REFUNDS)
    assert body["count"] == 4
    rows = {row["id"]: row for row in body["results"]}
    assert [rows[refund_id]["status"] for refund_id in several] == ["succeeded", "refused", "succeeded", "requested"]
    external = rows[several[2]]
    assert (external["origin"], external["reason"], external["requested_by"]) == ("external", None, None)
    assert (external["amount"], external["minutes"]) == ("35.00", 150)
    assert (rows[several[3]]["amount"], rows[several[3]]["minutes"]) == (None, None)
    assert get(f"{REFUNDS}{several[2]}/") == {"success": True, **external}


@pytest.mark.parametrize(
    ("query", "places"),
    [
        ("status=succeeded", {0, 2}),
        ("status=refused", {1}),
        ("status=requested", {3}),
        ("status=none", set()),
        ("origin=external", {2}),
        ("origin=staff&status=succeeded", {0}),
        ("origin=x", set()),
        ("transaction_id=2", {2}),
        ("transaction_id=x", set()),
        ("transaction_id=" + "9" * 30, set()),
        ("status=&origin=&transaction_id=", {0, 1, 2, 3}),
    ],
)
def test_the_list_can_be_narrowed(get: Get, several: list[str], query: str, places: set[int]) -> None:
    assert {row["id"] for row in get(f"{REFUNDS}?{query}")["results"]} == {several[place] for place in places}


@pytest.mark.usefixtures("several")
def test_the_list_has_pages(get: Get) -> None:
    first = get(f"{REFUNDS}?page_size=3")
    assert (first["count"], len(first["results"])) == (4, 3)
    last = get(first["next"])
    assert (len(last["results"]), last["next"]) == (1, None)
    seen = [row["requested_at"] for row in (*first["results"], *last["results"])]
    assert seen == sorted(seen, reverse=True)


def test_a_refund_that_is_not_there_is_404(client: TestClient, admin: dict[str, str]) -> None:
    assert client.get(f"{REFUNDS}{new_id()}/", headers=admin).status_code == 404
