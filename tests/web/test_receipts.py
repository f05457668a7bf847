"""Whoever paid, or was paid for, has the receipt as a list and as a file; nobody else learns that there is one."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text
from starlette.testclient import TestClient

from billing.config import Settings
from billing.db import Begin
from billing.ids import new_id
from billing.receipts.invoice import set_invoice
from tests.support.factories import add_student
from tests.support.receipts import issued, lines_of, paid
from tests.web.reading import ids, seen, written
from tests.web.support import API, Tokens

RECEIPTS = f"{API}student-balance/receipts/"
EMPTY: dict[str, Any] = {"count": 0, "next": None, "previous": None, "results": []}


@pytest.fixture
def today() -> datetime:
    """In whole milliseconds, as answers write them."""
    return datetime.now(UTC).replace(microsecond=0)


@pytest.fixture
def student(begin: Begin, today: datetime) -> int:
    student_id = add_student(begin, at=today, external_id="user-1")
    with begin() as session:
        session.execute(text("UPDATE student SET email_verified = true"))
    return student_id


def download_path(receipt_id: object) -> str:
    return f"{RECEIPTS}{receipt_id}/download/"


def receipt_of(begin: Begin, settings: Settings, student: int, at: datetime, **facts: Any) -> Mapping[str, Any]:
    purchase = paid(begin, student, at=at, **facts)
    (row,) = [row for row in issued(begin, settings, at=at) if row["purchase_id"] == purchase.id]
    return row


def test_a_receipt_shows_as_it_is(
    client: TestClient, begin: Begin, settings: Settings, tokens: Tokens, student: int, today: datetime
) -> None:
    row = receipt_of(begin, settings, student, today)
    assert seen(client, RECEIPTS, tokens.of())["results"] == [
        {
            "id": str(row["id"]),
            "receipt_number": f"R-{row['year']}-000001",
            "transaction_id": row["facts"]["transaction_id"],
            "amount": "140.00",
            "invoice_ref": None,
            "issued_at": written(today),
            "download_url": download_path(row["id"]),
        }
    ]


def test_a_receipt_is_downloaded_under_its_number(
    client: TestClient, begin: Begin, settings: Settings, tokens: Tokens, student: int, today: datetime
) -> None:
    """Byte for byte what was printed once, and kept by no cache on the way."""
    row = receipt_of(begin, settings, student, today)
    (shown,) = seen(client, RECEIPTS, tokens.of())["results"]
    answer = client.get(shown["download_url"], headers=tokens.of())
    assert (answer.status_code, answer.content) == (200, row["pdf"])
    assert answer.headers["Content-Type"] == "application/pdf"
    assert answer.headers["Content-Disposition"] == f'attachment; filename="{shown["receipt_number"]}.pdf"'
    assert answer.headers["Cache-Control"] == "private, no-store"
    assert shown["receipt_number"] in lines_of(answer.content)


def test_the_newest_number_stands_first_and_pages_lead_on(
    client: TestClient, begin: Begin, settings: Settings, tokens: Tokens, student: int, today: datetime
) -> None:
    for past in (3, 2, 1):
        paid(begin, student, at=today - timedelta(hours=past))
    issued(begin, settings, at=today)
    first = seen(client, RECEIPTS, tokens.of(), page_size=2)
    second = seen(client, first["next"], tokens.of())
    assert [ids(first, "receipt_number"), ids(second, "receipt_number")] == [
        [f"R-{today.year}-000003", f"R-{today.year}-000002"],
        [f"R-{today.year}-000001"],
    ]
    assert (first["count"], second["next"]) == (3, None)
    assert client.get(RECEIPTS, headers=tokens.of(), params={"page": 3}).status_code == 404


def test_what_is_not_issued_yet_is_not_there_yet(
    client: TestClient, begin: Begin, tokens: Tokens, student: int, today: datetime
) -> None:
    paid(begin, student, at=today)
    with begin() as session:
        receipt_id = session.execute(text("SELECT id FROM receipt")).scalar_one()
    assert seen(client, RECEIPTS, tokens.of()) == EMPTY
    assert client.get(download_path(receipt_id), headers=tokens.of()).status_code == 404


def test_an_invoice_shows_as_soon_as_it_is_known(
    client: TestClient, begin: Begin, settings: Settings, tokens: Tokens, student: int, today: datetime
) -> None:
    row = receipt_of(begin, settings, student, today)
    with begin() as session:
        set_invoice(session, row["id"], "FT 2026/17")
    assert ids(seen(client, RECEIPTS, tokens.of()), "invoice_ref") == ["FT 2026/17"]
    assert "FT 2026/17" in lines_of(client.get(download_path(row["id"]), headers=tokens.of()).content)


def test_money_that_went_back_leaves_the_receipt(
    client: TestClient, begin: Begin, settings: Settings, tokens: Tokens, student: int, today: datetime
) -> None:
    """It was paid; the history says what came back."""
    row = receipt_of(begin, settings, student, today)
    with begin() as session:
        session.execute(text("UPDATE purchase SET state = 'refunded', refunded_cents = price_cents"))
    assert ids(seen(client, RECEIPTS, tokens.of()), "amount") == ["140.00"]
    assert client.get(download_path(row["id"]), headers=tokens.of()).status_code == 200


def test_a_receipt_is_of_its_student_only(
    client: TestClient, begin: Begin, settings: Settings, tokens: Tokens, student: int, today: datetime
) -> None:
    """Two students, every route: each has his own, and the other's is not there."""
    other = add_student(begin, "eve@example.com", at=today, external_id="user-2")
    own = {"user-1": receipt_of(begin, settings, student, today), "user-2": receipt_of(begin, settings, other, today)}
    for reader in own:
        headers = tokens.of(reader)
        assert ids(seen(client, RECEIPTS, headers), "id") == [str(own[reader]["id"])]
        for owner, row in own.items():
            answer = client.get(download_path(row["id"]), headers=headers)
            assert answer.status_code == (200 if owner == reader else 404)
            if owner != reader:
                unknown = client.get(download_path(new_id()), headers=headers)
                assert {**answer.json(), "request_id": ""} == {**unknown.json(), "request_id": ""}


def test_who_paid_for_somebody_else_has_the_receipt_too(
    client: TestClient, begin: Begin, settings: Settings, tokens: Tokens, student: int, today: datetime
) -> None:
    """A guardian pays, a student has the hours: both see the purchase, both may prove the payment."""
    row = receipt_of(begin, settings, student, today, caller_sub="guardian")
    for reader in ("user-1", "guardian"):
        assert ids(seen(client, RECEIPTS, tokens.of(reader)), "id") == [str(row["id"])]
        assert client.get(download_path(row["id"]), headers=tokens.of(reader)).status_code == 200


def test_one_who_paid_for_himself_has_one_receipt(
    client: TestClient, begin: Begin, settings: Settings, tokens: Tokens, student: int, today: datetime
) -> None:
    receipt_of(begin, settings, student, today, caller_sub="user-1")
    assert seen(client, RECEIPTS, tokens.of())["count"] == 1


def test_what_a_guest_bought_is_for_whoever_proves_the_address(
    client: TestClient, begin: Begin, settings: Settings, tokens: Tokens, today: datetime
) -> None:
    guest = add_student(begin, "guest@example.com", at=today)
    row = receipt_of(begin, settings, guest, today)
    for is_proven, status in ((False, 404), (True, 200)):
        headers = tokens.of("user-9", email="guest@example.com", email_verified=is_proven)
        assert client.get(download_path(row["id"]), headers=headers).status_code == status


def test_staff_find_receipts_by_address(
    client: TestClient, begin: Begin, settings: Settings, tokens: Tokens, student: int, today: datetime
) -> None:
    """The address of the file that they are shown works as it stands; without the student's address it does not."""
    row = receipt_of(begin, settings, student, today)
    staff = tokens.of("staff-1", roles=["staff"])
    (shown,) = seen(client, RECEIPTS, staff, email="ana@example.com")["results"]
    assert client.get(shown["download_url"], headers=staff).content == row["pdf"]
    assert client.get(download_path(row["id"]), headers=staff).status_code == 404
    assert seen(client, RECEIPTS, staff) == EMPTY


def test_staff_do_not_find_it_under_another_address(
    client: TestClient, begin: Begin, settings: Settings, tokens: Tokens, student: int, today: datetime
) -> None:
    add_student(begin, "eve@example.com", at=today, external_id="user-2")
    row = receipt_of(begin, settings, student, today)
    staff = tokens.of("staff-1", roles=["admin"])
    for address in ("eve@example.com", "nobody@example.com"):
        answer = client.get(download_path(row["id"]), headers=staff, params={"email": address})
        assert answer.status_code == 404
    assert client.get(RECEIPTS, headers=staff, params={"email": "nobody@example.com"}).status_code == 404


@pytest.mark.parametrize("path", [RECEIPTS, download_path(UUID(int=1))])
def test_only_staff_may_name_an_address(shared_client: TestClient, tokens: Tokens, path: str) -> None:
    for roles in (["student"], ["guardian"], ["service"]):
        answer = shared_client.get(path, headers=tokens.of(roles=roles), params={"email": "eve@example.com"})
        assert (answer.status_code, answer.json()["error_type"]) == (403, "permission_denied")


@pytest.mark.parametrize("path", [RECEIPTS, download_path(UUID(int=1))])
def test_a_token_is_needed(shared_client: TestClient, path: str) -> None:
    assert shared_client.get(path).status_code == 401
    assert shared_client.get(path, headers={"Authorization": "Bearer none"}).status_code == 401
    assert shared_client.post(path).status_code == 405


def test_who_never_paid_has_an_empty_page(shared_client: TestClient, tokens: Tokens) -> None:
    assert seen(shared_client, RECEIPTS, tokens.of("nobody")) == EMPTY


@pytest.mark.parametrize("receipt_id", ["1", "x", "R-2026-000001"])
def test_what_is_no_id_is_not_there(shared_client: TestClient, tokens: Tokens, receipt_id: str) -> None:
    assert shared_client.get(download_path(receipt_id), headers=tokens.of()).status_code == 404


def test_both_prefixes_answer(
    client: TestClient, begin: Begin, settings: Settings, tokens: Tokens, student: int, today: datetime
) -> None:
    row = receipt_of(begin, settings, student, today)
    for path in (RECEIPTS, download_path(row["id"])):
        twin = path.replace("/api/finances/api/", "/api/finances/")
        assert client.get(twin, headers=tokens.of()).content == client.get(path, headers=tokens.of()).content
