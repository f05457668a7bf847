"""Staff see payments that banks dispute, with the lessons in danger, and name invoices on receipts."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from starlette.testclient import TestClient

from billing.config import Settings
from billing.db import Begin
from billing.deployment import Deployment
from billing.ids import new_id
from billing.models import Purchase
from billing.secrets import Vault
from tests.support.factories import add_student
from tests.support.hours import Lessons
from tests.support.office import Returns, intent_of
from tests.support.receipts import issued, paid
from tests.support.staff import StaffRoom
from tests.web.following import soon
from tests.web.money import Cashier
from tests.web.reading import written
from tests.web.support import API, Tokens

DISPUTES, LOG = f"{API}admin/payments/disputes/", f"{API}admin/payments/audit-log/"
REASON = "Invoiced by the accountant."
Get = Callable[[str], dict[str, Any]]


@pytest.fixture
def today() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)


@pytest.fixture
def returns(begin: Begin, deployment: Deployment, vault: Vault, today: datetime) -> Returns:
    return Returns(begin, deployment, vault, today)


@pytest.fixture
def cashier(returns: Returns, database_url: str, valkey_url: str, today: datetime) -> Cashier:
    return Cashier(returns, StaffRoom(returns.desk.begin, database_url, today), valkey_url)


@pytest.fixture
def get(client: TestClient, tokens: Tokens) -> Get:
    def read(path: str) -> dict[str, Any]:
        answer = client.get(path, headers=tokens.of("staff-1", roles=["staff"]))
        assert answer.status_code == 200, answer.text
        body: dict[str, Any] = answer.json()
        return body

    return read


def disputed(returns: Returns, purchase: Purchase, cents: int = 14_000, **facts: Any) -> str:
    """Our id of it."""
    made = returns.gateway.raise_dispute(intent_of(purchase), cents, **facts)
    returns.hear_of_dispute(made.id, "charge.dispute.created")
    return str(returns.dispute(made.id).id)


def test_a_dispute_is_shown_with_whose_it_is_and_what_it_took(returns: Returns, get: Get, today: datetime) -> None:
    purchase = returns.sold(used=100)
    due = today + timedelta(days=9)
    dispute_id = disputed(returns, purchase, withdrawn_cents=14_000, evidence_due_at=due)
    row = {
        "id": dispute_id,
        "stripe_dispute_id": "du_1",
        "transaction_id": 1,
        "amount": "140.00",
        "currency": "eur",
        "reason": "fraudulent",
        "status": "needs_response",
        "state": "open",
        "withdrawn": "140.00",
        "minutes_frozen": 500,
        "minutes_lost": 0,
        "minutes_short": 0,
        "evidence_due_at": written(due),
        "opened_at": written(today),
        "decided_at": None,
        "student": {"id": purchase.student_id, "email": "student1@example.com", "name": "Ana"},
    }
    assert get(DISPUTES) == {"count": 1, "next": None, "previous": None, "results": [row]}
    assert get(f"{DISPUTES}{dispute_id}/") == {"success": True, **row, "booked_sessions": []}


def test_a_dispute_that_is_lost_says_what_is_owed(returns: Returns, get: Get) -> None:
    dispute_id = disputed(returns, returns.sold(used=100))
    returns.gateway.change_dispute("du_1", "lost")
    returns.hear_of_dispute("du_1")
    shown = get(f"{DISPUTES}{dispute_id}/")
    assert (shown["status"], shown["state"]) == ("lost", "lost")
    assert (shown["minutes_frozen"], shown["minutes_lost"], shown["minutes_short"]) == (0, 500, 100)
    assert shown["decided_at"] is not None


def test_the_lessons_in_danger_are_named(returns: Returns, get: Get, today: datetime) -> None:
    """Only those that hold hours of the disputed purchase, with the hours that they hold of it."""
    returns.proves = False  # it knows of no lessons that hold hours
    mine, others = (Lessons(returns.desk.begin, today, f"{name}@example.com") for name in ("mine", "others"))
    purchase = returns.sold(student_id=mine.student_id, lasts_days=5)
    returns.sold(student_id=mine.student_id, lasts_days=40)
    returns.sold(student_id=others.student_id)
    mine.held(550, session_id="s-1", hours=48)
    mine.held(80, session_id="s-2", hours=48)
    others.held(60, session_id="s-3", hours=48)
    shown = get(f"{DISPUTES}{disputed(returns, purchase)}/")
    booked = [(one["session_id"], one["minutes"], one["hours"]) for one in shown["booked_sessions"]]
    assert sorted(booked) == [("s-1", 550, "9.17"), ("s-2", 50, "0.83")]
    assert {one["ends_at"] for one in shown["booked_sessions"]} == {written(today + timedelta(hours=48))}
    assert shown["minutes_frozen"] == 0


@pytest.mark.parametrize(
    ("query", "numbers"),
    [
        ("", {1, 2}),
        ("?status=needs_response", {1}),
        ("?status=warning_needs_response", {2}),
        ("?state=open", {1}),
        ("?state=inquiry", {2}),
        ("?state=needs_response", set()),
        ("?transaction_id=2", {2}),
        ("?transaction_id=x", set()),
        ("?status=%00", set()),
        ("?state=open&transaction_id=2", set()),
    ],
)
def test_the_list_can_be_narrowed(returns: Returns, get: Get, query: str, numbers: set[int]) -> None:
    disputed(returns, returns.sold())
    disputed(returns, returns.sold(), status="warning_needs_response")
    body = get(f"{DISPUTES}{query}")
    assert {row["transaction_id"] for row in body["results"]} == numbers
    assert body["count"] == len(numbers)


def test_a_dispute_that_is_not_there_is_404(client: TestClient, tokens: Tokens) -> None:
    answer = client.get(f"{DISPUTES}{new_id()}/", headers=tokens.of("staff-1", roles=["staff"]))
    assert (answer.status_code, answer.json()["error_type"]) == (404, "not_found")


# --- invoices ---


@pytest.fixture
def receipt_id(returns: Returns, settings: Settings, today: datetime) -> UUID:
    owner = add_student(returns.desk.begin, at=today)
    paid(returns.desk.begin, owner, at=today)
    (receipt,) = issued(returns.desk.begin, settings, at=today)
    found: UUID = receipt["id"]
    return found


@pytest.mark.parametrize("role", ["admin", "service"])
def test_an_invoice_is_named_by_administrators_and_by_the_platform(
    client: TestClient, tokens: Tokens, cashier: Cashier, receipt_id: UUID, role: str
) -> None:
    headers = {**tokens.of("somebody", roles=[role]), "Prefer": "wait=10"}
    wish = {"invoice_ref": " FT 2026/117 ", "reason": REASON}
    with soon(cashier.hold):
        answer = client.post(f"{API}admin/receipts/{receipt_id}/invoice/", json=wish, headers=headers)
    assert answer.status_code == 200, answer.text
    assert answer.json() == {"success": True, "receipt_id": str(receipt_id), "invoice_ref": "FT 2026/117"}


def test_the_platform_follows_its_own_wish_and_no_other(client: TestClient, tokens: Tokens, receipt_id: UUID) -> None:
    """What it is told to look at it may look at; what staff did is not its business."""
    path, wish = f"{API}admin/receipts/{receipt_id}/invoice/", {"invoice_ref": "FT 1", "reason": REASON}
    own = client.post(path, json=wish, headers=tokens.of("platform", roles=["service"]))
    others = client.post(path, json=wish, headers=tokens.of("admin-1", roles=["admin"]))
    shown = {}
    for answer in (own, others):
        assert (answer.status_code, answer.json()["status"]) == (202, "requested")
        look = client.get(answer.json()["status_url"], headers=tokens.of("platform", roles=["service"]))
        shown[answer.json()["id"]] = look.status_code
    assert [*shown.values()] == [200, 404]


@pytest.mark.parametrize("ref", ["", "  ", "x" * 101, "a\nb", "a\0b", None, 7])
def test_a_name_that_is_none_is_400(client: TestClient, tokens: Tokens, receipt_id: UUID, ref: object) -> None:
    answer = client.post(
        f"{API}admin/receipts/{receipt_id}/invoice/",
        json={"invoice_ref": ref, "reason": REASON},
        headers=tokens.of("admin-1", roles=["admin"]),
    )
    assert (answer.status_code, [*answer.json()["field_errors"]]) == (400, ["invoice_ref"])


def test_a_receipt_that_is_not_there_is_404(client: TestClient, tokens: Tokens) -> None:
    answer = client.post(
        f"{API}admin/receipts/{new_id()}/invoice/",
        json={"invoice_ref": "FT 1", "reason": REASON},
        headers=tokens.of("admin-1", roles=["admin"]),
    )
    assert (answer.status_code, answer.json()["error_type"]) == (404, "not_found")
