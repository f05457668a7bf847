"""A subscription as its owner sees it: what is paid, what is due, and what comes next."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from starlette.testclient import TestClient

from billing.db import Begin
from billing.models import Subscription
from billing.secrets import Vault
from billing.states import PurchaseChannel, PurchaseState, SubscriptionStatus
from tests.support.factories import add_purchase, add_student
from tests.support.statements import counted
from tests.web.accounts import (
    MONTH,
    MONTHLY_CENTS,
    STUDENT,
    SUBSCRIPTION,
    Clerk,
    add_period,
    add_subscription,
)
from tests.web.following import soon
from tests.web.reading import written
from tests.web.support import API, Tokens

DAY = timedelta(days=1)
BALANCE = f"{API}student-balance/"
DUE = {"invoice_id": "in_9", "invoice_cents": MONTHLY_CENTS, "invoice_attempts": 2}
S = SubscriptionStatus


@pytest.fixture
def today() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)


@pytest.fixture
def clerk(begin: Begin, valkey_url: str, vault: Vault, today: datetime) -> Clerk:
    return Clerk(begin, valkey_url, vault, today)


@pytest.fixture
def student(begin: Begin, today: datetime) -> int:
    return add_student(begin, at=today, external_id="user-1")


def seen(client: TestClient, headers: dict[str, str]) -> Any:
    answer = client.get(SUBSCRIPTION, headers=headers)
    assert (answer.status_code, answer.json()["success"]) == (200, True)
    return answer.json()["subscription"]


def info(client: TestClient, headers: dict[str, str]) -> Any:
    return client.get(BALANCE, headers=headers).json()["subscription_info"]


def test_who_never_subscribed_has_none(shared_client: TestClient, tokens: Tokens) -> None:
    assert seen(shared_client, tokens.of("nobody")) is None


def test_a_paid_subscription_shows_its_plan_its_period_and_its_payments(
    client: TestClient, begin: Begin, tokens: Tokens, student: int, today: datetime
) -> None:
    subscription = add_subscription(begin, student, at=today, began_at=today - 40 * DAY)
    renewal = {"channel": PurchaseChannel.RENEWAL, "paid_at": today}
    add_period(begin, student, subscription, at=today - 40 * DAY)
    add_period(begin, student, subscription, at=today - 10 * DAY, **renewal)
    assert seen(client, tokens.of()) == {
        "plan": {
            "id": 5,
            "name": "Monthly Unlimited",
            "description": "Thirty hours, new each month.",
            "plan_type": "subscription",
            "hours_included": "30.00",
            "price_eur": "199.00",
            "validity_days": None,
            "price_per_hour": "6.63",
        },
        "next_plan": None,
        "status": "active",
        "current_period_start": written(today - 10 * DAY),
        "current_period_end": written(today + 20 * DAY),
        "cancel_at_period_end": False,
        "is_paused": False,
        "hours_this_period": {"hours_included": "30.00", "hours_consumed": "1.50", "hours_remaining": "28.50"},
        "dunning": None,
        "ended_at": None,
        "payments": [2, 1],
    }


def test_an_unpaid_first_invoice_is_no_payment(
    client: TestClient, begin: Begin, tokens: Tokens, student: int, today: datetime
) -> None:
    subscription = add_subscription(begin, student, at=today, status=S.INCOMPLETE)
    facts: dict[str, Any] = {"plan_version_id": 5, "plan_type": "subscription", "validity_days": None}
    add_purchase(begin, at=today, state=PurchaseState.PENDING, subscription_id=subscription, **facts)
    shown = seen(client, tokens.of())
    assert (shown["status"], shown["payments"], shown["hours_this_period"]) == ("incomplete", [], None)
    assert shown["plan"]["id"] == 5


def test_the_next_plan_shows_until_the_period_ends(
    client: TestClient, begin: Begin, tokens: Tokens, student: int, today: datetime
) -> None:
    """What is paid is of the old plan, whatever the subscription is charged by next."""
    subscription = add_subscription(begin, student, at=today, plan_version_id=STUDENT)
    add_period(begin, student, subscription, at=today - 10 * DAY)
    shown = seen(client, tokens.of())
    assert (shown["plan"]["id"], shown["next_plan"]["id"]) == (5, 6)
    assert (info(client, tokens.of())["plan_name"], info(client, tokens.of())["next_charge_eur"]) == (
        "Monthly Unlimited",
        "119.00",
    )
    with begin() as session:
        session.get_one(Subscription, subscription).cancel_at_period_end = True
    assert seen(client, tokens.of())["next_plan"] is None


def test_a_price_that_is_none_of_ours_has_no_plan(
    client: TestClient, begin: Begin, tokens: Tokens, student: int, today: datetime
) -> None:
    add_subscription(begin, student, at=today, plan_version_id=None)
    shown = seen(client, tokens.of())
    assert (shown["plan"], shown["next_plan"]) == (None, None)
    assert info(client, tokens.of())["next_charge_eur"] is None


def test_what_is_due_shows_with_what_a_browser_pays_it_by(
    client: TestClient, begin: Begin, tokens: Tokens, vault: Vault, student: int, today: datetime
) -> None:
    sealed = vault.seal("pi_9_secret_9")
    due = {**DUE, "next_attempt_at": today + DAY, "invoice_secret": sealed}
    subscription = add_subscription(begin, student, at=today, status=S.PAST_DUE, **due)
    assert seen(client, tokens.of())["dunning"] == {
        "amount_due": "199.00",
        "attempts": 2,
        "next_attempt_at": written(today + DAY),
        "client_secret": "pi_9_secret_9",
    }
    with begin() as session:
        row = session.get_one(Subscription, subscription)
        row.invoice_secret, row.next_attempt_at = b"sealed with a key that is gone", None
    dunning = seen(client, tokens.of())["dunning"]
    assert (dunning["client_secret"], dunning["next_attempt_at"]) == (None, None)


def test_what_has_ended_asks_for_no_payment(
    client: TestClient, begin: Begin, tokens: Tokens, student: int, today: datetime
) -> None:
    add_subscription(begin, student, at=today, status=S.CANCELED, ended_at=today - DAY, **DUE)
    shown = seen(client, tokens.of())
    assert (shown["status"], shown["ended_at"], shown["dunning"]) == ("canceled", written(today - DAY), None)


def test_the_one_that_goes_on_comes_before_a_newer_one_that_does_not(
    client: TestClient, begin: Begin, tokens: Tokens, student: int, today: datetime
) -> None:
    add_subscription(begin, student, at=today - MONTH, plan_version_id=6, status=S.CANCELED, ended_at=today)
    assert seen(client, tokens.of())["plan"]["id"] == 6
    add_subscription(begin, student, at=today - 9 * DAY, status=S.CANCELED, ended_at=today)
    assert seen(client, tokens.of())["plan"]["id"] == 5
    add_subscription(begin, student, at=today - 2 * MONTH, plan_version_id=7)
    assert seen(client, tokens.of())["plan"]["id"] == 7
    assert info(client, tokens.of())["plan_name"] == "Family Subscription"


def test_a_balance_tells_of_the_subscription(
    client: TestClient, begin: Begin, tokens: Tokens, student: int, today: datetime
) -> None:
    add_subscription(begin, student, at=today)
    assert info(client, tokens.of()) == {
        "is_active": True,
        "status": "active",
        "plan_name": "Monthly Unlimited",
        "current_period_end": written(today + 20 * DAY),
        "cancel_at_period_end": False,
        "is_paused": False,
        "next_charge_eur": "199.00",
    }


UNCHARGED: list[dict[str, Any]] = [
    {"cancel_at_period_end": True},
    {"is_paused": True},
    {"cancel_requested_at": datetime(2026, 3, 2, tzinfo=UTC)},
    {"status": S.CANCELED, "ended_at": datetime(2026, 3, 2, tzinfo=UTC)},
    {"status": S.INCOMPLETE},
]


@pytest.mark.parametrize("facts", UNCHARGED)
def test_what_will_not_be_charged_shows_no_next_charge(
    client: TestClient, begin: Begin, tokens: Tokens, student: int, today: datetime, facts: dict[str, Any]
) -> None:
    add_subscription(begin, student, at=today, **facts)
    shown = info(client, tokens.of())
    assert shown["next_charge_eur"] is None
    assert shown["is_active"] is ("status" not in facts)


@pytest.mark.parametrize("status", [S.PAST_DUE, S.UNPAID, S.TRIALING, S.PAUSED])
def test_what_goes_on_is_active(
    client: TestClient, begin: Begin, tokens: Tokens, student: int, today: datetime, status: SubscriptionStatus
) -> None:
    add_subscription(begin, student, at=today, status=status)
    assert (info(client, tokens.of())["is_active"], info(client, tokens.of())["status"]) == (True, status)


def test_a_balance_with_a_subscription_is_one_statement(
    client: TestClient, begin: Begin, tokens: Tokens, student: int, today: datetime
) -> None:
    add_period(begin, student, add_subscription(begin, student, at=today), at=today - DAY)
    info(client, tokens.of())
    with counted() as statements:
        info(client, tokens.of())
    assert len(statements) == 1
    with counted() as statements:
        seen(client, tokens.of())
    assert len(statements) == 2


@pytest.mark.parametrize("name", ["cancel", "resume", "pause", "change-plan", "pay"])
def test_whoever_waits_is_shown_the_subscription_as_it_is_then(
    client: TestClient, begin: Begin, tokens: Tokens, clerk: Clerk, student: int, today: datetime, name: str
) -> None:
    subscription = add_subscription(begin, student, at=today)

    def work() -> None:
        with begin() as session:
            session.get_one(Subscription, subscription).is_paused = True
        clerk.do()

    with soon(work):
        headers = {**tokens.of(), "Prefer": "wait=10"}
        answer = client.post(f"{SUBSCRIPTION}{name}/", json={"plan_id": 6}, headers=headers)
    assert (answer.status_code, answer.json()["subscription"]["is_paused"]) == (200, True)


def test_a_wish_to_cancel_puts_up_the_fence_as_it_is_accepted(
    client: TestClient, begin: Begin, tokens: Tokens, student: int, today: datetime
) -> None:
    """From the answer on nothing is charged any more, however long the work takes."""
    subscription = add_subscription(begin, student, at=today)
    assert client.post(f"{SUBSCRIPTION}cancel/", headers=tokens.of("user-2")).status_code == 202
    with begin() as session:
        assert session.get_one(Subscription, subscription).cancel_requested_at is None
    assert client.post(f"{SUBSCRIPTION}cancel/", headers=tokens.of()).status_code == 202
    with begin() as session:
        assert session.get_one(Subscription, subscription).cancel_requested_at is not None
