"""Support sees on one page what a student has, and why."""

from datetime import UTC, datetime

import pytest
from sqlalchemy import text

from billing.cases import open_case
from billing.db import Begin
from billing.models import Purchase
from billing.states import PurchaseState
from tests.cli.support import Billing
from tests.support.factories import add_purchase, add_student
from tests.support.records import DAY, bought, taken


@pytest.fixture
def today() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)


@pytest.fixture
def paid(begin: Begin, today: datetime) -> Purchase:
    """Ana's package of which she used an hour and a half, beside a purchase that failed, with a case."""
    student = add_student(begin, at=today, external_id="user-1")
    with begin() as session:
        session.execute(text("UPDATE student SET email_verified = true"))
    purchase = bought(begin, student, at=today, expires_at=today + 45 * DAY)
    taken(begin, 1, 90, at=today)
    failed = add_purchase(begin, at=today, state=PurchaseState.FAILED, student_id=student)
    with begin() as session:
        open_case(session, "amount_differs", "evt_1", purchase_id=failed.id, detail="1.00 € came", at=today)
    return purchase


@pytest.mark.parametrize("who", [" ANA@example.com", "1", "user-1"])
def test_a_student_is_shown_whole_for_programs(billing: Billing, paid: Purchase, who: str) -> None:
    said = billing("students", "show", who, "--json")
    assert said.status == 0
    shown = said.json
    assert shown["student"]["external_id"] == "user-1"
    assert (shown["student"]["email"], shown["student"]["email_verified"]) == ("ana@example.com", True)
    assert shown["balance_summary"]["remaining_hours"] == "8.50"
    assert [package["hours_remaining"] for package in shown["packages"]] == ["8.50"]
    assert [one["payment_status"] for one in shown["transactions"]] == ["failed", "completed"]
    assert shown["transactions"][1]["task_id"] == str(paid.id)
    assert [(one["kind"], one["balance_after"]) for one in shown["entries"]] == [
        ("consume", "8.50"),
        ("credit", "10.00"),
    ]
    assert [(case["reason"], case["transaction_id"]) for case in shown["open_cases"]] == [("amount_differs", 2)]


@pytest.mark.usefixtures("paid")
def test_a_student_is_shown_whole_for_people(billing: Billing) -> None:
    said = billing("students", "show", "ana@example.com")
    assert said.status == 0
    for words in (
        "Ana <ana@example.com> (verified), student 1, platform id user-1",
        "8.50 hours to spend; 140.00 € paid and kept",
        "10.00 purchased, 1.50 consumed",
        "8.50 of 10.00 h left",
        "completed",
        "-1.50 h",
        "amount_differs",
    ):
        assert words in said.out


def test_who_has_nothing_is_shown_too(billing: Billing, begin: Begin, today: datetime) -> None:
    add_student(begin, "guest@example.com", at=today)
    said = billing("students", "show", "guest@example.com")
    assert "guest" in said.out
    assert "packages: none" in said.out
    assert "open cases: none" in said.out


@pytest.mark.usefixtures("paid")
def test_a_balance_alone_can_be_asked_for(billing: Billing) -> None:
    assert billing("students", "balance", "1", "--json").json["remaining_hours"] == "8.50"
    assert "remaining hours  8.50" in billing("students", "balance", "user-1").out


def test_our_id_wins_over_the_platforms(billing: Billing, begin: Begin, today: datetime) -> None:
    add_student(begin, "first@example.com", at=today, external_id="2")
    add_student(begin, "second@example.com", at=today, external_id="x")
    assert billing("students", "show", "2", "--json").json["student"]["email"] == "second@example.com"


@pytest.mark.parametrize("verb", ["show", "balance"])
@pytest.mark.parametrize("who", ["nobody@example.com", "99", "user-9", "9" * 30])
def test_nobody_is_one_line_and_exit_1(billing: Billing, verb: str, who: str) -> None:
    assert billing("students", verb, who).complaint.startswith(f"no student has the address or id {who}")


def test_a_schema_that_is_not_there_is_one_line_and_exit_1(billing: Billing, begin: Begin) -> None:
    with begin() as session:
        session.execute(text("ALTER TABLE student_balance RENAME TO gone"))
    assert billing("students", "balance", "1").complaint.endswith("run `billing migrate`")


def test_wrong_usage_is_exit_2(billing: Billing) -> None:
    assert billing("students", "show").status == 2
    assert billing("students", "frobnicate").status == 2
