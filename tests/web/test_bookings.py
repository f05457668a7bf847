"""A lesson can be booked with hours that can be spent now, and with nothing else."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text
from starlette.testclient import TestClient

from billing.db import Begin
from tests.support.factories import add_student
from tests.support.records import DAY, bought, credited
from tests.web.support import API, Tokens

CHECK = f"{API}student-balance/check-booking/"


@pytest.fixture
def now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture
def student(begin: Begin, now: datetime) -> int:
    return add_student(begin, at=now, external_id="user-1")


def checked(client: TestClient, tokens: Tokens, duration: str) -> dict[str, Any]:
    answer = client.get(CHECK, params={"duration_hours": duration}, headers=tokens.of())
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


@pytest.mark.parametrize("duration", ["1.5", "1.50", "01.500"])
def test_hours_that_are_there_can_be_booked(
    client: TestClient, begin: Begin, tokens: Tokens, student: int, now: datetime, duration: str
) -> None:
    bought(begin, student, at=now)
    assert checked(client, tokens, duration) == {
        "can_book": True,
        "hours_required": "1.50",
        "hours_available": "10.00",
        "hours_remaining_after": "8.50",
    }


def test_the_last_minute_can_be_booked_and_none_beyond(
    client: TestClient, begin: Begin, tokens: Tokens, student: int, now: datetime
) -> None:
    """Several packages together pay for one lesson."""
    bought(begin, student, at=now)
    credited(begin, student, at=now, expires_at=None, minutes=60)
    assert checked(client, tokens, "11")["hours_remaining_after"] == "0.00"
    assert checked(client, tokens, "11.05") == {
        "can_book": False,
        "hours_required": "11.05",
        "hours_available": "11.00",
        "hours_remaining_after": "11.00",
        "reason": "insufficient_balance",
    }


def test_who_has_no_package_is_told_so(client: TestClient, tokens: Tokens, begin: Begin, now: datetime) -> None:
    expected = {
        "can_book": False,
        "hours_required": "1.00",
        "hours_available": "0.00",
        "hours_remaining_after": "0.00",
        "reason": "no_packages",
    }
    assert checked(client, tokens, "1") == expected
    student = add_student(begin, at=now, external_id="user-1")
    assert checked(client, tokens, "1") == expected
    bought(begin, student, at=now)
    with begin() as session:
        session.execute(text("UPDATE hour_lot SET minutes_left = 0, minutes_refunded = minutes_granted"))
        session.execute(text("UPDATE student_balance SET minutes_left = 0, minutes_refunded = minutes_granted"))
    assert checked(client, tokens, "1") == expected


def test_expired_hours_never_count_swept_or_not(
    client: TestClient, begin: Begin, tokens: Tokens, student: int, now: datetime
) -> None:
    bought(begin, student, at=now - 60 * DAY, expires_at=now - timedelta(milliseconds=1))
    unswept = checked(client, tokens, "1")
    assert (unswept["can_book"], unswept["hours_available"], unswept["reason"]) == (False, "0.00", "package_expired")
    with begin() as session:
        session.execute(text("UPDATE hour_lot SET minutes_left = 0, minutes_expired = minutes_granted"))
        session.execute(text("UPDATE student_balance SET minutes_left = 0, minutes_expired = minutes_granted"))
    assert checked(client, tokens, "1") == unswept
    credited(begin, student, at=now, expires_at=now + DAY, minutes=30)
    living = checked(client, tokens, "1")
    assert (living["hours_available"], living["reason"]) == ("0.50", "insufficient_balance")


def test_a_debt_is_paid_first(client: TestClient, begin: Begin, tokens: Tokens, student: int, now: datetime) -> None:
    credited(begin, student, at=now, expires_at=None, minutes=60)
    with begin() as session:
        session.execute(text("UPDATE student_balance SET minutes_owed = 45"))
    assert checked(client, tokens, "0.25")["can_book"] is True
    assert checked(client, tokens, "0.5")["hours_available"] == "0.25"
    with begin() as session:
        session.execute(text("UPDATE student_balance SET minutes_owed = 90"))
    assert checked(client, tokens, "0.25")["hours_available"] == "0.00"


NO_DECIMALS = [None, "", "-1", "+1", "one", "1e2", "NaN", "Infinity", ".5", "1.", "1,5", "1_0", " 1", "١", "1\0"]
OUT_OF_BOUNDS = ["0", "0.00", "0.33", "0.001", "1000.05", "1001", "9" * 400, "1" + "0" * 5000]


@pytest.mark.parametrize("duration", [*NO_DECIMALS, *OUT_OF_BOUNDS])
def test_what_is_no_duration_is_refused(shared_client: TestClient, tokens: Tokens, duration: str | None) -> None:
    query = {} if duration is None else {"duration_hours": duration}
    answer = shared_client.get(CHECK, params=query, headers=tokens.of())
    assert (answer.status_code, answer.json()["error_type"]) == (400, "validation_error")
    assert list(answer.json()["field_errors"]) == ["duration_hours"]


def test_long_courses_can_be_asked_for(shared_client: TestClient, tokens: Tokens) -> None:
    assert checked(shared_client, tokens, "1000")["hours_required"] == "1000.00"


def test_staff_asks_for_anybody_and_nobody_else_does(
    client: TestClient, begin: Begin, tokens: Tokens, now: datetime
) -> None:
    credited(begin, add_student(begin, "guest@example.com", at=now), at=now, expires_at=None)
    query = {"duration_hours": "1", "email": "guest@example.com"}
    assert client.get(CHECK, params=query, headers=tokens.of(roles=["staff"])).json()["can_book"] is True
    assert client.get(CHECK, params=query, headers=tokens.of()).status_code == 403
    query["email"] = "nobody@example.com"
    assert client.get(CHECK, params=query, headers=tokens.of(roles=["staff"])).status_code == 404
    assert client.get(CHECK, params={"duration_hours": "1"}).status_code == 401
    assert client.get(CHECK.replace("/api/finances/api/", "/api/finances/"), params=query).status_code == 401
