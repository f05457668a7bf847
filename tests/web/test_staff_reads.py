"""Staff see which packages expired or will, and what was done by whom, page by page."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from starlette.testclient import TestClient

from billing.db import Begin
from billing.staff.wishes import BulkExtend, Correct, Extend, Grant, Wish
from tests.support.factories import add_student
from tests.support.records import DAY, bought, credited, taken
from tests.support.staff import StaffRoom
from tests.support.statements import counted
from tests.web.reading import ids, seen, written
from tests.web.support import API, Tokens

EXPIRED, SOON = f"{API}admin/expired-packages/", f"{API}admin/packages-expiring-soon/"
LOG = f"{API}admin/payments/audit-log/"


@pytest.fixture
def today() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)


@pytest.fixture
def room(begin: Begin, database_url: str, today: datetime) -> StaffRoom:
    return StaffRoom(begin, database_url, today)


@pytest.fixture
def staff(tokens: Tokens) -> dict[str, str]:
    return tokens.of("staff-1", roles=["staff"])


@pytest.fixture
def student(begin: Begin, today: datetime) -> int:
    return add_student(begin, at=today, external_id="user-1")


# --- packages that expire ---


@pytest.fixture
def packages(room: StaffRoom, student: int, today: datetime) -> None:
    """Two that expired, of which the first was used in part and is swept, a living one, and a grant without end."""
    bought(room.begin, student, at=today, expires_at=today - 9 * DAY)
    taken(room.begin, 1, 90, at=today)
    room.sweep()
    bought(room.begin, student, at=today, expires_at=today - DAY)
    bought(room.begin, student, at=today, expires_at=today + 3 * DAY)
    credited(room.begin, student, at=today, expires_at=None)


@pytest.mark.usefixtures("packages")
def test_what_expired_is_listed_swept_or_not(
    client: TestClient, staff: dict[str, str], student: int, today: datetime
) -> None:
    body = seen(client, EXPIRED, staff)
    assert body["count"] == 2
    last, first = body["results"]
    assert last == {
        "transaction_id": 2,
        "plan_name": "Standard Package",
        "hours_included": "10.00",
        "hours_consumed": "0.00",
        "hours_remaining": "0.00",
        "expires_at": written(today - DAY),
        "days_until_expiry": 0,
        "is_expired": True,
        "student": {"id": student, "name": "Ana", "email": "ana@example.com"},
        "hours_expired": "10.00",
        "is_swept": False,
    }
    assert (first["transaction_id"], first["hours_consumed"]) == (1, "1.50")
    assert (first["hours_expired"], first["is_swept"]) == ("8.50", True)


@pytest.mark.usefixtures("packages")
def test_what_was_extended_is_not_expired_any_more(client: TestClient, staff: dict[str, str], room: StaffRoom) -> None:
    room.do(Extend(transaction_id=1, extension_days=10, extend_from_now=True))
    assert ids(seen(client, EXPIRED, staff)) == [2]
    assert ids(seen(client, SOON, staff, days=30)) == [3, 1]


@pytest.mark.usefixtures("packages")
def test_hours_that_will_be_lost_are_listed_the_next_first(
    client: TestClient, staff: dict[str, str], room: StaffRoom, student: int, today: datetime
) -> None:
    """Only those that somebody can still take: what is used up is not lost."""
    credited(room.begin, student, at=today, expires_at=today + 2 * DAY, source="grant:2")
    bought(room.begin, student, at=today, expires_at=today + 7 * DAY + timedelta(hours=1))
    bought(room.begin, student, at=today, expires_at=today + DAY)
    taken(room.begin, 7, 600, at=today)
    body = seen(client, SOON, staff)
    assert ids(body) == [None, 3]
    assert [row["plan_name"] for row in body["results"]] == ["Grant", "Standard Package"]
    assert body["results"][1]["student"]["id"] == student
    assert (body["results"][1]["hours_remaining"], body["results"][1]["days_until_expiry"]) == ("10.00", 3)
    assert ids(seen(client, SOON, staff, days=8)) == [None, 3, 4]
    assert ids(seen(client, SOON, staff, days=1)) == []


@pytest.mark.parametrize("days", ["0", "366", "-1", "7.5", "many", "", "9" * 40, "٧"])
def test_days_out_of_range_are_refused(shared_client: TestClient, staff: dict[str, str], days: str) -> None:
    answer = shared_client.get(SOON, params={"days": days}, headers=staff)
    assert (answer.status_code, list(answer.json()["field_errors"])) == (400, ["days"])


def test_pages_walk_through_everything_once(
    client: TestClient, staff: dict[str, str], room: StaffRoom, student: int, today: datetime
) -> None:
    for number in range(5):
        bought(room.begin, student, at=today, expires_at=today - DAY)
        room.do(Grant(student_id=student, minutes=60 + number, validity_days=3))
        room.now += timedelta(seconds=1)
    for path, name in ((EXPIRED, "transaction_id"), (SOON, "expires_at"), (LOG, "id")):
        found: list[Any] = []
        following: str | None = f"{path}?page_size=2"
        while following:
            body = seen(client, following, staff)
            assert body["count"] == 5
            found += ids(body, name)
            following = body["next"]
        assert len(found) == 5
        assert len(set(found)) == (1 if path == SOON else 5)
        assert client.get(path, params={"page": 4, "page_size": 2}, headers=staff).status_code == 404


def test_an_empty_list_is_a_page(shared_client: TestClient, staff: dict[str, str]) -> None:
    for path in (SOON, EXPIRED):
        assert seen(shared_client, path, staff) == {"count": 0, "next": None, "previous": None, "results": []}


# --- the audit log ---


@pytest.fixture
def acts(room: StaffRoom, student: int, today: datetime) -> list[str]:
    """Of two people on three days: done, refused, and one that waits; the oldest first."""
    for _ in range(2):
        bought(room.begin, student, at=today, expires_at=today + 3 * DAY)
    wishes: list[tuple[Wish, str]] = [
        (Grant(student_id=student, minutes=60, validity_days=3), "staff-1"),
        (Correct(student_id=student, minutes=60_000), "staff-1"),
        (Extend(transaction_id=2, extension_days=1), "cli:ana"),
        (BulkExtend(transaction_ids=(1, 2), extension_days=1), "cli:ana"),
    ]
    found = []
    for number, (wish, actor) in enumerate(wishes):
        room.now = datetime(2026, 3, 1 + number, 23, 30, tzinfo=UTC)
        accepted = room.accept(wish, actor=actor)
        found.append(str(accepted.id))
        room.now = today
        if number < 3:
            room.perform(accepted.id)
    return found


def test_the_log_tells_who_did_what_and_why(client: TestClient, staff: dict[str, str], acts: list[str]) -> None:
    body = seen(client, LOG, staff)
    assert ids(body, "id") == acts[::-1]
    waiting, extended, refused, granted = body["results"]
    assert (waiting["status"], waiting["success"], waiting["decided_at"]) == ("requested", None, None)
    assert (extended["before"]["transaction_id"], extended["after"]["transaction_id"]) == (2, 2)
    assert (refused["success"], refused["error_type"]) == (False, "insufficient_balance")
    assert granted["at"] == "2026-03-01T23:30:00.000Z"
    assert {name: granted[name] for name in ("action", "actor", "reason", "target", "address", "success")} == {
        "action": "grant",
        "actor": "staff-1",
        "reason": "Ana was ill.",
        "target": "student:1",
        "address": "192.0.2.7",
        "success": True,
    }
    assert seen(client, f"{LOG}{acts[0]}/", staff) == granted
    assert "body_hash" not in granted


def test_a_filter_leaves_what_fits(client: TestClient, staff: dict[str, str], acts: list[str]) -> None:
    granted, refused, extended, waiting = acts
    asked: list[tuple[dict[str, str], list[str]]] = [
        ({}, [waiting, extended, refused, granted]),
        ({"action": "grant"}, [granted]),
        ({"action": ""}, [waiting, extended, refused, granted]),
        ({"actor": "cli:ana"}, [waiting, extended]),
        ({"target": "student:1"}, [refused, granted]),
        ({"success": "true"}, [extended, granted]),
        ({"success": "0"}, [refused]),
        ({"actor": "staff-1", "success": "1"}, [granted]),
        # Days are those of the business, in winter as in Greenwich.
        ({"date_from": "2026-03-03"}, [waiting, extended]),
        ({"date_to": "2026-03-02"}, [refused, granted]),
        ({"date_from": "2026-03-02", "date_to": "2026-03-02"}, [refused]),
        ({"date_from": "2026-03-03T23:30:00Z", "date_to": "2026-03-05T01:00:00+01:00"}, [waiting, extended]),
        ({"date_from": "2026-03-03T23:30:01Z"}, [waiting]),
    ]
    for query, found in asked:
        body = seen(client, LOG, staff, **query)
        assert (body["count"], ids(body, "id")) == (len(found), found), query


def test_an_act_on_many_packages_is_about_each_of_them(
    client: TestClient, staff: dict[str, str], acts: list[str]
) -> None:
    """What happened to this package, one asks; not in how many rows it was written."""
    _, _, extended, bulk = acts
    assert ids(seen(client, LOG, staff, target="purchase:2"), "id") == [bulk, extended]
    assert ids(seen(client, LOG, staff, target="purchase:1"), "id") == [bulk]
    assert ids(seen(client, LOG, staff, target="purchase:9"), "id") == []


@pytest.mark.usefixtures("acts")
@pytest.mark.parametrize("name", ["action", "actor", "target", "success", "date_from", "date_to"])
def test_a_filter_value_nobody_knows_leaves_nothing(client: TestClient, staff: dict[str, str], name: str) -> None:
    for value in ("nonsense", "a\0b", "'; --", "x" * 3000, "purchase:x", "0000-00-00", "2026-03-01T12:00:00"):
        assert seen(client, LOG, staff, **{name: value})["count"] == 0, value


def test_an_act_that_is_not_there_is_404(shared_client: TestClient, staff: dict[str, str]) -> None:
    for name in ("7f0c6ad4-3d0e-4b52-9a37-6a1f4c0f5b1e", "x", "1"):
        assert shared_client.get(f"{LOG}{name}/", headers=staff).status_code == 404


def test_each_read_is_one_statement_however_many_rows_there_are(
    client: TestClient, staff: dict[str, str], room: StaffRoom, student: int, today: datetime
) -> None:
    query = "action=grant&actor=staff-1&target=student:1&success=true&date_from=2026-01-01&date_to=2099-01-01"
    for _ in range(2):
        for path in (EXPIRED, SOON, LOG, f"{LOG}?{query}"):
            with counted() as statements:
                seen(client, path, staff)
            assert len(statements) == 1, path
        for _ in range(30):
            bought(room.begin, student, at=today, expires_at=today - DAY)
            room.do(Grant(student_id=student, minutes=60, validity_days=3))
