"""Long lists come page by page, whole, filtered as asked, and for one statement a page."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from starlette.testclient import TestClient

from billing.db import Begin
from billing.states import PlanType, PurchaseState
from tests.support.factories import add_purchase, add_student
from tests.support.records import bought, credited
from tests.support.statements import counted
from tests.web.reading import HISTORY, LEDGER, PURCHASES, ROUTES, ids, seen
from tests.web.support import API, Tokens


@pytest.fixture
def today() -> datetime:
    return datetime.now(UTC)


@pytest.fixture
def seven(begin: Begin, today: datetime) -> None:
    """Seven transactions of a student: five paid packages, a failed one, a subscription."""
    student = add_student(begin, at=today, external_id="user-1")
    for _ in range(5):
        bought(begin, student, at=today, caller="user-1")
    facts: dict[str, Any] = {"at": today, "student_id": student, "caller_sub": "user-1"}
    add_purchase(begin, state=PurchaseState.FAILED, **facts)
    add_purchase(begin, state=PurchaseState.PENDING, plan_type=PlanType.SUBSCRIPTION, validity_days=None, **facts)


@pytest.mark.usefixtures("seven")
def test_pages_walk_through_everything_once(client: TestClient, tokens: Tokens) -> None:
    path: str | None = f"{HISTORY}?page_size=3"
    found: list[int] = []
    previous: list[str | None] = []
    while path:
        body = seen(client, path, tokens.of())
        found += ids(body)
        previous.append(body["previous"])
        path = body["next"]
    assert found == [7, 6, 5, 4, 3, 2, 1]
    assert previous == [None, f"{HISTORY}?page_size=3&page=1", f"{HISTORY}?page_size=3&page=2"]


@pytest.mark.usefixtures("seven")
def test_the_query_is_kept_from_page_to_page(client: TestClient, tokens: Tokens) -> None:
    query = {"payment_status": "completed", "x": "a b&c", "page": 2, "page_size": 2}
    body = seen(client, HISTORY, tokens.of(), **query)
    assert (body["count"], len(body["results"])) == (5, 2)
    assert body["next"] == f"{HISTORY}?payment_status=completed&x=a+b%26c&page_size=2&page=3"
    assert len(seen(client, body["next"], tokens.of())["results"]) == 1


@pytest.mark.usefixtures("seven")
def test_a_page_that_is_not_there_is_404(client: TestClient, tokens: Tokens) -> None:
    for path in ROUTES:
        for page in ("0", "-1", "9", "two", "", "1.0", " 1", "9" * 30, "٢", "0" * 9000 + "x", "1\0"):
            answer = client.get(path, params={"page": page}, headers=tokens.of())
            assert (answer.status_code, answer.json()["error_type"]) == (404, "not_found")


@pytest.mark.usefixtures("seven")
def test_a_page_size_out_of_range_is_the_nearest_one(client: TestClient, tokens: Tokens) -> None:
    sizes = {"2": 2, "0": 1, "-7": 1, "101": 7, "9" * 30: 7, "many": 7, "": 7, "1.5": 7}
    for size, rows in sizes.items():
        assert len(seen(client, HISTORY, tokens.of(), page_size=size)["results"]) == rows


def test_a_page_has_twenty_rows_unless_asked_and_a_hundred_at_most(
    client: TestClient, begin: Begin, tokens: Tokens, today: datetime
) -> None:
    student = add_student(begin, at=today, external_id="user-1")
    for number in range(101):
        credited(begin, student, at=today, expires_at=None, source=f"grant:{number}")
    for path in (PURCHASES, LEDGER):
        for size, rows in (({}, 20), ({"page_size": "rubbish"}, 20), ({"page_size": 5000}, 100)):
            body = seen(client, path, tokens.of(), **size)
            assert (body["count"], len(body["results"])) == (101, rows)


@pytest.mark.usefixtures("seven")
def test_a_filter_leaves_what_fits(client: TestClient, tokens: Tokens) -> None:
    asked: Sequence[tuple[dict[str, str], list[int]]] = (
        ({"payment_status": "completed"}, [5, 4, 3, 2, 1]),
        ({"payment_status": "failed"}, [6]),
        ({"transaction_type": "subscription"}, [7]),
        ({"transaction_type": "package", "payment_status": "failed"}, [6]),
        ({"payment_status": "cancelled"}, []),
        ({"payment_status": "", "transaction_type": ""}, [7, 6, 5, 4, 3, 2, 1]),
    )
    for query, found in asked:
        body = seen(client, HISTORY, tokens.of(), **query)
        assert (body["count"], ids(body)) == (len(found), found)


@pytest.mark.usefixtures("seven")
def test_packages_and_entries_are_filtered_by_their_purchase(client: TestClient, tokens: Tokens) -> None:
    for path in (PURCHASES, LEDGER):
        assert len(ids(seen(client, path, tokens.of(), payment_status="completed", transaction_type="package"))) == 5
        assert ids(seen(client, path, tokens.of(), payment_status="failed")) == []


@pytest.mark.usefixtures("seven")
def test_a_filter_value_nobody_knows_leaves_nothing(client: TestClient, tokens: Tokens) -> None:
    for path in ROUTES:
        for name in ("payment_status", "transaction_type"):
            for value in ("COMPLETED", "nonsense", "a\0b", "'; --", "x" * 3000):
                assert seen(client, path, tokens.of(), **{name: value})["count"] == 0
    for name in ("active_only", "include_consumption"):
        assert seen(client, PURCHASES, tokens.of(), **{name: "maybe"})["count"] == 0


def test_head_answers_as_get_without_a_body(shared_client: TestClient, tokens: Tokens) -> None:
    for path in ROUTES:
        head, get = (shared_client.request(method, path, headers=tokens.of()) for method in ("HEAD", "GET"))
        assert (head.status_code, head.content) == (200, b"")
        assert head.headers["content-length"] == get.headers["content-length"]
        assert head.headers["cache-control"] == "no-store"
        assert shared_client.post(path, headers=tokens.of()).status_code == 405


def test_each_read_is_one_statement_however_many_rows_there_are(
    client: TestClient, begin: Begin, tokens: Tokens, today: datetime
) -> None:
    student = add_student(begin, at=today, external_id="user-1")
    asked = (
        HISTORY,
        f"{HISTORY}?payment_status=completed&transaction_type=package",
        PURCHASES,
        f"{PURCHASES}?active_only=true&include_consumption=true&page_size=100",
        LEDGER,
        f"{LEDGER}?page_size=100&payment_status=completed",
        f"{LEDGER}?at=2099-01-01",
        f"{API}student-balance/check-booking/?duration_hours=1",
        f"{API}student-balance/",
    )
    seen(client, HISTORY, tokens.of())  # the first visit looks whether guests bought for this address
    for _ in range(3):
        for path in asked:
            with counted() as statements:
                seen(client, path, tokens.of())
            assert len(statements) == 1, path
        for number in range(40):
            bought(begin, student, at=today, caller="user-1" if number % 2 else None)
