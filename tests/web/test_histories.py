"""A student finds every payment, package and movement of hours again, and nobody else's."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text
from starlette.testclient import TestClient

from billing.db import Begin
from billing.states import PurchaseState
from tests.support.factories import add_purchase, add_student
from tests.support.records import DAY, bought, credited, taken
from tests.web.reading import HISTORY, LEDGER, PURCHASES, ROUTES, ids, seen, written
from tests.web.support import Tokens, buy


@pytest.fixture
def today() -> datetime:
    """The door asks the clock; rows here lie around the real now, at whole milliseconds as answers write them."""
    return datetime.now(UTC).replace(microsecond=0)


@pytest.mark.parametrize("path", ROUTES)
def test_who_never_bought_has_an_empty_page(shared_client: TestClient, tokens: Tokens, path: str) -> None:
    empty: dict[str, Any] = {"count": 0, "next": None, "previous": None, "results": []}
    assert seen(shared_client, path, tokens.of("nobody")) == empty


@pytest.mark.parametrize("path", ROUTES)
def test_a_token_is_needed(shared_client: TestClient, path: str) -> None:
    assert shared_client.get(path).status_code == 401


@pytest.mark.parametrize("path", ROUTES)
def test_both_prefixes_answer_and_name_themselves(client: TestClient, begin: Begin, tokens: Tokens, path: str) -> None:
    student = add_student(begin, at=datetime.now(UTC), external_id="user-1")
    for _ in range(2):
        bought(begin, student, at=datetime.now(UTC), caller="user-1")
    for prefix in (path, path.replace("/api/finances/api/", "/api/finances/")):
        body = seen(client, prefix, tokens.of(), page_size=1)
        assert (body["count"], body["next"]) == (2, f"{prefix}?page_size=1&page=2")


def test_a_transaction_shows_as_it_is(client: TestClient, begin: Begin, tokens: Tokens, today: datetime) -> None:
    student = add_student(begin, at=today, external_id="user-1")
    paid = bought(begin, student, at=today - DAY, expires_at=today + 9 * DAY)
    queued = add_purchase(begin, at=today, student_id=student, caller_sub="user-1")
    body = seen(client, HISTORY, tokens.of())
    assert body["results"] == [
        {
            "transaction_id": 2,
            "task_id": str(queued.id),
            "transaction_type": "package",
            "plan_name": "Standard Package",
            "amount": "140.00",
            "refunded_eur": "0.00",
            "payment_status": "queued",
            "expires_at": None,
            "created_at": written(today),
            "paid_at": None,
        },
        {
            "transaction_id": 1,
            "task_id": str(paid.id),
            "transaction_type": "package",
            "plan_name": "Standard Package",
            "amount": "140.00",
            "refunded_eur": "0.00",
            "payment_status": "completed",
            "expires_at": written(today + 9 * DAY),
            "created_at": written(today - DAY),
            "paid_at": written(today - DAY),
        },
    ]


def test_what_somebody_else_started_shows_from_payment_on(
    client: TestClient, begin: Begin, tokens: Tokens, today: datetime
) -> None:
    """Anybody can name an address; only money makes it the business of the student who has it."""
    student = add_student(begin, at=today, external_id="user-1")
    bought(begin, student, at=today, caller="aunt")
    bought(begin, student, at=today)
    for caller in ("aunt", None):
        add_purchase(begin, at=today, state=PurchaseState.PENDING, student_id=student, caller_sub=caller)
    own = add_purchase(begin, at=today, state=PurchaseState.FAILED, student_id=student, caller_sub="user-1")
    assert ids(seen(client, HISTORY, tokens.of())) == [5, 2, 1]
    assert own.transaction_id == 5
    assert ids(seen(client, HISTORY, tokens.of("aunt"))) == [3, 1]
    assert ids(seen(client, PURCHASES, tokens.of("aunt"))) == ids(seen(client, LEDGER, tokens.of("aunt"))) == []


def test_a_purchase_shows_to_its_buyer_before_a_worker_knows_whose_it_is(client: TestClient, tokens: Tokens) -> None:
    task = buy(client, **tokens.of("fresh")).json()["task_id"]
    (row,) = seen(client, HISTORY, tokens.of("fresh"))["results"]
    assert (row["task_id"], row["payment_status"]) == (task, "queued")
    assert ids(seen(client, HISTORY, tokens.of("stranger", email="ana@example.com"))) == []


def test_a_guests_purchases_show_to_whoever_proves_the_address(
    client: TestClient, begin: Begin, tokens: Tokens, today: datetime
) -> None:
    bought(begin, add_student(begin, "guest@example.com", at=today), at=today)
    for path in ROUTES:
        proven = tokens.of("user-1", email="Guest@example.com")
        claimed = tokens.of("user-2", email="guest@example.com", email_verified=False)
        assert ids(seen(client, path, proven)) == [1]
        assert ids(seen(client, path, claimed)) == []


@pytest.mark.parametrize("path", ROUTES)
def test_nobody_sees_anothers_rows(
    client: TestClient, begin: Begin, tokens: Tokens, today: datetime, path: str
) -> None:
    for name in ("user-1", "user-2"):
        student = add_student(begin, f"{name}@example.com", at=today, external_id=name)
        bought(begin, student, at=today, caller=name)
    assert ids(seen(client, path, tokens.of("user-1"))) == [1]
    assert ids(seen(client, path, tokens.of("user-2"))) == [2]


@pytest.mark.parametrize("path", ROUTES)
def test_staff_sees_all_of_an_address_and_nobody_else_does(
    client: TestClient, begin: Begin, tokens: Tokens, today: datetime, path: str
) -> None:
    student = add_student(begin, at=today, external_id="user-1")
    bought(begin, student, at=today, caller="aunt")
    add_purchase(begin, at=today, state=PurchaseState.PENDING, student_id=student, caller_sub="aunt")
    asked = {"email": "ana@example.com"}
    with begin() as session:
        session.execute(text("UPDATE student SET email_verified = true"))
    for role in ("staff", "admin"):
        assert 1 in ids(seen(client, path, tokens.of("boss", roles=[role]), **asked))
    assert (2 in ids(seen(client, path, tokens.of("boss", roles=["staff"]), **asked))) is (path == HISTORY)
    refused = client.get(path, params=asked, headers=tokens.of("user-1"))
    assert (refused.status_code, refused.json()["error_type"]) == (403, "permission_denied")
    for unknown in ("nobody@example.com", "rubbish", ""):
        asked = {"email": unknown}
        assert client.get(path, params=asked, headers=tokens.of("boss", roles=["staff"])).status_code == 404


def test_a_package_shows_what_is_left_of_it(client: TestClient, begin: Begin, tokens: Tokens, today: datetime) -> None:
    student = add_student(begin, at=today, external_id="user-1")
    bought(begin, student, at=today - 60 * DAY, expires_at=today - DAY)
    bought(begin, student, at=today, expires_at=today + 45 * DAY)
    credited(begin, student, at=today, expires_at=None, minutes=30)
    taken(begin, 2, 90, at=today)
    grant, living, expired = seen(client, PURCHASES, tokens.of())["results"]
    assert living.pop("days_until_expiry") in (44, 45)
    assert living == {
        "transaction_id": 2,
        "plan_name": "Standard Package",
        "hours_included": "10.00",
        "hours_consumed": "1.50",
        "hours_remaining": "8.50",
        "expires_at": written(today + 45 * DAY),
        "is_expired": False,
    }
    assert (expired["is_expired"], expired["hours_remaining"], expired["days_until_expiry"]) == (True, "0.00", 0)
    assert (grant["transaction_id"], grant["plan_name"], grant["expires_at"]) == (None, "Grant", None)
    for yes in ("true", "1", "True"):
        assert ids(seen(client, PURCHASES, tokens.of(), active_only=yes)) == [None, 2]
    for no in ("false", "0", ""):
        assert ids(seen(client, PURCHASES, tokens.of(), active_only=no)) == [None, 2, 1]


def test_consumption_is_told_when_asked_for(client: TestClient, begin: Begin, tokens: Tokens, today: datetime) -> None:
    student = add_student(begin, at=today, external_id="user-1")
    bought(begin, student, at=today)
    assert "consumption" not in seen(client, PURCHASES, tokens.of())["results"][0]
    taken(begin, 1, 90, at=today, session="monday")
    taken(begin, 1, 50, at=today + timedelta(seconds=1), session="tuesday")
    (row,) = seen(client, PURCHASES, tokens.of(), include_consumption="true")["results"]
    assert row["consumption"] == [
        {
            "id": 3,
            "at": written(today + timedelta(seconds=1)),
            "kind": "consume",
            "hours": "-0.83",
            "minutes": -50,
            "source": "session:tuesday:lot:1",
        },
        {
            "id": 2,
            "at": written(today),
            "kind": "consume",
            "hours": "-1.50",
            "minutes": -90,
            "source": "session:monday:lot:1",
        },
    ]


def test_what_was_wholly_given_back_stays_a_purchase_and_is_no_active_one(
    client: TestClient, begin: Begin, tokens: Tokens, today: datetime
) -> None:
    student = add_student(begin, at=today, external_id="user-1")
    bought(begin, student, at=today)
    with begin() as session:
        session.execute(text("UPDATE purchase SET state = 'refunded', refunded_cents = price_cents"))
        session.execute(text("UPDATE hour_lot SET minutes_left = 0, minutes_refunded = minutes_granted"))
    assert seen(client, PURCHASES, tokens.of())["results"][0]["hours_remaining"] == "0.00"
    assert ids(seen(client, PURCHASES, tokens.of(), payment_status="refunded")) == [1]
    assert ids(seen(client, PURCHASES, tokens.of(), active_only="true")) == []
    assert seen(client, HISTORY, tokens.of())["results"][0]["refunded_eur"] == "140.00"


def test_an_entry_shows_what_moved_and_what_it_left(
    client: TestClient, begin: Begin, tokens: Tokens, today: datetime
) -> None:
    student = add_student(begin, at=today, external_id="user-1")
    purchase = bought(begin, student, at=today)
    taken(begin, 1, 50, at=today)
    assert seen(client, LEDGER, tokens.of())["results"] == [
        {
            "id": 2,
            "at": written(today),
            "kind": "consume",
            "hours": "-0.83",
            "minutes": -50,
            "transaction_id": None,
            "source": "session:s1:lot:1",
            "balance_after": "9.17",
        },
        {
            "id": 1,
            "at": written(today),
            "kind": "credit",
            "hours": "10.00",
            "minutes": 600,
            "transaction_id": 1,
            "source": f"purchase:{purchase.id}:paid",
            "balance_after": "10.00",
        },
    ]


def explained(client: TestClient, tokens: Tokens, at: str) -> dict[str, Any]:
    found: dict[str, Any] = seen(client, LEDGER, tokens.of(), at=at)["explanation"]
    return found


def test_the_balance_of_any_date_is_explained(client: TestClient, begin: Begin, tokens: Tokens) -> None:
    """Entries up to then, and what they add up to; expired hours count as expired before the sweep writes them off."""
    noon = datetime(2026, 3, 2, 12, tzinfo=UTC)
    student = add_student(begin, at=noon, external_id="user-1")
    bought(begin, student, at=noon, expires_at=noon + 10 * DAY)
    taken(begin, 1, 90, at=noon + DAY, session="a")
    credited(begin, student, at=noon + 2 * DAY, expires_at=None, minutes=60)
    taken(begin, 1, 30, at=noon + 11 * DAY, session="late")
    day_after = seen(client, LEDGER, tokens.of(), at="2026-03-03")
    assert (day_after["count"], ids(day_after, "id")) == (2, [2, 1])
    assert day_after["explanation"] == {
        "at": "2026-03-03T23:59:59.999Z",
        "minutes_by_kind": {"credit": 600, "consume": -90},
        "minutes": 510,
        "hours": "8.50",
        "minutes_expired_unwritten": 0,
        "minutes_remaining": 510,
        "remaining_hours": "8.50",
    }
    assert explained(client, tokens, "2026-03-02T11:59:59.999Z")["minutes_by_kind"] == {}
    assert explained(client, tokens, "2026-03-02T12:00:00Z")["minutes"] == 600
    assert explained(client, tokens, "2026-03-02T13:00:00+01:00")["minutes"] == 600
    at_expiry = explained(client, tokens, "2026-03-12T12:00:00Z")
    assert (at_expiry["minutes"], at_expiry["minutes_expired_unwritten"], at_expiry["minutes_remaining"]) == (
        570,
        510,
        60,
    )
    assert explained(client, tokens, "2026-03-12T11:59:59Z")["minutes_remaining"] == 570
    assert explained(client, tokens, "2099-01-01")["minutes_remaining"] == 60


def test_a_day_ends_where_business_is(client: TestClient, begin: Begin, tokens: Tokens) -> None:
    """In summer Lisbon's day ends an hour before the one of UTC."""
    student = add_student(begin, at=datetime(2026, 7, 1, tzinfo=UTC), external_id="user-1")
    credited(begin, student, at=datetime(2026, 7, 1, 23, 30, tzinfo=UTC), expires_at=None)
    assert explained(client, tokens, "2026-07-01")["minutes"] == 0
    assert explained(client, tokens, "2026-07-02")["minutes"] == 600


@pytest.mark.parametrize(
    "at", ["yesterday", "2026-13-01", "2026-02-30", "2026-03-02T12:00:00", "9999-12-31", "1", "a\0"]
)
def test_a_date_that_is_none_is_refused(shared_client: TestClient, tokens: Tokens, at: str) -> None:
    answer = shared_client.get(LEDGER, params={"at": at}, headers=tokens.of())
    assert (answer.status_code, list(answer.json()["field_errors"])) == (400, ["at"])


@pytest.mark.parametrize("at", ["2026-03-02", "20260302", "2026-W10-1", "0001-01-01", "2026-03-02T12:00:00.5Z"])
def test_every_iso_date_and_instant_is_understood(shared_client: TestClient, tokens: Tokens, at: str) -> None:
    assert explained(shared_client, tokens, at)["minutes"] == 0


def test_the_plus_of_an_offset_may_be_unquoted(shared_client: TestClient, tokens: Tokens) -> None:
    answer = shared_client.get(f"{LEDGER}?at=2026-03-02T13:00:00+01:00", headers=tokens.of())
    assert answer.json()["explanation"]["at"] == "2026-03-02T12:00:00.000Z"
