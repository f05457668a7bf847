"""What a student sees of money that goes back: sums, packages, history, the purchase's timeline and its stream."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest
from starlette.testclient import TestClient

from billing.db import Begin
from billing.deployment import Deployment
from billing.models import Purchase
from billing.purchases.abandon import close_abandoned
from billing.secrets import Vault
from tests.support.factories import add_student, intent_body
from tests.support.office import Returns, intent_of
from tests.support.records import DAY
from tests.web.following import events_in, path_of, soon
from tests.web.reading import HISTORY, LEDGER, PURCHASES, seen
from tests.web.support import API, Tokens

BALANCE = f"{API}student-balance/"


@pytest.fixture
def returns(begin: Begin, deployment: Deployment, vault: Vault) -> Returns:
    return Returns(begin, deployment, vault, datetime.now(UTC))


@dataclass
class Student:
    """Somebody who bought one package, and what he reads."""

    client: TestClient
    token: dict[str, str]
    key: dict[str, str]
    purchase: Purchase

    def read(self, path: str, **query: Any) -> dict[str, Any]:
        return seen(self.client, path, self.token, **query)

    @property
    def sums(self) -> dict[str, str]:
        return {name: value for name, value in self.read(BALANCE)["balance_summary"].items() if value != "0.00"}

    @property
    def packages(self) -> list[tuple[int, str]]:
        active = self.read(BALANCE)["package_status"]["active_packages"]
        assert self.read(PURCHASES, active_only="true")["count"] == len(active)
        return [(package["transaction_id"], package["hours_remaining"]) for package in active]

    @property
    def bought(self) -> tuple[str, str]:
        """Status and refunded amount, which the history and the purchase itself agree on."""
        (row,) = self.read(HISTORY)["results"]
        status = self.status
        assert (row["payment_status"], row["refunded_eur"]) == (status["status"], status["refunded_eur"])
        return row["payment_status"], row["refunded_eur"]

    @property
    def status(self) -> dict[str, Any]:
        answer = self.client.get(path_of(self.purchase), headers=self.key)
        assert answer.status_code == 200
        body: dict[str, Any] = answer.json()
        return body

    @property
    def steps(self) -> list[str]:
        return [step["step"] for step in self.status["timeline"]]

    @property
    def kinds(self) -> list[tuple[str, int]]:
        """Of the ledger's entries, the oldest first."""
        return [(row["kind"], row["minutes"]) for row in reversed(self.read(LEDGER)["results"])]


@pytest.fixture
def student(returns: Returns, client: TestClient, tokens: Tokens, vault: Vault) -> Student:
    """Of ten hours one was used."""
    begin, now = returns.desk.begin, returns.desk.now
    owner = add_student(begin, "user-1@example.com", at=now, external_id="user-1")
    purchase = returns.sold(student_id=owner, used=60)
    return Student(client, tokens.of(), {"X-Access-Token": vault.access_token(purchase.id)}, purchase)


def test_a_refund_on_its_way_holds_hours(returns: Returns, student: Student) -> None:
    """Neither spendable nor gone: nobody books a lesson on money that leaves."""
    returns.hold(student.purchase, 6_300)
    assert student.sums == {
        "hours_purchased": "10.00",
        "hours_consumed": "1.00",
        "hours_held": "4.50",
        "remaining_hours": "4.50",
        "balance_amount": "140.00",
    }
    assert (student.packages, student.bought) == ([(1, "4.50")], ("completed", "0.00"))


def test_a_part_that_went_back(returns: Returns, student: Student) -> None:
    returns.refunded(student.purchase, 6_300)
    assert student.sums == {
        "hours_purchased": "10.00",
        "hours_consumed": "1.00",
        "hours_refunded": "4.50",
        "remaining_hours": "4.50",
        "balance_amount": "77.00",
    }
    assert (student.packages, student.bought) == ([(1, "4.50")], ("completed", "63.00"))
    assert student.steps == ["accepted", "refunded"]
    assert student.kinds == [("credit", 600), ("consume", -60), ("hold", -270), ("release", 270), ("refund", -270)]


def test_all_that_was_not_used_went_back(returns: Returns, student: Student) -> None:
    """The hour that was used stays bought, and so does the purchase."""
    returns.refunded(student.purchase)
    assert student.sums == {
        "hours_purchased": "10.00",
        "hours_consumed": "1.00",
        "hours_refunded": "9.00",
        "balance_amount": "14.00",
    }
    assert (student.packages, student.bought) == ([(1, "0.00")], ("completed", "126.00"))


def test_a_purchase_that_was_wholly_refunded_is_no_package_any_more(
    returns: Returns, client: TestClient, tokens: Tokens, vault: Vault
) -> None:
    owner = add_student(returns.desk.begin, "user-1@example.com", at=returns.desk.now, external_id="user-1")
    purchase = returns.sold(student_id=owner)
    student = Student(client, tokens.of(), {"X-Access-Token": vault.access_token(purchase.id)}, purchase)
    returns.refunded(purchase, 7_000)
    returns.refunded(purchase)
    assert student.sums == {"hours_purchased": "10.00", "hours_refunded": "10.00"}
    assert (student.packages, student.bought) == ([], ("refunded", "140.00"))
    assert student.steps == ["accepted", "refunded", "refunded"]
    assert student.read(HISTORY, payment_status="refunded")["count"] == 1


def test_a_refund_that_failed(returns: Returns, student: Student) -> None:
    refund = returns.refunded(student.purchase, 6_300)
    returns.gateway.change_refund(refund.stripe_refund_id or "", status="failed", failure_reason="declined")
    returns.hear_of_refunds(student.purchase, "refund.failed")
    assert student.sums["remaining_hours"] == "9.00"
    assert (student.packages, student.bought) == ([(1, "9.00")], ("completed", "0.00"))
    assert student.steps == ["accepted", "refunded", "refund_failed"]


def disputed(returns: Returns, student: Student, *verdict: str) -> None:
    made = returns.gateway.raise_dispute(intent_of(student.purchase), 14_000)
    returns.hear_of_dispute(made.id)
    for status in verdict:
        returns.gateway.change_dispute(made.id, status)
        returns.hear_of_dispute(made.id)


def test_a_dispute_that_is_open_freezes_hours(returns: Returns, student: Student) -> None:
    disputed(returns, student)
    assert student.sums == {
        "hours_purchased": "10.00",
        "hours_consumed": "1.00",
        "hours_frozen": "9.00",
        "balance_amount": "140.00",
    }
    assert (student.packages, student.bought) == ([(1, "0.00")], ("completed", "0.00"))
    assert student.steps == ["accepted", "disputed"]
    assert student.kinds[-1] == ("freeze", -540)


def test_a_dispute_that_was_won_leaves_no_trace_but_the_timeline(returns: Returns, student: Student) -> None:
    before = student.sums
    disputed(returns, student, "won")
    assert student.sums == before
    assert (student.packages, student.bought) == ([(1, "9.00")], ("completed", "0.00"))
    assert student.steps == ["accepted", "disputed", "dispute_won"]


def test_a_dispute_that_was_lost_takes_hours_and_leaves_a_debt(returns: Returns, student: Student) -> None:
    """The used hour was paid with money that the bank took: it is owed."""
    disputed(returns, student, "lost")
    assert student.sums == {
        "hours_purchased": "10.00",
        "hours_consumed": "1.00",
        "hours_refunded": "10.00",
        "remaining_hours": "-1.00",
    }
    assert (student.packages, student.bought) == ([(1, "0.00")], ("refunded", "140.00"))
    assert student.steps == ["accepted", "disputed", "dispute_lost"]


def test_a_purchase_that_nobody_paid_expires(
    returns: Returns, client: TestClient, tokens: Tokens, vault: Vault, deployment: Deployment
) -> None:
    purchase = returns.buy(caller_sub="user-1")
    returns.work(purchase)
    returns.pass_time(2 * DAY.total_seconds() / 60)
    close_abandoned(returns.desk.begin, now=returns.desk.now)
    returns.work(purchase)
    body = intent_body(returns.load(purchase), deployment, status="canceled")
    returns.hear("payment_intent.canceled", body)
    student = Student(client, tokens.of(), {"X-Access-Token": vault.access_token(purchase.id)}, purchase)
    assert student.bought == ("expired", "0.00")
    assert (student.steps[-1], student.status["client_secret"]) == ("expired", None)
    assert student.read(HISTORY, payment_status="expired")["count"] == 1


# --- who follows it ---


def test_a_stream_that_is_resumed_tells_of_the_refund(returns: Returns, student: Student) -> None:
    """A page that was left open learns that the money went back."""
    told = "0"
    for cents, amount in ((6_300, "63.00"), (None, "126.00")):
        returns.refunded(student.purchase, cents)
        answer = student.client.get(
            path_of(student.purchase, "events/"), headers={**student.key, "Last-Event-ID": told}
        )
        (event,) = events_in(iter(answer.text.split("\n")))
        assert (event.last_step, event.data["refunded_eur"]) == ("refunded", amount)
        told = event.id
    after = student.client.get(path_of(student.purchase, "events/"), headers={**student.key, "Last-Event-ID": told})
    assert after.status_code == 204


CHANGES: list[tuple[str, Callable[[Returns, Student], object]]] = [
    ("refunded", lambda returns, student: returns.refunded(student.purchase, 6_300)),
    ("disputed", disputed),
]


@pytest.mark.parametrize(("step", "change"), CHANGES, ids=[step for step, _ in CHANGES])
def test_who_waits_for_a_change_is_told_of_money_that_goes_back(
    returns: Returns, student: Student, step: str, change: Callable[[Returns, Student], object]
) -> None:
    """A long poll with the ETag of the paid purchase: it is answered when that is not its present state any more."""
    known = student.client.get(path_of(student.purchase), headers=student.key).headers["ETag"]
    headers = {**student.key, "If-None-Match": known, "Prefer": "wait=10"}
    with soon(lambda: change(returns, student)):
        answer = student.client.get(path_of(student.purchase), headers=headers)
    assert (answer.status_code, answer.json()["timeline"][-1]["step"]) == (200, step)
