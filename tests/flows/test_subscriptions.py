"""Subscriptions from the first payment to the last, through every process, while months pass."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest

from billing.ids import new_id
from tests.flows.subscribing import (
    DAY,
    HOUR,
    LIVE,
    MONTHLY,
    STUDENT,
    WAIT,
    Student,
    Time,
    confirm,
    pipeline,
    proven,
)
from tests.support.servers import RunningPostgres, RunningValkey
from tests.support.stack import PREFIX, Stack, eventually

LOTS = """
    SELECT count(*), coalesce(sum(minutes_granted), 0) AS granted, coalesce(sum(minutes_expired), 0) AS expired
    FROM hour_lot WHERE student_id = :id
"""
HERE = ("purchase", "subscription", "hour_lot", "stripe_customer", "payment_method", "stale_mark", "staff_case")


@pytest.fixture(scope="module")
def stack(
    postgres: RunningPostgres, valkey: RunningValkey, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stack]:
    """With the processes of lessons, staff and receipts."""
    folder = tmp_path_factory.mktemp("flow_subscriptions")
    with pipeline(postgres, valkey, folder, "flow_subscriptions", "hours", "maintenance") as running:
        yield running


@pytest.fixture(scope="module")
def time(stack: Stack) -> Time:
    """The one time that all tests of this module live in: each of them goes on from where it found it."""
    return Time(stack)


@pytest.fixture
def student(stack: Stack, time: Time) -> Iterator[Student]:
    """Afterwards nobody is charged any more, so that the months of other tests are short; the ledger is proven."""
    yield Student(stack)
    for one in stack.stripe.v1.subscriptions.list({"status": "all", "limit": 100}).data:
        if one.status in LIVE:
            stack.stripe.v1.subscriptions.cancel(one.id)
    time.settle()
    proven(stack)


def lots(student: Student) -> tuple[int, int, int]:
    """How many, what they brought and what of it expired, in minutes."""
    with student.stack.begin() as session:
        found = session.connection().exec_driver_sql(LOTS.replace(":id", str(student.student_id))).one()
    return found[0], int(found[1]), int(found[2])


def to_next_period(student: Student, time: Time) -> datetime:
    """Two hours into it: an invoice is a draft for an hour. Gives the end of the one before."""
    end = student.period_end
    time.pass_at_once(end + 2 * HOUR)
    return end


def with_bad_card(student: Student) -> str:
    """Subscribed, and the next renewal will be declined; the good card."""
    student.subscribe()
    good = student.default_card
    student.prefer(student.attach("pm_card_chargeCustomerFail"))
    return good


def test_a_month_brings_its_hours_and_the_next_one_again(student: Student, time: Time) -> None:
    """Paid once in a browser, and from then on by itself: hours, payments and receipts of each period, once."""
    begun = student.subscribe(MONTHLY)
    first_end = student.period_end
    (card,) = student.cards
    assert (card["brand"], card["last4"], card["is_default"]) == ("visa", "4242", True)
    assert student.subscription["hours_this_period"]["hours_remaining"] == "30.00"
    assert [step["step"] for step in begun["timeline"]] == ["accepted", "intent_created", "paid", "credited"]
    eventually(lambda: len(student.receipts) == 1, 20, lambda: "no receipt")
    time.pass_night_by_night(first_end + 2 * DAY)
    student.wait_for(hours="30.00", status="active")
    assert student.period_end > first_end
    assert lots(student) == (2, 3600, 1800)
    assert student.charged == [19_900, 19_900]
    assert [one["payment_status"] for one in student.payments] == ["completed"] * 2
    assert len({one["transaction_id"] for one in student.payments}) == 2
    eventually(lambda: len(student.receipts) == 2, 20, lambda: "no receipt of the renewal")
    assert student.subscription["payments"] == [one["transaction_id"] for one in student.payments]


def test_a_renewal_that_failed_is_paid_with_another_card(student: Student, time: Time) -> None:
    """Nothing new is credited, and nothing old is touched, until the owner pays."""
    with_bad_card(student)
    end = student.period_end
    time.pass_at_once(end - HOUR)
    assert (student.hours, lots(student)) == ("15.00", (1, 900, 0))
    time.pass_at_once(end + 2 * HOUR)
    student.wait_for(status="past_due", hours="0.00")
    dunning = student.subscription["dunning"]
    assert (dunning["amount_due"], dunning["attempts"]) == ("119.00", 1)
    assert datetime.fromisoformat(dunning["next_attempt_at"]) > time.now
    assert dunning["client_secret"].startswith("pi_")
    assert (lots(student), student.charged) == ((1, 900, 0), [11_900])
    assert student.refused("subscription/pay/") == (409, "card_error")
    student.prefer(student.attach("pm_card_mastercard"))
    student.done("subscription/pay/")
    student.wait_for(status="active", hours="15.00", dunning=None)
    time.settle()
    assert (lots(student), student.charged) == ((2, 1800, 0), [11_900, 11_900])
    assert student.refused("subscription/pay/") == (409, "nothing_due")


def test_a_renewal_that_failed_is_paid_by_its_next_try(student: Student, time: Time) -> None:
    """Who saves a good card has nothing else to do: Stripe tries again a day later."""
    good = with_bad_card(student)
    to_next_period(student, time)
    student.wait_for(status="past_due", hours="0.00")
    student.prefer(good)
    time.pass_at_once(time.now + DAY + HOUR)
    student.wait_for(status="active", hours="15.00", dunning=None)
    assert (lots(student)[0], student.charged) == (2, [11_900, 11_900])


def test_a_renewal_that_is_due_is_paid_in_a_browser(student: Student, time: Time) -> None:
    """The door shows the secret that a browser needs."""
    with_bad_card(student)
    to_next_period(student, time)
    student.wait_for(status="past_due")
    confirm(student.stack, student.subscription["dunning"])
    student.wait_for(status="active", hours="15.00", dunning=None)
    assert student.charged == [11_900, 11_900]


def test_a_subscription_that_nobody_pays_ends(student: Student, time: Time) -> None:
    with_bad_card(student)
    end = student.period_end
    time.pass_at_once(end + 12 * DAY)
    student.wait_for(status="canceled", hours="0.00", dunning=None)
    assert student.charged == [11_900]
    assert student.refused("subscription/pay/") == (409, "subscription_ended")


def test_after_a_cancelled_period_nothing_is_charged(student: Student, time: Time) -> None:
    """The hours that were paid live to their end, and it is the end of everything."""
    student.subscribe()
    end = student.period_end
    shown = student.done("subscription/cancel/")["subscription"]
    assert (shown["status"], shown["cancel_at_period_end"]) == ("active", True)
    assert student.refused("subscription/cancel/") == (409, "already_cancelled")
    assert student.refused("subscription/change-plan/", {"plan_id": MONTHLY}) == (409, "cancelled_meanwhile")
    time.pass_at_once(end - HOUR)
    assert (student.hours, student.subscription["status"]) == ("15.00", "active")
    time.pass_at_once(end + 32 * DAY)
    student.wait_for(status="canceled", hours="0.00")
    assert student.charged == [11_900]
    assert student.refused("subscription/resume/") == (409, "subscription_ended")


def test_resumed_before_its_end_it_goes_on(student: Student, time: Time) -> None:
    student.subscribe()
    student.done("subscription/cancel/", {"at_period_end": True})
    shown = student.done("subscription/resume/")["subscription"]
    assert shown["cancel_at_period_end"] is False
    assert student.refused("subscription/resume/") == (409, "not_cancelling")
    to_next_period(student, time)
    student.wait_for(status="active", hours="15.00")
    assert student.charged == [11_900, 11_900]


def test_cancelled_at_once_its_hours_stay_until_the_period_ends(student: Student, time: Time) -> None:
    student.subscribe()
    end = student.period_end
    shown = student.done("subscription/cancel/", {"at_period_end": False})["subscription"]
    assert shown["status"] == "canceled"
    assert student.refused("subscription/cancel/", {"at_period_end": False}) == (409, "already_cancelled")
    time.pass_at_once(end - HOUR)
    assert student.hours == "15.00"
    time.pass_at_once(end + 2 * HOUR)
    assert (student.hours, student.charged) == ("0.00", [11_900])


def test_a_paused_month_costs_nothing_and_brings_nothing(student: Student, time: Time) -> None:
    student.subscribe()
    assert student.done("subscription/pause/")["subscription"]["is_paused"] is True
    assert student.refused("subscription/pause/") == (409, "already_paused")
    assert student.hours == "15.00"
    to_next_period(student, time)
    student.wait_for(status="active", is_paused=True, hours="0.00", dunning=None)
    invoices = student.stack.stripe.v1.invoices.list({"subscription": student.stripe_id}).data
    assert [one.status for one in invoices] == ["void", "paid"]
    assert (lots(student)[0], student.charged) == (1, [11_900])
    assert student.done("subscription/resume/")["subscription"]["is_paused"] is False
    to_next_period(student, time)
    student.wait_for(status="active", is_paused=False, hours="15.00")
    assert (lots(student)[0], student.charged) == (2, [11_900, 11_900])


def test_another_plan_begins_with_the_next_period(student: Student, time: Time) -> None:
    """Upwards and downwards: what this period has and cost stays."""
    student.subscribe(STUDENT)
    for plan_id, now, then in (
        (MONTHLY, ("15.00", STUDENT), ("30.00", MONTHLY)),
        (STUDENT, ("30.00", MONTHLY), ("15.00", STUDENT)),
    ):
        charges = len(student.charged)
        shown = student.done("subscription/change-plan/", {"plan_id": plan_id})["subscription"]
        assert (student.hours, shown["plan"]["id"], shown["next_plan"]["id"]) == (*now, plan_id)
        assert student.refused("subscription/change-plan/", {"plan_id": plan_id}) == (409, "same_plan")
        time.settle()
        assert len(student.charged) == charges
        to_next_period(student, time)
        student.wait_for(status="active", hours=then[0], next_plan=None)
        assert student.subscription["plan"]["id"] == then[1]
    assert student.charged == [11_900, 19_900, 11_900]


def test_a_second_subscription_is_not_sold(student: Student) -> None:
    student.subscribe()
    second = student.begin(MONTHLY)
    failed = student.stack.wait_for(second, "failed")
    assert (failed["error_type"], failed["client_secret"]) == ("already_subscribed", None)
    listed = student.stack.stripe.v1.subscriptions.list({"customer": student.customer_id, "status": "all"}).data
    assert (len(listed), student.charged) == (1, [11_900])


def test_a_subscription_that_is_never_paid_expires(student: Student, time: Time) -> None:
    """Stripe waits for 23 hours; then there is nothing that could be paid."""
    accepted = student.begin()
    student.stack.wait_for(accepted, "pending")
    time.pass_at_once(time.now + 22 * HOUR)
    assert student.stack.status(accepted)["status"] == "pending"
    time.pass_at_once(time.now + 2 * HOUR)
    student.stack.wait_for(accepted, "expired")
    assert (student.hours, student.subscription["status"]) == ("0.00", "incomplete_expired")
    student.subscribe()
    assert student.charged == [11_900]


def test_a_declined_first_payment_may_be_followed_by_a_good_one(student: Student) -> None:
    accepted = student.begin()
    refused = confirm(student.stack, student.stack.wait_for(accepted, "pending"), "pm_card_chargeDeclined")
    assert refused["error"]["code"] == "card_declined"
    failed = student.stack.wait_for(accepted, "failed")
    assert failed["error_type"] == "card_error"
    confirm(student.stack, failed)
    student.wait_for(hours="15.00", status="active")
    assert student.charged == [11_900]


def test_a_subscription_of_an_unknown_customer_changes_nothing(stack: Stack, student: Student, time: Time) -> None:
    """Somebody else's business has the same account at Stripe."""
    before = {table: stack.scalar(f"SELECT count(*) FROM {table}") for table in HERE}  # noqa: S608
    stack.control.delete("/requests")
    there = stack.stripe.v1
    customer = there.customers.create({"name": "Somebody else"}).id
    method = there.payment_methods.attach("pm_card_visa", {"customer": customer}).id
    product = there.products.create({"name": "Something else"}).id
    terms: Any = {"currency": "eur", "unit_amount": 11_900, "recurring": {"interval": "month"}, "product": product}
    order: Any = {"customer": customer, "default_payment_method": method}
    order["items"] = [{"price": there.prices.create(terms).id}]
    theirs = there.subscriptions.create(order)
    time.settle()
    assert {table: stack.scalar(f"SELECT count(*) FROM {table}") for table in HERE} == before  # noqa: S608
    asked = [one["path"] for one in stack.control.get("/requests").json()["requests"] if one["method"] == "GET"]
    assert [path for path in asked if theirs.id in path] == []
    outcomes = (
        "SELECT array_agg(DISTINCT outcome) FROM webhook_event WHERE position(CAST(:theirs AS bytea) IN body) > 0"
    )
    assert stack.scalar(outcomes, theirs=theirs.id.encode()) == ["foreign", "unhandled"]


def renewed(student: Student, time: Time) -> tuple[int, str]:
    """The number and the intent of the payment of a second period."""
    student.subscribe()
    to_next_period(student, time)
    student.wait_for(status="active", hours="15.00")
    number = int(student.payments[0]["transaction_id"])
    of_it = "SELECT payment_intent_id FROM purchase WHERE transaction_id = :number"
    return number, str(student.stack.scalar(of_it, number=number))


def test_a_renewal_is_refunded_by_staff(stack: Stack, student: Student, time: Time) -> None:
    """Money and hours of that period go back; the subscription goes on."""
    number, intent_id = renewed(student, time)
    admin = stack.bearer("admin@example.com", "admin-1", "admin")
    wish = {"transaction_id": number, "reason": "Ana was ill."}
    path = f"{PREFIX}/admin/payments/refunds/"
    answer = stack.door.post(path, json=wish, headers={**admin, **WAIT}, timeout=40)
    assert (answer.status_code, answer.json()["amount"]) == (201, "119.00"), answer.text
    assert [one.amount for one in stack.stripe.v1.refunds.list({"payment_intent": intent_id}).data] == [11_900]
    time.settle()
    assert (student.hours, student.subscription["status"]) == ("0.00", "active")
    assert [one["payment_status"] for one in student.payments] == ["refunded", "completed"]
    to_next_period(student, time)
    student.wait_for(hours="15.00")


def test_a_dispute_about_a_renewal_freezes_its_hours(stack: Stack, student: Student, time: Time) -> None:
    _, intent_id = renewed(student, time)
    made = stack.control.post("/disputes", json={"payment_intent": intent_id})
    assert made.status_code == 200, made.text
    student.wait_for(hours="0.00")
    frozen = "SELECT sum(minutes_frozen) FROM hour_lot WHERE student_id = :id"
    assert stack.scalar(frozen, id=student.student_id) == 900
    stack.control.post(f"/disputes/{made.json()['id']}/won", json={})
    student.wait_for(hours="15.00", status="active")


@pytest.mark.parametrize("is_known", [False, True])
def test_what_a_guest_subscribed_to_goes_on_at_the_account(
    stack: Stack, student: Student, time: Time, *, is_known: bool
) -> None:
    """A guest proves the address later: subscription, hours and cards are the account's, and so is the next month."""
    guest = student.email
    if is_known:
        student.email = f"{new_id().hex[:12]}@example.com"
        stack.wait_for(student.begin(2), "pending")
        student.email = guest
    body = {"plan_id": STUDENT, "student_info": {"name": "Ana", "email": guest}}
    accepted = stack.door.post(f"{PREFIX}/purchase/initiate/", json=body).json()
    confirm(stack, stack.wait_for(accepted, "pending"))
    credited = "SELECT count(*) FROM hour_lot JOIN purchase ON purchase.id = purchase_id WHERE purchase.id = :id"
    eventually(lambda: stack.scalar(credited, id=accepted["task_id"]) == 1, 20)
    time.settle()
    student.wait_for(hours="15.00", status="active")
    assert [card["last4"] for card in student.cards] == ["4242"]
    to_next_period(student, time)
    student.wait_for(hours="15.00", status="active")
    assert lots(student)[:2] == (2, 1800)
    assert student.done("subscription/cancel/")["subscription"]["cancel_at_period_end"] is True


def test_twenty_clicks_on_subscribe_are_one_subscription(student: Student) -> None:
    """With a key, however often."""
    accepted = [student.begin(key=f"click-{student.email}") for _ in range(20)]
    assert len({one["task_id"] for one in accepted}) == 1
    confirm(student.stack, student.stack.wait_for(accepted[0], "pending"))
    student.wait_for(hours="15.00", status="active")
    assert student.charged == [11_900]
