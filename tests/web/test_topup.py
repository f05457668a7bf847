"""Hours bought with a saved card: one row for one wish, however often and at whatever door it is clicked."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import pytest
from httpx2 import Response
from sqlalchemy import text
from sqlmodel import col, select
from starlette.testclient import TestClient

from billing.config import Settings
from billing.db import Begin
from billing.models import Purchase
from billing.states import PurchaseState
from tests.support.doors import CONTRACT_LIMITS, DoorProcess, running_doors
from tests.support.factories import add_student, load_purchase
from tests.support.statements import counted
from tests.web.accounts import TOPUP, add_card
from tests.web.following import Worker, soon
from tests.web.support import API, Tokens, buy, wish
from web.app import create_app

PACKAGE = {"plan_id": 2}
NO_EMAIL_LIMIT = {**CONTRACT_LIMITS, "PURCHASE_LIMIT_EMAIL": "1000/h"}
CLOSED: dict[str, Any] = {"due_at": None, "hint_at": None}
S = PurchaseState
TopUp = Callable[..., Response]


@pytest.fixture
def today() -> datetime:
    return datetime.now(UTC)


@pytest.fixture
def student(begin: Begin, today: datetime) -> int:
    """With two cards, of which `pm_1` is the default."""
    student_id = add_student(begin, "ana@example.com", at=today, external_id="user-1")
    add_card(begin, student_id, "pm_1", at=today, is_default=True)
    add_card(begin, student_id, "pm_2", at=today)
    return student_id


@pytest.fixture
def top_up(client: TestClient, tokens: Tokens) -> TopUp:
    def send(body: Any = None, *, sub: str = "user-1", **headers: str) -> Response:
        return client.post(TOPUP, json=PACKAGE if body is None else body, headers={**tokens.of(sub), **headers})

    return send


def purchases(begin: Begin) -> list[Purchase]:
    with begin() as session:
        return list(session.exec(select(Purchase).order_by(col(Purchase.transaction_id))))


def test_a_top_up_is_answered_as_a_purchase_is(top_up: TopUp, client: TestClient, student: int) -> None:
    answer = top_up({**PACKAGE, "expected_price_eur": "140.00"})
    body = answer.json()
    assert (answer.status_code, body["success"], body["status"]) == (202, True, "queued")
    assert body["status_url"] == answer.headers["Location"] == f"{API}purchase/{body['task_id']}/"
    assert body.keys() == buy(client).json().keys()
    followed = client.get(body["status_url"], headers={"X-Access-Token": body["access_token"]})
    assert (followed.status_code, followed.json()["status"]) == (200, "queued")


def test_the_row_knows_its_student_his_card_and_what_was_on_sale(
    top_up: TopUp, begin: Begin, student: int, settings: Settings
) -> None:
    answer = top_up()
    row = load_purchase(begin, answer.json()["task_id"])
    assert (row.channel, row.payment_method_id, row.student_id) == ("topup", "pm_1", student)
    assert (row.scope, row.caller_sub, row.caller_email) == ("user:user-1", "user-1", "user-1@example.com")
    assert (row.buyer_name, row.buyer_email, row.caller_email_verified) == ("Ana", "ana@example.com", True)
    assert (row.plan_version_id, row.price_cents, row.minutes, row.validity_days) == (2, 14_000, 600, 45)
    assert (row.state, row.request_id) == ("queued", answer.headers["X-Request-Id"])
    assert row.give_up_at - row.accepted_at == timedelta(minutes=settings.purchase_give_up_minutes)
    assert row.due_at is not None


@pytest.mark.usefixtures("student")
def test_another_card_may_be_named(top_up: TopUp, begin: Begin) -> None:
    top_up({**PACKAGE, "payment_method_id": "pm_2"})
    assert purchases(begin)[0].payment_method_id == "pm_2"


@pytest.mark.usefixtures("student")
def test_whoever_waits_is_shown_the_purchase(top_up: TopUp, worker: Worker, begin: Begin) -> None:
    def work() -> None:
        worker.change(purchases(begin)[0], state=S.FAILED, error_type="authentication_required", **CLOSED)

    with soon(work):
        answer = top_up(Prefer="wait=10")
    assert (answer.status_code, answer.headers["Preference-Applied"]) == (201, "wait=10")
    assert (answer.json()["status"], answer.json()["error_type"]) == ("failed", "authentication_required")


# --- what is refused leaves nothing ---


REFUSED: list[tuple[str, dict[str, Any], int, str]] = [
    ("user-1", {"plan_id": 2, "payment_method_id": "pm_other"}, 404, "card_not_found"),
    ("user-1", {"plan_id": 2, "payment_method_id": "pm_nobodys"}, 404, "card_not_found"),
    ("user-1", {"plan_id": 2, "payment_method_id": "pm_gone"}, 404, "card_not_found"),
    ("nobody", {"plan_id": 2, "payment_method_id": "pm_1"}, 404, "card_not_found"),
    ("nobody", {"plan_id": 2}, 409, "no_payment_method"),
    ("user-2", {"plan_id": 2}, 409, "no_payment_method"),
    ("user-1", {"plan_id": 2, "payment_method_id": "pm_expired"}, 409, "card_expired"),
    ("user-1", {"plan_id": 5}, 409, "topup_needs_a_package"),
    ("user-1", {"plan_id": 5, "expected_price_eur": "1.00"}, 409, "topup_needs_a_package"),
    ("user-1", {"plan_id": 99}, 400, "validation_error"),
    ("user-1", {"plan_id": 2, "expected_price_eur": "139.99"}, 409, "price_changed"),
]


@pytest.mark.parametrize("has_key", [True, False])
@pytest.mark.parametrize(("sub", "body", "status", "error_type"), REFUSED)
def test_what_cannot_be_bought_is_refused_and_nothing_is_kept(
    top_up: TopUp,
    begin: Begin,
    student: int,
    today: datetime,
    sub: str,
    body: dict[str, Any],
    status: int,
    error_type: str,
    has_key: bool,
) -> None:
    other = add_student(begin, "eva@example.com", at=today, external_id="user-2")
    add_card(begin, other, "pm_other", at=today)
    add_card(begin, student, "pm_gone", at=today, detached_at=today)
    add_card(begin, student, "pm_expired", at=today, exp_year=today.year - 1)
    answer = top_up(body, sub=sub, **({"Idempotency-Key": "k"} if has_key else {}))
    assert (answer.status_code, answer.json()["error_type"]) == (status, error_type)
    assert purchases(begin) == []


def test_a_default_card_that_expired_is_refused(top_up: TopUp, begin: Begin, today: datetime) -> None:
    last_month = today.replace(day=1) - timedelta(days=1)
    facts: dict[str, Any] = {"exp_month": last_month.month, "exp_year": last_month.year, "is_default": True}
    add_card(begin, add_student(begin, at=today, external_id="user-1"), at=today, **facts)
    assert top_up().json()["error_type"] == "card_expired"


def test_a_plan_off_sale_is_unknown(top_up: TopUp, begin: Begin, student: int) -> None:
    with begin() as session:
        session.execute(text("UPDATE pricing_plan SET is_active = false WHERE id = 2"))
    try:
        answer = top_up()
    finally:
        with begin() as session:
            session.execute(text("UPDATE pricing_plan SET is_active = true WHERE id = 2"))
    assert (answer.status_code, list(answer.json()["field_errors"])) == (400, ["plan_id"])


NO_PLANS: list[object] = [None, "x", True, 2.5, [], ""]
NO_CARDS: list[object] = [7, "", "pm_\0", "card", [], {}]
NO_PRICES: list[object] = [0, -1, "x", "1.001", True]
BAD: list[tuple[object, str]] = [
    ({}, "plan_id"),
    *(({"plan_id": given}, "plan_id") for given in NO_PLANS),
    *(({**PACKAGE, "payment_method_id": given}, "payment_method_id") for given in NO_CARDS),
    *(({**PACKAGE, "expected_price_eur": given}, "expected_price_eur") for given in NO_PRICES),
]


@pytest.mark.parametrize(("body", "field"), BAD)
def test_a_field_that_cannot_be_read_is_named(top_up: TopUp, begin: Begin, body: object, field: str) -> None:
    answer = top_up(body)
    assert (answer.status_code, list(answer.json()["field_errors"])) == (400, [field])
    assert purchases(begin) == []


# --- the same wish again ---


@pytest.mark.usefixtures("student")
def test_a_double_click_is_one_charge(top_up: TopUp, begin: Begin) -> None:
    """The page may name the default card, or leave that to us: it is the same card."""
    first = top_up()
    again = top_up({**PACKAGE, "payment_method_id": "pm_1", "expected_price_eur": 140})
    assert (again.status_code, again.headers["Idempotent-Replayed"]) == (202, "true")
    assert [again.json()[name] for name in ("task_id", "access_token")] == [
        first.json()[name] for name in ("task_id", "access_token")
    ]
    assert "Idempotent-Replayed" not in first.headers
    assert len(purchases(begin)) == 1


@pytest.mark.usefixtures("student")
def test_twenty_clicks_at_once_are_one_charge(top_up: TopUp, begin: Begin) -> None:
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda _: top_up(), range(20)))
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.json()["task_id"] for answer in answers}) == 1
    assert sum("Idempotent-Replayed" in answer.headers for answer in answers) == 19
    assert len(purchases(begin)) == 1


@pytest.mark.usefixtures("student")
@pytest.mark.parametrize("other", [{"plan_id": 3}, {"plan_id": 2, "payment_method_id": "pm_2"}])
def test_another_wish_is_another_charge(top_up: TopUp, begin: Begin, other: dict[str, Any]) -> None:
    assert top_up().json()["task_id"] != top_up(other).json()["task_id"]
    assert len(purchases(begin)) == 2


ENDED: list[tuple[dict[str, Any], bool]] = [
    ({"state": S.FAILED, **CLOSED}, False),
    ({"state": S.CANCELLED, **CLOSED}, False),
    ({"cancel_requested_at": datetime(2026, 3, 2, tzinfo=UTC)}, False),
    ({"state": S.PENDING, "payment_intent_id": "pi_1"}, True),
    ({"state": S.PROCESSING, "payment_intent_id": "pi_1"}, True),
]


@pytest.mark.usefixtures("student")
@pytest.mark.parametrize(("facts", "is_same"), ENDED)
def test_the_same_wish_is_the_same_purchase_for_a_minute_unless_it_came_to_nothing(
    top_up: TopUp, begin: Begin, facts: dict[str, Any], is_same: bool
) -> None:
    """Whoever was declined, mends his card and clicks again, means it."""
    first = top_up()
    with begin() as session:
        row = session.get_one(Purchase, purchases(begin)[0].id)
        for name, value in facts.items():
            setattr(row, name, value)
    again = top_up()
    assert (again.json()["task_id"] == first.json()["task_id"]) is is_same
    assert len(purchases(begin)) == (1 if is_same else 2)


@pytest.mark.usefixtures("student")
@pytest.mark.parametrize(("seconds", "is_same"), [(30, True), (61, False)])
def test_after_a_minute_the_same_wish_is_another_charge(
    top_up: TopUp, begin: Begin, seconds: int, is_same: bool
) -> None:
    first = top_up()
    with begin() as session:
        session.get_one(Purchase, purchases(begin)[0].id).accepted_at -= timedelta(seconds=seconds)
    assert (top_up().json()["task_id"] == first.json()["task_id"]) is is_same


@pytest.mark.usefixtures("student")
def test_a_repeat_of_a_key_gets_the_same_task(top_up: TopUp, begin: Begin) -> None:
    """Even when its card is gone by then."""
    first = top_up(**{"Idempotency-Key": "order-1"})
    with begin() as session:
        session.execute(text("UPDATE payment_method SET is_default = false, detached_at = now()"))
        session.execute(text("UPDATE purchase SET accepted_at = accepted_at - interval '1 hour'"))
    again = top_up({"plan_id": "2", "payment_method_id": None}, **{"Idempotency-Key": '"order-1"'})
    assert (again.json()["task_id"], again.headers["Idempotent-Replayed"]) == (first.json()["task_id"], "true")
    assert len(purchases(begin)) == 1


@pytest.mark.usefixtures("student")
def test_two_keys_are_two_charges(top_up: TopUp, begin: Begin) -> None:
    for key in ("a", "b"):
        top_up(**{"Idempotency-Key": key})
    assert len(purchases(begin)) == 2


@pytest.mark.usefixtures("student")
def test_a_key_with_another_body_is_a_mistake(top_up: TopUp, client: TestClient, begin: Begin, tokens: Tokens) -> None:
    """A key of a purchase at the checkout too: one of both requests would not be done."""
    key = {"Idempotency-Key": "order-1"}
    top_up(**key)
    others = [top_up({"plan_id": 3}, **key), top_up({**PACKAGE, "payment_method_id": "pm_1"}, **key)]
    others.append(buy(client, **key, **tokens.of()))
    buy(client, key="order-2", **tokens.of())
    others.append(top_up(**{"Idempotency-Key": "order-2"}))
    assert {(answer.status_code, answer.json()["error_type"]) for answer in others} == {(422, "idempotency_mismatch")}
    assert [row.channel for row in purchases(begin)] == ["topup", "checkout"]


@pytest.mark.usefixtures("student")
def test_a_refused_key_is_free_again(top_up: TopUp) -> None:
    key = {"Idempotency-Key": "order-1"}
    assert top_up({**PACKAGE, "expected_price_eur": 1}, **key).status_code == 409
    assert top_up(**key).status_code == 202


@pytest.mark.usefixtures("student")
def test_the_clicks_of_different_people_never_meet(top_up: TopUp, begin: Begin, today: datetime) -> None:
    other = add_student(begin, "eva@example.com", at=today, external_id="user-2")
    add_card(begin, other, "pm_3", at=today, is_default=True)
    key = {"Idempotency-Key": "order-1"}
    assert top_up(**key).json()["task_id"] != top_up(sub="user-2", **key).json()["task_id"]


@pytest.mark.usefixtures("student")
def test_a_top_up_is_four_statements_in_one_transaction(top_up: TopUp) -> None:
    """The student, his card, the same wish, the row."""
    top_up()
    with counted() as statements:
        top_up({"plan_id": 1})
    assert len(statements) == 4


# --- limits ---


@pytest.fixture
def strict(settings: Settings) -> Iterator[TestClient]:
    changes = {"purchase_limit_user": "3/h", "purchase_limit_email": "1000/h"}
    with TestClient(create_app(settings.model_copy(update=changes)), raise_server_exceptions=False) as client:
        yield client


@pytest.mark.usefixtures("student")
def test_top_ups_count_as_purchases_do(strict: TestClient, tokens: Tokens, begin: Begin) -> None:
    """What is refused or repeated takes no place, and whoever repeats a wish is answered beyond the limit."""
    headers = tokens.of()
    assert strict.post(TOPUP, json={"plan_id": 99}, headers=headers).status_code == 400
    assert buy(strict, wish("other@example.com"), **headers).status_code == 202
    for plan in (1, 1, 2, 2):
        assert strict.post(TOPUP, json={"plan_id": plan}, headers=headers).status_code == 202
    refused = strict.post(TOPUP, json={"plan_id": 3}, headers=headers)
    assert (refused.status_code, refused.json()["error_type"]) == (429, "rate_limit_error")
    assert int(refused.headers["Retry-After"]) > 0
    again = strict.post(TOPUP, json={"plan_id": 1}, headers=headers)
    assert (again.status_code, again.headers["Idempotent-Replayed"]) == (202, "true")
    assert buy(strict, wish("other@example.com"), **headers).status_code == 429
    assert len(purchases(begin)) == 3


@pytest.mark.usefixtures("student")
def test_a_caller_whose_token_has_no_address_is_counted_by_himself(
    settings: Settings, tokens: Tokens, begin: Begin, today: datetime
) -> None:
    """Those without one share no window."""
    add_card(begin, add_student(begin, "eva@example.com", at=today, external_id="user-2"), "pm_3", at=today)
    few = settings.model_copy(update={"purchase_limit_email": "1/h"})
    with TestClient(create_app(few), raise_server_exceptions=False) as client:
        for sub, card in (("user-1", "pm_1"), ("user-1", "pm_2"), ("user-2", "pm_3")):
            headers = tokens.of(sub, email=None, email_verified=None)
            body = {**PACKAGE, "payment_method_id": card}
            assert client.post(TOPUP, json=body, headers=headers).status_code == 202


# --- two doors ---


@pytest.fixture
def doors(settings: Settings) -> Iterator[list[DoorProcess]]:
    with running_doors(settings, settings.state_dir, 2, **NO_EMAIL_LIMIT) as running:
        yield running


@pytest.mark.usefixtures("student")
def test_a_double_click_over_two_doors_is_one_charge(doors: list[DoorProcess], tokens: Tokens, begin: Begin) -> None:
    """Behind a balancer the second click meets another process."""
    headers = tokens.of()

    def click(door: DoorProcess) -> httpx2.Response:
        return httpx2.post(f"{door.url}{TOPUP}", json=PACKAGE, headers=headers, timeout=20)

    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(click, doors * 6))
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.json()["task_id"] for answer in answers}) == 1
    assert sum("Idempotent-Replayed" not in answer.headers for answer in answers) == 1
    assert len(purchases(begin)) == 1
