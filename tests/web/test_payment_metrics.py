"""Staff see what a window of time brought: each figure by its own instant, and all of them of the same moment."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text
from starlette.testclient import TestClient

from billing.cli.reading import ask_at
from billing.db import Begin
from billing.deployment import Deployment
from billing.models import PricingPlanVersion
from billing.reads.payment_metrics import PaymentMetricsView, payment_metrics
from billing.secrets import Vault
from billing.staff.wishes import Correct, Extend, Grant
from billing.states import EventState, PurchaseState
from tests.support.factories import add_event, add_purchase, add_student, event_body
from tests.support.hours import Lessons
from tests.support.office import Returns, intent_of
from tests.support.records import credited
from tests.support.staff import StaffRoom
from tests.support.statements import counted
from tests.web.reading import seen
from tests.web.support import API, Tokens

METRICS = f"{API}admin/payments/metrics/"
NO_HOURS = dict.fromkeys(("credited", "consumed", "expired", "refunded", "outstanding"), "0.00")
NO_MONEY = dict.fromkeys(("gross_eur", "refunded_eur", "disputed_eur", "net_eur"), "0.00")
HOUR, MOMENT = timedelta(hours=1), timedelta.resolution
S = PurchaseState
Get = Callable[..., dict[str, Any]]


@pytest.fixture
def today() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)


@pytest.fixture
def get(client: TestClient, tokens: Tokens) -> Get:
    def read(**query: Any) -> dict[str, Any]:
        return seen(client, METRICS, tokens.of("staff-1", roles=["staff"]), **query)

    return read


@pytest.fixture
def returns(begin: Begin, deployment: Deployment, vault: Vault, today: datetime) -> Returns:
    return Returns(begin, deployment, vault, today)


@pytest.fixture
def student(begin: Begin, today: datetime) -> int:
    return add_student(begin, "rui@example.com", at=today)


def made(begin: Begin, at: datetime, *states: PurchaseState, **facts: Any) -> None:
    for state in states:
        add_purchase(begin, at=at, state=state, **facts)


def test_where_nothing_happened_every_figure_is_nought(get: Get) -> None:
    """No share of nothing is made up."""
    body = get()
    window = body.pop("window")
    assert body == {
        "success": True,
        "purchases": dict.fromkeys(("accepted", "completed", "failed", "cancelled", "expired", "pending"), 0),
        "revenue": NO_MONEY,
        "hours": NO_HOURS,
        "refunds": {"count": 0, "amount_eur": "0.00", "failed": 0},
        "disputes": {"opened": 0, "won": 0, "lost": 0, "open": 0},
        "success_rate": None,
        "webhooks": {"received": 0, "applied": 0, "ignored": 0, "parked": 0, "dead": 0},
        "by_plan": [],
    }
    begins, ends = (datetime.fromisoformat(window[name]) for name in ("from", "to"))
    assert (ends - begins, window["hours"]) == (24 * HOUR, 24)


def test_purchases_are_counted_by_what_became_of_them(get: Get, begin: Begin, student: int, today: datetime) -> None:
    """What was given back later was paid: it is no failure. What is on its way is no failure yet."""
    made(begin, today, S.QUEUED, S.PENDING, S.PROCESSING, S.FAILED, S.CANCELLED, S.EXPIRED)
    made(begin, today, S.COMPLETED, S.COMPLETED, S.COMPLETED, student_id=student)
    made(begin, today, S.REFUNDED, student_id=student, refunded_cents=14_000)
    made(begin, today - 25 * HOUR, S.FAILED, S.FAILED)
    body = get()
    assert body["purchases"] == {
        "accepted": 10,
        "completed": 4,
        "failed": 1,
        "cancelled": 1,
        "expired": 1,
        "pending": 3,
    }
    assert body["success_rate"] == "0.57"
    assert get(days=2)["success_rate"] == "0.44"


@pytest.mark.parametrize(
    ("paid", "failed", "rate"), [(1, 0, "1.00"), (0, 1, "0.00"), (1, 1, "0.50"), (2, 1, "0.67"), (1, 7, "0.13")]
)
def test_the_share_that_was_paid_is_rounded_half_up(
    get: Get, begin: Begin, student: int, today: datetime, paid: int, failed: int, rate: str
) -> None:
    made(begin, today, *[S.COMPLETED] * paid, student_id=student)
    made(begin, today, *[S.FAILED] * failed)
    assert get()["success_rate"] == rate


def test_revenue_is_of_when_it_was_paid(get: Get, begin: Begin, student: int, today: datetime) -> None:
    """A purchase of the day before yesterday that is paid today is money of today, and no purchase of today."""
    paid: dict[str, Any] = {"state": S.COMPLETED, "student_id": student}
    add_purchase(begin, at=today - 30 * HOUR, paid_at=today - HOUR, **paid)
    add_purchase(begin, at=today - 30 * HOUR, paid_at=today - 29 * HOUR, **paid)
    add_purchase(begin, at=today - HOUR, plan_version_id=1, price_cents=7_500, **paid)
    add_purchase(begin, at=today - HOUR, plan_version_id=1, price_cents=7_550, **paid)
    made(begin, today - HOUR, S.PENDING, S.FAILED)
    body = get()
    assert (body["purchases"]["accepted"], body["purchases"]["completed"]) == (4, 2)
    assert body["revenue"] == {**NO_MONEY, "gross_eur": "290.50", "net_eur": "290.50"}
    assert body["by_plan"] == [
        {"plan_name": "Basic Package", "count": 2, "amount_eur": "150.50"},
        {"plan_name": "Standard Package", "count": 1, "amount_eur": "140.00"},
    ]
    assert get(hours=48)["revenue"]["gross_eur"] == "430.50"


def test_versions_of_a_plan_are_one_plan(get: Get, begin: Begin, student: int, today: datetime) -> None:
    """A new price makes no other plan of it, as long as it keeps its name."""
    for version, cents in ((2, 14_000), (_next_version(begin), 15_000)):
        made(begin, today, S.COMPLETED, student_id=student, plan_version_id=version, price_cents=cents)
    shown = get()["by_plan"]
    with begin() as session:  # plans are kept from test to test, so this one leaves them as they were
        session.execute(text("SET LOCAL session_replication_role = replica"))
        session.execute(text("DELETE FROM pricing_plan_version WHERE version > 1"))
    assert shown == [{"plan_name": "Standard Package", "count": 2, "amount_eur": "290.00"}]


def _next_version(begin: Begin) -> int:
    with begin() as session:
        facts = session.get_one(PricingPlanVersion, 2).model_dump(exclude={"id", "version", "price_cents"})
        newer = PricingPlanVersion(**facts, version=2, price_cents=15_000)
        session.add(newer)
        session.flush()
        assert newer.id is not None
        return newer.id


def test_what_went_back_is_taken_off(returns: Returns, get: Get) -> None:
    """Refunds that arrived, and disputes that were lost; a refund that failed has moved nothing."""
    returns.refunded(returns.sold(), 7_000)
    failing = returns.sold()
    returns.refunded(failing, 3_000)
    returns.gateway.change_refund("re_2", status="failed")
    returns.hear_of_refunds(failing, "refund.failed")
    returns.hold(returns.sold(), 1_000)
    for cents, ending in ((14_000, "lost"), (14_000, "won"), (14_000, None)):
        dispute = returns.gateway.raise_dispute(intent_of(returns.sold()), cents)
        returns.hear_of_dispute(dispute.id, "charge.dispute.created")
        if ending:
            returns.gateway.change_dispute(dispute.id, ending)
            returns.hear_of_dispute(dispute.id)
    body = get()
    assert body["refunds"] == {"count": 1, "amount_eur": "70.00", "failed": 1}
    assert body["disputes"] == {"opened": 3, "won": 1, "lost": 1, "open": 1}
    assert body["revenue"] == {
        "gross_eur": "840.00",
        "refunded_eur": "70.00",
        "disputed_eur": "140.00",
        "net_eur": "630.00",
    }


def test_more_may_go_back_than_came_in(returns: Returns, get: Get) -> None:
    """What was sold long ago is given back today."""
    sold = returns.sold()
    with returns.desk.begin() as session:
        moved = "accepted_at = accepted_at - interval '3 days', paid_at = paid_at - interval '3 days'"
        session.execute(text(f"UPDATE purchase SET {moved}"))  # noqa: S608
    returns.refunded(sold, 7_000)
    assert get()["revenue"] == {**NO_MONEY, "refunded_eur": "70.00", "net_eur": "-70.00"}


def dispute_two(returns: Returns) -> None:
    """Of which one is lost, and the other is open."""
    for ending in ("lost", None):
        dispute = returns.gateway.raise_dispute(intent_of(returns.sold()), 14_000)
        returns.hear_of_dispute(dispute.id, "charge.dispute.created")
        if ending:
            returns.gateway.change_dispute(dispute.id, ending)
            returns.hear_of_dispute(dispute.id)


def test_refunds_and_verdicts_are_of_when_they_were_decided(returns: Returns, get: Get) -> None:
    """An open dispute is counted as open however long ago it came: it still wants somebody."""
    returns.refunded(returns.sold(), 7_000)
    dispute_two(returns)
    earlier = "{0} = {0} - interval '25 hours'".format
    with returns.desk.begin() as session:
        session.execute(text(f"UPDATE refund SET {earlier('created_at')}, {earlier('decided_at')}"))  # noqa: S608
        session.execute(text(f"UPDATE dispute SET {earlier('opened_at')}, {earlier('decided_at')}"))  # noqa: S608
    body = get()
    assert body["refunds"] == {"count": 0, "amount_eur": "0.00", "failed": 0}
    assert body["disputes"] == {"opened": 0, "won": 0, "lost": 0, "open": 1}
    assert (body["revenue"]["refunded_eur"], body["revenue"]["disputed_eur"]) == ("0.00", "0.00")
    longer = get(hours=26)
    assert longer["refunds"]["count"] == 1
    assert longer["disputes"] == {"opened": 2, "won": 0, "lost": 1, "open": 1}
    assert longer["revenue"]["disputed_eur"] == "140.00"


def test_hours_are_what_the_ledger_moved(get: Get, begin: Begin, today: datetime) -> None:
    """A held hour is not consumed, one that a lesson gave back is not any more; both are the student's still."""
    lessons = Lessons(begin, today)
    lessons.give(600)
    lessons.consumed(90)
    returned = lessons.consumed(60)
    lessons.refund(returned, 45)
    held = lessons.held(120)
    released = lessons.held(30)
    lessons.release(released)
    lessons.work()
    assert get()["hours"] == {**NO_HOURS, "credited": "10.00", "consumed": "1.75", "outstanding": "8.25"}
    lessons.capture(held)
    lessons.work()
    assert get()["hours"] == {**NO_HOURS, "credited": "10.00", "consumed": "3.75", "outstanding": "6.25"}


def test_hours_that_expired_are_nobodys(get: Get, returns: Returns, database_url: str, today: datetime) -> None:
    """They are outstanding no more from the instant of their expiry, written off or not, until somebody extends them.

    What is held of an expired package is the student's until the lesson is over.
    """
    room = StaffRoom(returns.desk.begin, database_url, today)
    returns.sold(used=60, lasts_days=1 / 24)
    credited(room.begin, 1, at=today, expires_at=today + timedelta(days=9), minutes=300)
    entries = {"credited": "15.00", "consumed": "1.00"}
    assert get()["hours"] == {**NO_HOURS, **entries, "outstanding": "14.00"}
    with room.begin() as session:
        session.execute(text("UPDATE hour_lot SET expires_at = :at WHERE id = 1"), {"at": today - HOUR})
    assert get()["hours"] == {**NO_HOURS, **entries, "outstanding": "5.00"}
    room.sweep()
    assert get()["hours"] == {**NO_HOURS, **entries, "expired": "9.00", "outstanding": "5.00"}
    room.do(Extend(transaction_id=1, extension_days=30, extend_from_now=True))
    assert get()["hours"] == {**NO_HOURS, **entries, "outstanding": "14.00"}


def test_hours_that_were_taken_back_are_neither_consumed_nor_outstanding(
    get: Get, returns: Returns, database_url: str, today: datetime
) -> None:
    """With their money, by a lost dispute, or because they should never have been there.

    Of a window that has seen everything, what is outstanding is what was credited less all that went.
    """
    room = StaffRoom(returns.desk.begin, database_url, today)
    returns.refunded(returns.sold(used=120))
    dispute_two(returns)
    room.do(Grant(student_id=1, minutes=90, validity_days=30))
    room.do(Correct(student_id=1, minutes=30))
    assert get()["hours"] == {
        "credited": "31.50",
        "consumed": "2.00",
        "expired": "0.00",
        "refunded": "18.50",
        "outstanding": "11.00",
    }


def test_events_are_counted_by_what_became_of_them(get: Get, begin: Begin, today: datetime) -> None:
    """One that nobody has worked yet is received, and nothing else."""
    states = [EventState.RECEIVED, EventState.ASKING, *[EventState.APPLIED] * 3, EventState.IGNORED, EventState.PARKED]
    states += [EventState.DEAD] * 2
    for state in states:
        _event(begin, state, today)
    _event(begin, EventState.DEAD, today - 25 * HOUR)
    counts = {"received": 9, "applied": 3, "ignored": 1, "parked": 1, "dead": 2}
    assert get()["webhooks"] == counts
    assert get(days=2)["webhooks"] == {**counts, "received": 10, "dead": 3}


def _event(begin: Begin, state: EventState, at: datetime) -> None:
    number = add_event(begin, event_body("balance.available", {"id": "any"}, at=at), at=at)
    facts = {"state": state.value, "id": number, "outcome": "applied" if state is EventState.APPLIED else None}
    closed = "" if state in (EventState.RECEIVED, EventState.ASKING) else ", due_at = NULL, hint_at = NULL"
    with begin() as session:
        statement = f"UPDATE webhook_event SET state = :state, outcome = :outcome{closed} WHERE id = :id"  # noqa: S608
        session.execute(text(statement), facts)


def test_windows_that_follow_each_other_count_everything_once(
    begin: Begin, database_url: str, student: int, today: datetime
) -> None:
    """What happens at the instant at which one ends is of the next one: reports of days add up."""
    for at in (today - HOUR - MOMENT, today - HOUR, today - MOMENT, today):
        add_purchase(begin, at=at, state=S.COMPLETED, student_id=student)
        credited(begin, student, at=at, expires_at=None, source=f"grant:{at.isoformat()}")
        _event(begin, EventState.IGNORED, at)

    def of(since: datetime, until: datetime) -> tuple[int, int, int, int]:
        async def read(connection: Any) -> PaymentMetricsView:
            return await payment_metrics(connection, since=since, until=until)

        found = ask_at(database_url, read)
        return found.accepted, found.plans[0].count, found.hours.credited // 600, found.events[EventState.IGNORED]

    assert of(today - 2 * HOUR, today - HOUR) == (1, 1, 1, 1)
    assert of(today - HOUR, today) == (2, 2, 2, 2)
    assert of(today, today + HOUR) == (1, 1, 1, 1)


@pytest.mark.parametrize(
    ("query", "length"),
    [({"hours": "1"}, 1), ({"hours": "8760"}, 8760), ({"days": "1"}, 24), ({"days": "365"}, 8760), ({}, 24)],
)
def test_a_window_is_as_long_as_asked(get: Get, query: dict[str, str], length: int) -> None:
    window = get(**query)["window"]
    begins, ends = (datetime.fromisoformat(window[name]) for name in ("from", "to"))
    assert (ends - begins, window["hours"]) == (length * HOUR, length)


@pytest.mark.parametrize(
    ("query", "fields"),
    [
        ({"hours": "0"}, ["hours"]),
        ({"hours": "8761"}, ["hours"]),
        ({"hours": "-1"}, ["hours"]),
        ({"hours": "1.5"}, ["hours"]),
        ({"hours": "many"}, ["hours"]),
        ({"hours": ""}, ["hours"]),
        ({"hours": "٢"}, ["hours"]),
        ({"hours": "9" * 5000}, ["hours"]),
        ({"days": "0"}, ["days"]),
        ({"days": "366"}, ["days"]),
        ({"days": " 7"}, ["days"]),
        ({"hours": "24", "days": "1"}, ["hours", "days"]),
        ({"hours": "", "days": "1"}, ["hours", "days"]),
    ],
)
def test_a_window_that_is_none_is_400(
    client: TestClient, tokens: Tokens, query: dict[str, str], fields: list[str]
) -> None:
    """Figures of another time than was asked for would be believed."""
    answer = client.get(METRICS, params=query, headers=tokens.of("staff-1", roles=["staff"]))
    assert (answer.status_code, answer.json()["error_type"]) == (400, "validation_error")
    assert [*answer.json()["field_errors"]] == fields


def test_all_figures_are_of_one_statement(get: Get) -> None:
    """They are of the same moment, and add up."""
    with counted() as statements:
        get(days=365)
    assert len(statements) == 1
