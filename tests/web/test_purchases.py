"""A purchase is a committed row, or a refusal that says why."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import text
from starlette.testclient import TestClient

from billing.db import Begin
from billing.models import Purchase
from tests.support.factories import load_purchase
from tests.web.support import API, INITIATE, Tokens, buy, wish

HUGE = 2**31

WRONG_BODIES: list[object] = [
    [],
    "text",
    {},
    {"plan_id": 2},
    {"plan_id": 2, "student_info": None},
    {"plan_id": 2, "student_info": []},
    {"plan_id": 2, "student_info": "Ana"},
    {"plan_id": 2, "student_info": {"name": 7, "email": "ana@example.com"}},
    {"plan_id": 2, "student_info": {"name": "Ana", "email": ["ana@example.com"]}},
    wish(plan_id=True),
    wish(plan_id=2.0),
    wish(plan_id="2.0"),
    wish(plan_id=""),
    wish(plan_id=" 2"),
    wish(plan_id="٢"),
    wish(plan_id=None),
    wish(plan_id={}),
    wish(plan_id="9" * 5000),
    wish(expected_price_eur="0"),
    wish(expected_price_eur=0),
    wish(expected_price_eur=-140),
    wish(expected_price_eur="-140.00"),
    wish(expected_price_eur="140.001"),
    wish(expected_price_eur=140.001),
    wish(expected_price_eur=1e300),
    wish(expected_price_eur=1e-300),
    wish(expected_price_eur="1e2"),
    wish(expected_price_eur=True),
    wish(expected_price_eur="€140"),
    wish(expected_price_eur=[140]),
    wish(expected_price_eur="٣"),
]


def count_purchases(begin: Begin) -> int:
    with begin() as session:
        return int(session.execute(text("SELECT count(*) FROM purchase")).scalar_one())


def bought(begin: Begin, answer: Any) -> Purchase:
    return load_purchase(begin, answer.json()["task_id"])


def test_a_guest_gets_everything_needed_to_follow_his_purchase(client: TestClient) -> None:
    answer = buy(client)
    body = answer.json()
    assert answer.status_code == 202
    assert (body["success"], body["status"]) == (True, "queued")
    assert body["status_url"] == answer.headers["Location"] == f"{API}purchase/{body['task_id']}/"
    assert body["events_url"] == f"{body['status_url']}events/"
    assert answer.headers["Retry-After"] == "1"
    assert "Idempotent-Replayed" not in answer.headers
    assert body["plan_details"] == {
        "id": 2,
        "name": "Standard Package",
        "description": "Ten hours for a steady month and a half.",
        "plan_type": "package",
        "hours_included": "10.00",
        "price_eur": "140.00",
        "validity_days": 45,
        "price_per_hour": "14.00",
    }


def test_the_row_keeps_who_asked_and_what_was_on_sale(client: TestClient, begin: Begin, tokens: Tokens) -> None:
    headers = {**tokens.of("user-9", email=" Parent@Example.COM "), "X-Request-Id": "order-1"}
    row = bought(begin, buy(client, wish("  Child@Example.com ", plan_id="2"), **headers))
    assert (row.scope, row.caller_sub, row.request_id) == ("user:user-9", "user-9", "order-1")
    assert (row.caller_email, row.caller_email_verified) == ("parent@example.com", True)
    assert (row.buyer_email, row.buyer_name) == ("child@example.com", "Ana Lúcia")
    assert (row.price_cents, row.minutes, row.validity_days) == (14_000, 600, 45)


def test_nothing_a_caller_sends_changes_price_hours_or_student(client: TestClient, begin: Begin) -> None:
    cheap: dict[str, object] = {
        "price_eur": "0.01",
        "amount": 1,
        "hours_included": 999,
        "student_id": 7,
        "currency": "usd",
        "state": "completed",
    }
    row = bought(begin, buy(client, wish(**cheap)))
    assert (row.price_cents, row.minutes, row.student_id, row.currency, row.state) == (
        14_000,
        600,
        None,
        "eur",
        "queued",
    )


@pytest.mark.parametrize("price", ["140.00", "140", "140.0", 140, 140.0, None])
def test_the_price_may_be_written_in_any_usual_way(shared_client: TestClient, price: object) -> None:
    assert buy(shared_client, wish(expected_price_eur=price)).status_code == 202


@pytest.mark.parametrize(("price", "error_type"), [("139.99", "price_changed"), (14000, "price_changed")])
def test_another_price_than_the_one_shown_is_refused(shared_client: TestClient, price: object, error_type: str) -> None:
    """Nobody is charged what he did not see."""
    answer = buy(shared_client, wish(expected_price_eur=price))
    assert (answer.status_code, answer.json()["error_type"]) == (409, error_type)


@pytest.mark.parametrize("plan", [999, "999", 0, -1, HUGE, str(HUGE), 10**18, -(10**18), "0"])
def test_an_unknown_plan_is_a_wrong_field(shared_client: TestClient, plan: object) -> None:
    answer = buy(shared_client, wish(plan_id=plan))
    assert (answer.status_code, answer.json()["error_type"]) == (400, "validation_error")
    assert list(answer.json()["field_errors"]) == ["plan_id"]


def test_a_subscription_is_bought_as_a_package_is(client: TestClient, begin: Begin, tokens: Tokens) -> None:
    """By guests too: the first invoice's client secret comes from the same resource."""
    for headers in ({}, tokens.of("user-9")):
        answer = buy(client, wish(plan_id=5, expected_price_eur="199.00"), **headers)
        assert (answer.status_code, answer.json()["plan_details"]["plan_type"]) == (202, "subscription")
        row = bought(begin, answer)
        assert (row.channel, row.plan_type, row.price_cents, row.validity_days) == (
            "checkout",
            "subscription",
            19_900,
            None,
        )


def test_the_first_wrong_field_is_named_and_all_of_them_are_listed(shared_client: TestClient) -> None:
    answer = buy(shared_client, {"plan_id": "two", "student_info": {"name": "", "email": "nobody"}})
    body = answer.json()
    assert answer.status_code == 400
    assert body["message"] == "plan_id: must be an integer"
    assert list(body["field_errors"]) == ["plan_id", "student_info.name", "student_info.email"]


def test_a_wrong_body_is_a_clear_400_and_leaves_nothing(client: TestClient, begin: Begin) -> None:
    for body in WRONG_BODIES:
        answer = buy(client, body)
        assert (answer.status_code, answer.json()["error_type"]) == (400, "validation_error"), body
    assert count_purchases(begin) == 0


def test_a_bad_token_is_refused_although_guests_may_buy(client: TestClient, begin: Begin) -> None:
    """Who says who he is means to be known: a purchase of nobody's would surprise him."""
    assert buy(client, Authorization="Bearer rubbish").status_code == 401
    assert count_purchases(begin) == 0


def test_a_repeat_of_a_key_gets_the_same_task(client: TestClient, begin: Begin) -> None:
    """A buyer whose network broke may press the button again."""
    first, again = buy(client, key="order-1"), buy(client, wish("ANA@example.com", plan_id="2"), key="order-1")
    assert again.status_code == 202
    assert again.headers["Idempotent-Replayed"] == "true"
    assert [first.json()[name] for name in ("task_id", "access_token")] == [
        again.json()[name] for name in ("task_id", "access_token")
    ]
    assert count_purchases(begin) == 1


def test_a_key_may_be_quoted(shared_client: TestClient) -> None:
    first, again = buy(shared_client, key='a"b\\c'), buy(shared_client, key='"a\\"b\\\\c"')
    assert again.json()["task_id"] == first.json()["task_id"]


def test_the_same_key_with_another_body_is_a_mistake(client: TestClient, begin: Begin) -> None:
    buy(client, key="order-1")
    for other in (
        wish(plan_id=3),
        wish(expected_price_eur="140"),
        wish(student_info={"name": "Eva", "email": "ana@example.com"}),
    ):
        answer = buy(client, other, key="order-1")
        assert (answer.status_code, answer.json()["error_type"]) == (422, "idempotency_mismatch")
    assert count_purchases(begin) == 1


def test_140_and_140_00_are_the_same_request(shared_client: TestClient) -> None:
    buy(shared_client, wish(expected_price_eur=140), key="order-of-140")
    assert buy(shared_client, wish(expected_price_eur="140.00"), key="order-of-140").status_code == 202


def test_keys_of_different_people_never_meet(shared_client: TestClient, tokens: Tokens) -> None:
    """Otherwise a key guessed would show a stranger's purchase."""
    answers = [
        buy(shared_client, key="order-of-many"),
        buy(shared_client, wish("eva@example.com"), key="order-of-many"),
        buy(shared_client, key="order-of-many", **tokens.of("user-1")),
        buy(shared_client, key="order-of-many", **tokens.of("ana@example.com")),
    ]
    assert len({answer.json()["task_id"] for answer in answers}) == 4


def test_twenty_at_once_with_one_key_make_one_purchase(client: TestClient, begin: Begin) -> None:
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda _: buy(client, key="order-1"), range(20)))
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.json()["task_id"] for answer in answers}) == 1
    assert sum("Idempotent-Replayed" in answer.headers for answer in answers) == 19
    assert count_purchases(begin) == 1


def test_without_a_key_each_request_is_a_purchase(client: TestClient, begin: Begin) -> None:
    buy(client)
    buy(client)
    assert count_purchases(begin) == 2


@pytest.mark.parametrize(
    "key", ["", " ", "a b", "é", "x" * 256, '"', '"open', '""', '"a b"', '"a"b"', '"a\\b"', "a\tb"]
)
def test_a_key_of_another_kind_is_a_wrong_header(shared_client: TestClient, key: str) -> None:
    answer = shared_client.post(INITIATE, json=wish(), headers=[(b"Idempotency-Key", key.encode())])
    assert (answer.status_code, answer.json()["message"].split(":")[0]) == (400, "Idempotency-Key")


def test_two_keys_are_one_too_many(shared_client: TestClient) -> None:
    headers = [(b"Idempotency-Key", b"a"), (b"Idempotency-Key", b"b")]
    assert shared_client.post(INITIATE, json=wish(), headers=headers).status_code == 400
