"""Staff look through everybody's purchases: whose they are, narrowed, found and ordered as asked."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from starlette.testclient import TestClient

from billing.db import Begin
from billing.models import Purchase
from billing.states import PlanType, PurchaseState
from tests.support.factories import add_purchase, add_student
from tests.support.records import bought
from tests.support.statements import counted
from tests.web.reading import HISTORY, ids, seen, written
from tests.web.support import API, Tokens

TRANSACTIONS = f"{API}admin/payments/transactions/"
SECOND = timedelta(seconds=1)
Get = Callable[..., dict[str, Any]]


@pytest.fixture
def get(client: TestClient, tokens: Tokens) -> Get:
    def read(**query: Any) -> dict[str, Any]:
        return seen(client, TRANSACTIONS, tokens.of("staff-1", roles=["staff"]), **query)

    return read


@pytest.fixture
def refused(client: TestClient, tokens: Tokens) -> Callable[..., list[str]]:
    """The fields that a 400 complains of."""

    def read(**query: Any) -> list[str]:
        answer = client.get(TRANSACTIONS, params=query, headers=tokens.of("staff-1", roles=["staff"]))
        assert (answer.status_code, answer.json()["error_type"]) == (400, "validation_error"), answer.text
        return [*answer.json()["field_errors"]]

    return read


@pytest.fixture
def four(begin: Begin, now: datetime) -> Sequence[Purchase]:
    """Of a student, of nobody yet, failed, and of a subscription that is about to be paid; an hour lies between two."""
    rui = add_student(begin, "rui@example.com", at=now)
    return [
        bought(begin, rui, at=now),
        add_purchase(begin, at=now + timedelta(hours=1), email="Eva@example.com", buyer_name="Eva Brás"),
        add_purchase(
            begin,
            at=now + timedelta(hours=2),
            state=PurchaseState.FAILED,
            error_type="card_error",
            price_cents=7_500,
            email="eva@example.com",
            buyer_name="Eva Brás",
        ),
        add_purchase(
            begin,
            at=now + timedelta(hours=3),
            state=PurchaseState.PENDING,
            plan_type=PlanType.SUBSCRIPTION,
            price_cents=19_900,
            validity_days=None,
            student_id=rui,
        ),
    ]


def test_a_row_says_what_its_buyer_sees_and_whose_it_is(
    client: TestClient, tokens: Tokens, begin: Begin, get: Get
) -> None:
    """Staff and a student who speak of the same purchase have the same figures before them."""
    today = datetime.now(UTC)
    student = add_student(begin, "user-1@example.com", at=today, external_id="user-1")
    purchase = bought(begin, student, at=today, expires_at=today + timedelta(days=45), caller="user-1")
    (row,) = get()["results"]
    (own,) = seen(client, HISTORY, tokens.of())["results"]
    assert row == {
        **own,
        "student": {"id": student, "name": "Ana", "email": "user-1@example.com"},
        "buyer_name": "Ana",
        "buyer_email": "ana@example.com",
        "payment_intent_id": purchase.payment_intent_id,
        "error_type": None,
    }
    assert (row["expires_at"], row["paid_at"]) == (written(today + timedelta(days=45)), written(today))


def test_what_nobody_has_paid_is_there_too(get: Get, four: Sequence[Purchase]) -> None:
    """Who asks why a payment failed has no student yet."""
    row = {one["transaction_id"]: one for one in get()["results"]}[3]
    assert (row["payment_status"], row["error_type"], row["student"]) == ("failed", "card_error", None)
    assert (row["buyer_name"], row["buyer_email"]) == ("Eva Brás", "eva@example.com")
    assert (row["payment_intent_id"], row["paid_at"]) == (four[2].payment_intent_id, None)
    assert row["expires_at"] is None


@pytest.mark.usefixtures("four")
@pytest.mark.parametrize(
    ("query", "numbers"),
    [
        ({}, {1, 2, 3, 4}),
        ({"payment_status": "completed"}, {1}),
        ({"payment_status": "failed"}, {3}),
        ({"payment_status": "COMPLETED"}, set()),
        ({"transaction_type": "subscription"}, {4}),
        ({"transaction_type": "package", "payment_status": "queued"}, {2}),
        ({"transaction_type": "nonsense"}, set()),
        ({"payment_status": "", "transaction_type": "", "search": "", "date_from": "", "ordering": ""}, {1, 2, 3, 4}),
        ({"search": "EVA@example"}, {2, 3}),
        ({"search": " brás "}, {2, 3}),
        ({"search": "rui@example.com"}, {1, 4}),
        ({"search": "3"}, {3}),
        ({"search": "#3"}, {3}),
        ({"search": "nobody"}, set()),
        ({"search": "%"}, set()),
        ({"search": "   "}, {1, 2, 3, 4}),
        ({"search": "a\0b"}, set()),
        ({"search": "9" * 5000}, set()),
        ({"search": "eva", "payment_status": "failed"}, {3}),
        ({"search": "eva", "date_to": "2026-03-02T13:00:00Z"}, {2}),
    ],
)
def test_the_list_can_be_narrowed(get: Get, query: dict[str, str], numbers: set[int]) -> None:
    body = get(**query)
    assert (body["count"], set(ids(body))) == (len(numbers), numbers)


def test_a_purchase_is_found_by_what_people_have_at_hand(get: Get, four: Sequence[Purchase]) -> None:
    """A buyer names the task of the page, Stripe's dashboard the payment."""
    for number, purchase in enumerate(four, start=1):
        assert ids(get(search=str(purchase.id))) == [number]
        if purchase.payment_intent_id:
            assert ids(get(search=purchase.payment_intent_id)) == [number]


def test_the_number_of_a_student_is_no_number_of_a_purchase(get: Get, begin: Begin, now: datetime) -> None:
    """Both count from one: who looks for purchase 1 does not want all purchases of student 1."""
    student = add_student(begin, at=now)
    bought(begin, student, at=now)
    bought(begin, student, at=now)
    assert student == 1
    assert ids(get(search="1")) == [1]


@pytest.mark.parametrize(
    ("query", "numbers"),
    [
        ({"date_from": "2026-07-10"}, {2, 3, 4}),
        ({"date_to": "2026-07-10"}, {1, 2, 3}),
        ({"date_from": "2026-07-10", "date_to": "2026-07-10"}, {2, 3}),
        ({"date_from": "2026-07-10T00:00:00+01:00"}, {2, 3, 4}),
        ({"date_from": "2026-07-09T22:59:59Z", "date_to": "2026-07-09T23:00:00Z"}, {1, 2}),
        ({"date_from": "2026-07-09T23:00:00.5Z", "date_to": "2026-07-10T23:00:00Z"}, {3, 4}),
        ({"date_from": "2026-07-11", "date_to": "2026-07-10"}, set()),
    ],
)
def test_a_date_is_a_whole_day_of_the_business(
    get: Get, begin: Begin, query: dict[str, str], numbers: set[int]
) -> None:
    """In summer Lisbon is an hour ahead of UTC: its day begins and ends at 23:00."""
    begins, ends = (datetime(2026, 7, day, 23, tzinfo=UTC) for day in (9, 10))
    for at in (begins - SECOND, begins, ends - timedelta.resolution, ends):
        add_purchase(begin, at=at)
    assert set(ids(get(**query))) == numbers


@pytest.mark.parametrize("name", ["date_from", "date_to"])
@pytest.mark.parametrize("given", ["soon", "2026-13-01", "2026-03-02T12:00:00", "2026-02-30", "a\0b", "1772452800"])
def test_a_time_that_is_none_is_400(refused: Callable[..., list[str]], name: str, given: str) -> None:
    """An empty page would say that nothing was bought."""
    assert refused(**{name: given}) == [name]


@pytest.mark.parametrize(
    ("ordering", "numbers"),
    [
        (None, [5, 4, 3, 1, 2]),
        ("-created_at", [5, 4, 3, 1, 2]),
        ("created_at", [2, 1, 3, 4, 5]),
        ("amount", [3, 1, 2, 4, 5]),
        ("-amount", [5, 4, 2, 1, 3]),
        ("paid_at", [2, 4, 5, 1, 3]),
        ("-paid_at", [5, 4, 2, 3, 1]),
    ],
)
def test_rows_come_in_the_order_that_is_asked_for(
    get: Get, begin: Begin, now: datetime, ordering: str | None, numbers: Sequence[int]
) -> None:
    """A later period of a subscription may come to be known after younger purchases: numbers alone are no order.

    What is alike keeps its order from page to page, or a row would be shown twice and another never.
    """
    student = add_student(begin, at=now)
    paid: dict[str, Any] = {"state": PurchaseState.COMPLETED, "student_id": student}
    add_purchase(begin, at=now)
    add_purchase(begin, at=now - SECOND, **paid)
    add_purchase(begin, at=now, price_cents=7_500)
    add_purchase(begin, at=now + SECOND, **paid, price_cents=20_000)
    add_purchase(begin, at=now + SECOND, **paid, price_cents=20_000)
    asked = {"ordering": ordering} if ordering else {}
    assert ids(get(**asked)) == numbers
    assert [ids(get(**asked, page_size=1, page=page)) for page in range(1, 6)] == [[number] for number in numbers]


@pytest.mark.parametrize("given", ["price", "--amount", "AMOUNT", "amount,paid_at", "a\0b"])
def test_an_order_that_is_not_there_is_400(refused: Callable[..., list[str]], given: str) -> None:
    assert refused(ordering=given) == ["ordering"]


@pytest.mark.usefixtures("four")
def test_pages_keep_what_was_asked_and_end(client: TestClient, tokens: Tokens, get: Get) -> None:
    body = get(ordering="created_at", page_size=3, search="example.com")
    assert (body["count"], ids(body), body["previous"]) == (4, [1, 2, 3], None)
    after = seen(client, body["next"], tokens.of("staff-1", roles=["staff"]))
    assert (after["count"], ids(after), after["next"]) == (4, [4], None)
    for query in ({"page": "3", "page_size": "2"}, {"page": "x"}, {"page": "2", "search": "nobody"}):
        answer = client.get(TRANSACTIONS, params=query, headers=tokens.of("staff-1", roles=["admin"]))
        assert (answer.status_code, answer.json()["error_type"]) == (404, "not_found")


@pytest.mark.usefixtures("four")
def test_a_page_is_one_statement(get: Get) -> None:
    """Rows and their number are of the same moment."""
    for query in ({}, {"search": "eva", "ordering": "-paid_at", "date_from": "2026-03-01", "payment_status": "failed"}):
        with counted() as statements:
            get(**query)
        assert len(statements) == 1
