"""A student sees what he may spend now; nobody else sees it but staff."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from starlette.testclient import TestClient

from billing.db import Begin
from billing.models import HourLot, Student, StudentBalance
from billing.states import LotOrigin, PurchaseState
from tests.support.factories import add_purchase, add_student
from tests.web.support import API, Tokens

BALANCE = f"{API}student-balance/"
DAY = timedelta(days=1)


@pytest.fixture
def today() -> datetime:
    """The door asks the clock, so lots here expire before and after the real now."""
    return datetime.now(UTC)


def give(begin: Begin, student_id: int, expires_at: datetime | None, **minutes: int) -> None:
    """A lot with these parts, and the balance that the ledger would have kept."""
    parts: dict[str, Any] = {f"minutes_{part}": amount for part, amount in minutes.items() if part != "owed"}
    granted = sum(parts.values())
    with begin() as session:
        balance = session.get(StudentBalance, student_id) or StudentBalance(student_id=student_id)
        balance.minutes_granted += granted
        balance.minutes_owed += minutes.get("owed", 0)
        balance.paid_cents += 14_000
        for part, amount in parts.items():
            setattr(balance, part, getattr(balance, part) + amount)
        session.add(balance)
        session.add(
            HourLot(
                student_id=student_id,
                origin=LotOrigin.GRANT,
                source=f"grant:{student_id}:{expires_at}",
                currency="eur",
                starts_at=datetime(2020, 1, 1, tzinfo=UTC),
                expires_at=expires_at,
                minutes_granted=granted,
                **parts,
            )
        )


def seen(client: TestClient, headers: dict[str, str], **query: str) -> dict[str, Any]:
    answer = client.get(BALANCE, headers=headers, params=query)
    assert answer.status_code == 200
    body: dict[str, Any] = answer.json()
    return body


def sums(body: dict[str, Any]) -> dict[str, str]:
    return {name: value for name, value in body["balance_summary"].items() if value != "0.00"}


def test_who_never_bought_has_nothing(shared_client: TestClient, tokens: Tokens) -> None:
    body = seen(shared_client, tokens.of("nobody", name="Nobody Yet"))
    assert body == {
        "student_info": {"id": None, "name": "Nobody Yet", "email": "nobody@example.com"},
        "balance_summary": {
            "hours_purchased": "0.00",
            "hours_consumed": "0.00",
            "hours_expired": "0.00",
            "hours_held": "0.00",
            "hours_refunded": "0.00",
            "hours_frozen": "0.00",
            "remaining_hours": "0.00",
            "balance_amount": "0.00",
        },
        "package_status": {"active_packages": [], "expired_packages": []},
        "upcoming_expirations": [],
        "subscription_info": {
            "is_active": False,
            "status": None,
            "plan_name": None,
            "current_period_end": None,
            "cancel_at_period_end": False,
            "is_paused": False,
            "next_charge_eur": None,
        },
    }


def test_a_token_is_needed(shared_client: TestClient) -> None:
    assert shared_client.get(BALANCE).status_code == 401


def test_a_paid_package_shows_with_its_hours(client: TestClient, begin: Begin, tokens: Tokens, today: datetime) -> None:
    student = add_student(begin, "ana@example.com", at=today, external_id="user-1")
    purchase = add_purchase(begin, at=today, state=PurchaseState.COMPLETED, student_id=student)
    expires_at = today + 45 * DAY
    give(begin, student, expires_at, left=480, consumed=120)
    with begin() as session:
        lot = session.get_one(HourLot, 1)
        lot.origin, lot.purchase_id = LotOrigin.PURCHASE, purchase.id
    body = seen(client, tokens.of("user-1"))
    assert body["student_info"] == {"id": student, "name": "Ana", "email": "ana@example.com"}
    assert sums(body) == {
        "hours_purchased": "10.00",
        "hours_consumed": "2.00",
        "remaining_hours": "8.00",
        "balance_amount": "140.00",
    }
    assert body["package_status"]["expired_packages"] == body["upcoming_expirations"] == []
    (package,) = body["package_status"]["active_packages"]
    assert package.pop("days_until_expiry") in (44, 45)
    assert package == {
        "transaction_id": 1,
        "plan_name": "Standard Package",
        "hours_included": "10.00",
        "hours_consumed": "2.00",
        "hours_remaining": "8.00",
        "expires_at": expires_at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "is_expired": False,
    }


def test_expired_hours_are_gone_at_once_swept_or_not(
    client: TestClient, begin: Begin, tokens: Tokens, today: datetime
) -> None:
    """The sweep writes them off a day later; nobody may spend them until then, or think he could."""
    student = add_student(begin, at=today, external_id="user-1")
    give(begin, student, today - timedelta(seconds=1), left=300, consumed=60)
    give(begin, student, today - 9 * DAY, expired=120)
    give(begin, student, today + 30 * DAY, left=600)
    body = seen(client, tokens.of("user-1"))
    assert sums(body) == {
        "hours_purchased": "18.00",
        "hours_consumed": "1.00",
        "hours_expired": "7.00",
        "remaining_hours": "10.00",
        "balance_amount": "420.00",
    }
    unswept, swept = body["package_status"]["expired_packages"]
    assert (unswept["hours_remaining"], unswept["is_expired"], unswept["days_until_expiry"]) == ("0.00", True, 0)
    assert swept["hours_remaining"] == "0.00"


def test_every_minute_is_somewhere(client: TestClient, begin: Begin, tokens: Tokens, today: datetime) -> None:
    student = add_student(begin, at=today, external_id="user-1")
    give(begin, student, None, left=60, consumed=120, expired=180, held=240, refunded=300, frozen=360, owed=90)
    amounts = {name: float(value) for name, value in seen(client, tokens.of("user-1"))["balance_summary"].items()}
    parts = ("hours_consumed", "hours_expired", "hours_held", "hours_refunded", "hours_frozen", "remaining_hours")
    assert sum(amounts[part] for part in parts) == amounts["hours_purchased"] == 21
    assert amounts["remaining_hours"] == -0.5


def test_packages_that_end_soon_come_first_and_are_pointed_out(
    client: TestClient, begin: Begin, tokens: Tokens, today: datetime
) -> None:
    student = add_student(begin, at=today, external_id="user-1")
    for days, minutes in ((30, 60), (6, 120), (None, 180), (1, 240), (8, 300)):
        give(begin, student, None if days is None else today + days * DAY, left=minutes)
    give(begin, student, today + 2 * DAY, consumed=60)
    give(begin, student, today + 3 * DAY, refunded=60)
    body = seen(client, tokens.of("user-1"))
    hours = [package["hours_remaining"] for package in body["package_status"]["active_packages"]]
    assert hours == ["4.00", "0.00", "2.00", "5.00", "1.00", "3.00"]
    assert [package["hours_remaining"] for package in body["upcoming_expirations"]] == ["4.00", "2.00"]
    assert body["package_status"]["active_packages"][-1]["days_until_expiry"] is None


def test_a_guests_hours_show_to_whoever_proves_the_address(
    client: TestClient, begin: Begin, tokens: Tokens, today: datetime
) -> None:
    give(begin, add_student(begin, "guest@example.com", at=today), None, left=600)
    proven = tokens.of("user-1", email="Guest@Example.com")
    claimed = tokens.of("user-2", email="guest@example.com", email_verified=False)
    assert seen(client, proven)["balance_summary"]["remaining_hours"] == "10.00"
    assert seen(client, claimed)["balance_summary"]["remaining_hours"] == "0.00"


def test_a_known_student_is_not_mistaken_for_a_guest_of_his_address(
    client: TestClient, begin: Begin, tokens: Tokens, today: datetime
) -> None:
    give(begin, add_student(begin, "ana@example.com", at=today), None, left=600)
    give(begin, add_student(begin, "ana@example.com", at=today, external_id="user-1"), None, left=60)
    body = seen(client, tokens.of("user-1", email="ana@example.com"))
    assert body["balance_summary"]["remaining_hours"] == "1.00"


@pytest.mark.parametrize("role", ["staff", "admin"])
def test_staff_may_look_at_anybody(
    client: TestClient, begin: Begin, tokens: Tokens, today: datetime, role: str
) -> None:
    give(begin, add_student(begin, "ana@example.com", at=today), None, left=600)
    body = seen(client, tokens.of("staff-1", roles=[role]), email=" ANA@example.com")
    assert body["balance_summary"]["remaining_hours"] == "10.00"
    with begin() as session:
        verified = Student(
            external_id="user-1", email="ana@example.com", email_verified=True, name="A", created_at=today
        )
        session.add(verified)
    assert seen(client, tokens.of("staff-1", roles=[role]), email="ana@example.com")["student_info"]["name"] == "A"


@pytest.mark.parametrize("roles", [[], ["student"], ["guardian"], ["service"], ["Staff"], "staff"])
def test_nobody_else_may_not_even_at_himself(shared_client: TestClient, tokens: Tokens, roles: object) -> None:
    answer = shared_client.get(BALANCE, params={"email": "user-1@example.com"}, headers=tokens.of(roles=roles))
    assert (answer.status_code, answer.json()["error_type"]) == (403, "permission_denied")


@pytest.mark.parametrize("email", ["unknown@example.com", "rubbish", "", "a\0b@example.com", "x" * 5000])
def test_an_address_nobody_has_is_404(shared_client: TestClient, tokens: Tokens, email: str) -> None:
    answer = shared_client.get(BALANCE, params={"email": email}, headers=tokens.of(roles=["staff"]))
    assert answer.status_code == 404
