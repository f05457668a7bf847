"""Saved cards as their owner sees them, and what whoever waits is shown."""

from datetime import UTC, datetime, timedelta

import pytest
from starlette.testclient import TestClient

from billing.config import Settings
from billing.db import Begin
from billing.secrets import Vault
from tests.support.factories import add_student
from tests.web.accounts import CARDS, Clerk, act_path, add_card
from tests.web.following import soon
from tests.web.support import Tokens

DAY = timedelta(days=1)


@pytest.fixture
def today() -> datetime:
    return datetime.now(UTC)


@pytest.fixture
def clerk(begin: Begin, valkey_url: str, vault: Vault, today: datetime) -> Clerk:
    return Clerk(begin, valkey_url, vault, today)


@pytest.fixture
def student(begin: Begin, today: datetime) -> int:
    return add_student(begin, at=today, external_id="user-1")


def listed(client: TestClient, headers: dict[str, str]) -> list[dict[str, object]]:
    answer = client.get(CARDS, headers=headers)
    assert (answer.status_code, answer.json()["success"]) == (200, True)
    cards: list[dict[str, object]] = answer.json()["payment_methods"]
    return cards


def test_the_default_card_is_first_and_what_was_removed_is_gone(
    client: TestClient, begin: Begin, tokens: Tokens, student: int, today: datetime
) -> None:
    add_card(begin, student, "pm_old", at=today - 3 * DAY, last4="1111")
    add_card(begin, student, "pm_default", at=today - 2 * DAY, is_default=True, brand="mastercard")
    add_card(begin, student, "pm_new", at=today - DAY)
    add_card(begin, student, "pm_gone", at=today, detached_at=today)
    cards = listed(client, tokens.of())
    assert [card["id"] for card in cards] == ["pm_default", "pm_new", "pm_old"]
    assert cards[0] == {
        "id": "pm_default",
        "brand": "mastercard",
        "last4": "4242",
        "exp_month": 8,
        "exp_year": today.year + 3,
        "is_default": True,
        "is_expired": False,
    }


def test_a_card_is_good_to_the_end_of_its_month(
    client: TestClient, begin: Begin, tokens: Tokens, student: int, today: datetime
) -> None:
    last_month = today.replace(day=1) - DAY
    add_card(begin, student, "pm_this", at=today, exp_month=today.month, exp_year=today.year)
    add_card(begin, student, "pm_last", at=today, exp_month=last_month.month, exp_year=last_month.year)
    assert {card["id"]: card["is_expired"] for card in listed(client, tokens.of())} == {
        "pm_this": False,
        "pm_last": True,
    }


def test_who_never_saved_one_has_none(shared_client: TestClient, tokens: Tokens) -> None:
    assert listed(shared_client, tokens.of("nobody")) == []


def test_a_browser_gets_all_that_it_needs_to_save_a_card(
    client: TestClient, tokens: Tokens, clerk: Clerk, settings: Settings
) -> None:
    with soon(lambda: clerk.do({"setup_intent_id": "seti_1"}, "seti_1_secret_2")):
        answer = client.post(CARDS, json={}, headers={**tokens.of(), "Prefer": "wait=10"})
    body = answer.json()
    assert (answer.status_code, answer.headers["Preference-Applied"]) == (201, "wait=10")
    assert answer.headers["Location"] == act_path(clerk.newest().id)
    assert (body["client_secret"], body["setup_intent_id"]) == ("seti_1_secret_2", "seti_1")
    assert (body["publishable_key"], body["status"]) == (settings.stripe_publishable_key, "done")


def test_a_card_that_was_attached_is_shown_with_the_others(
    client: TestClient, begin: Begin, tokens: Tokens, clerk: Clerk, student: int, today: datetime
) -> None:
    add_card(begin, student, "pm_first", at=today - DAY, is_default=True)

    def work() -> None:
        add_card(begin, student, "pm_9", at=today)
        clerk.do({"payment_method_id": "pm_9", "is_default": False})

    with soon(work):
        answer = client.post(CARDS, json={"payment_method_id": "pm_9"}, headers={**tokens.of(), "Prefer": "wait=10"})
    assert answer.status_code == 201
    assert [card["id"] for card in answer.json()["payment_methods"]] == ["pm_first", "pm_9"]


@pytest.mark.parametrize(("method", "more"), [("POST", "set-default/"), ("DELETE", "")])
def test_a_card_that_was_changed_is_shown_with_the_others(
    client: TestClient,
    begin: Begin,
    tokens: Tokens,
    clerk: Clerk,
    student: int,
    today: datetime,
    method: str,
    more: str,
) -> None:
    add_card(begin, student, "pm_1", at=today)
    with soon(clerk.do):
        answer = client.request(method, f"{CARDS}pm_1/{more}", headers={**tokens.of(), "Prefer": "wait=10"})
    assert (answer.status_code, answer.json()["payment_methods"][0]["id"]) == (200, "pm_1")


@pytest.mark.parametrize("card_id", ["card_1", "1", "pm_", "pm-1", "pm_%00", "pm_é", "pm_" + "x" * 300])
def test_what_is_no_name_of_a_card_is_not_there(shared_client: TestClient, tokens: Tokens, card_id: str) -> None:
    answer = shared_client.delete(f"{CARDS}{card_id}/", headers=tokens.of())
    assert (answer.status_code, answer.json()["error_type"]) == (404, "card_not_found")


def test_a_card_of_ones_own_that_was_removed_is_the_workers_to_judge(
    client: TestClient, begin: Begin, tokens: Tokens, clerk: Clerk, student: int, today: datetime
) -> None:
    """Otherwise a repeat of the key that removed it would be told that there never was one."""
    add_card(begin, student, "pm_1", at=today, detached_at=today)
    assert client.delete(f"{CARDS}pm_1/", headers=tokens.of()).status_code == 202
