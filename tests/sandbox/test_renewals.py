"""A subscription renews itself by the sandbox's clock, and is ended when nobody pays."""

from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import pytest
import stripe

from billing.sandbox.resources.periods import end_after
from tests.sandbox.contract import differences
from tests.sandbox.running import Receiver, Sandbox
from tests.sandbox.subscribing import (
    DAY,
    HOUR,
    Plan,
    intent_of,
    latest_invoice,
    newest_event,
    pass_time,
    pass_to,
    period_of,
    status_of,
    types_since,
    use,
)
from tests.sandbox.test_contract import assert_fits

RENEWED = [
    "customer.subscription.updated", "invoice.created", "invoice.finalized", "payment_intent.created",
    "invoice.updated", "charge.succeeded", "payment_intent.succeeded", "invoice_payment.paid", "invoice.updated",
    "invoice.paid", "invoice.payment_succeeded",
]  # fmt: skip
FAILED = ["invoice.updated", "charge.failed", "payment_intent.payment_failed", "invoice.payment_failed"]


def at(*date: int) -> int:
    return int(datetime(*date, tzinfo=UTC).timestamp())  # type: ignore[arg-type, misc]  # year, month, day


@pytest.mark.parametrize(
    ("anchor", "start", "end"),
    [
        (at(2026, 1, 31), at(2026, 1, 31), at(2026, 2, 28)),
        (at(2026, 1, 31), at(2026, 2, 28), at(2026, 3, 31)),
        (at(2027, 12, 30), at(2028, 1, 30), at(2028, 2, 29)),
        (at(2026, 12, 15), at(2026, 12, 15), at(2027, 1, 15)),
    ],
)
def test_months_of_different_lengths_keep_the_day_of_the_first(anchor: int, start: int, end: int) -> None:
    """Otherwise a February would move all later periods forward."""
    assert end_after(anchor, {"interval": "month", "interval_count": 1}, start) == end


@pytest.mark.parametrize(
    ("interval", "count", "end"),
    [("day", 3, at(2026, 2, 3)), ("week", 2, at(2026, 2, 14)), ("year", 1, at(2027, 1, 31))],
)
def test_other_intervals_are_counted_too(interval: str, count: int, end: int) -> None:
    start = at(2026, 1, 31)
    assert end_after(start, {"interval": interval, "interval_count": count}, start) == end


def test_it_is_announced_a_week_before(sandbox: Sandbox, receiver: Receiver) -> None:
    active = Plan.of(sandbox).subscribe()
    end = period_of(active)[1]
    pass_to(sandbox, end - 7 * DAY - 60)
    before = newest_event(sandbox)
    pass_time(sandbox, 120)
    assert types_since(sandbox, before) == ["invoice.upcoming"]
    [upcoming] = [post.event["data"]["object"] for post in receiver.posts if post.event["type"] == "invoice.upcoming"]
    assert (upcoming["amount_due"], upcoming["period_end"]) == (9900, end)
    assert upcoming["lines"]["data"][0]["period"]["start"] == end
    assert differences(stripe.Invoice, upcoming) == []
    preview = sandbox.v1.invoices.create_preview({"subscription": active.id})
    assert preview.lines.data[0].period.start == end


def test_a_period_is_followed_by_the_next_and_is_paid_an_hour_later(sandbox: Sandbox, receiver: Receiver) -> None:
    active = Plan.of(sandbox).subscribe()
    end = period_of(active)[1]
    pass_to(sandbox, end - 60)
    before = newest_event(sandbox)
    pass_time(sandbox, 120)
    renewed = sandbox.v1.subscriptions.retrieve(active.id)
    draft = latest_invoice(sandbox, active.id)
    assert (renewed.status, period_of(renewed)[0], draft.status) == ("active", end, "draft")
    assert draft.automatically_finalizes_at == end + HOUR
    pass_time(sandbox, HOUR)
    paid = latest_invoice(sandbox, active.id)
    assert (paid.id, paid.status, paid.billing_reason) == (draft.id, "paid", "subscription_cycle")
    assert (paid.lines.data[0].period.start, paid.lines.data[0].period.end) == period_of(renewed)
    assert types_since(sandbox, before) == RENEWED
    told = receiver.wait_for("invoice.paid", paid.id).event
    assert told["request"] == {"id": None, "idempotency_key": None}
    receiver.wait_for("customer.subscription.updated", active.id)


def test_many_months_at_once_are_as_many_periods_each_at_its_time(sandbox: Sandbox) -> None:
    """Whoever moves the clock far finds what would have happened, dated when it would have."""
    active = Plan.of(sandbox).subscribe()
    pass_time(sandbox, 95 * DAY)
    invoices = sandbox.v1.invoices.list({"subscription": active.id}).data[::-1]
    assert [one.status for one in invoices] == ["paid"] * 4
    starts = [one.lines.data[0].period.start for one in invoices]
    assert [one.created for one in invoices] == starts
    assert [later - earlier >= 28 * DAY for earlier, later in pairwise(starts)] == [True] * 3
    numbers = [str(one.number).rpartition("-")[2] for one in invoices]
    assert numbers == ["0001", "0002", "0003", "0004"]


def test_a_failed_renewal_is_tried_again_after_1_3_and_5_days_and_then_ends_it(
    sandbox: Sandbox, receiver: Receiver
) -> None:
    plan = Plan.of(sandbox)
    customer = plan.customer()
    active = plan.subscribe(customer)
    use(sandbox, customer, "pm_card_chargeCustomerFail")
    billed_at = period_of(active)[1] + HOUR
    pass_to(sandbox, billed_at - 60)
    before = newest_event(sandbox)
    pass_time(sandbox, 120)
    assert status_of(sandbox, active.id) == "past_due"
    expected = ["invoice.finalized", "payment_intent.created", *FAILED, "customer.subscription.updated"]
    assert types_since(sandbox, before) == expected
    for tries, wait in enumerate((1, 3, 5), 1):
        invoice = latest_invoice(sandbox, active.id)
        assert (invoice.status, invoice.attempt_count) == ("open", tries)
        assert invoice.next_payment_attempt == billed_at + sum((1, 3, 5)[:tries]) * DAY
        pass_time(sandbox, wait * DAY)
    over = receiver.wait_for("customer.subscription.deleted", active.id).event["data"]["object"]
    assert (over["status"], over["cancellation_details"]["reason"]) == ("canceled", "payment_failed")
    invoice = latest_invoice(sandbox, active.id)
    assert (invoice.status, invoice.attempt_count, invoice.next_payment_attempt) == ("open", 4, None)
    pass_time(sandbox, 60 * DAY)
    assert len(sandbox.v1.invoices.list({"subscription": active.id}).data) == 2


def test_a_retry_with_a_new_card_makes_it_active_again(sandbox: Sandbox) -> None:
    plan = Plan.of(sandbox)
    customer = plan.customer()
    active = plan.subscribe(customer)
    use(sandbox, customer, "pm_card_chargeCustomerFail")
    pass_to(sandbox, period_of(active)[1] + HOUR + 60)
    assert status_of(sandbox, active.id) == "past_due"
    use(sandbox, customer, "pm_card_visa")
    pass_time(sandbox, DAY)
    invoice = latest_invoice(sandbox, active.id)
    assert (invoice.status, invoice.attempt_count, invoice.next_payment_attempt) == ("paid", 2, None)
    assert status_of(sandbox, active.id) == "active"


def test_an_open_invoice_is_paid_by_hand(sandbox: Sandbox) -> None:
    plan = Plan.of(sandbox)
    customer = plan.customer()
    active = plan.subscribe(customer)
    use(sandbox, customer, "pm_card_chargeCustomerFail")
    pass_to(sandbox, period_of(active)[1] + HOUR + 60)
    invoice = latest_invoice(sandbox, active.id)
    with pytest.raises(stripe.CardError):
        sandbox.v1.invoices.pay(invoice.id)
    again = sandbox.v1.invoices.retrieve(invoice.id)
    assert (again.status, again.next_payment_attempt) == ("open", invoice.next_payment_attempt)
    good = use(sandbox, customer, "pm_card_visa")
    assert sandbox.v1.invoices.pay(invoice.id, {"payment_method": good}).status == "paid"
    assert status_of(sandbox, active.id) == "active"
    with pytest.raises(stripe.InvalidRequestError, match="already paid"):
        sandbox.v1.invoices.pay(invoice.id)
    before = newest_event(sandbox)
    pass_time(sandbox, 10 * DAY)
    assert types_since(sandbox, before) == []


def test_a_bank_that_asks_at_a_renewal_waits_for_the_buyer(sandbox: Sandbox, receiver: Receiver) -> None:
    plan = Plan.of(sandbox)
    customer = plan.customer()
    active = plan.subscribe(customer)
    use(sandbox, customer, "pm_card_authenticationRequired")
    pass_to(sandbox, period_of(active)[1] + HOUR + 60)
    invoice = latest_invoice(sandbox, active.id)
    intent = intent_of(sandbox, invoice.id)
    assert (status_of(sandbox, active.id), sandbox.intent(intent).status) == ("past_due", "requires_action")
    receiver.wait_for("invoice.payment_action_required", invoice.id)
    receiver.wait_for("invoice.payment_failed", invoice.id)
    confirmed = sandbox.v1.payment_intents.confirm(intent, {"return_url": "http://localhost/back"})
    assert confirmed.next_action is not None
    assert confirmed.next_action.redirect_to_url is not None
    sandbox.http.post(f"{confirmed.next_action.redirect_to_url.url}/approve").raise_for_status()
    assert status_of(sandbox, active.id) == "active"


def test_another_price_counts_from_the_next_period_on(sandbox: Sandbox) -> None:
    """Nobody pays twice for what is left of this one."""
    small, large = Plan.of(sandbox), Plan.of(sandbox, 18900)
    active = small.subscribe()
    item = active["items"].data[0].id
    change: Any = {"items": [{"id": item, "price": large.price}], "proration_behavior": "none"}
    before = newest_event(sandbox)
    changed = sandbox.v1.subscriptions.update(active.id, change)
    assert types_since(sandbox, before) == ["customer.subscription.updated"]
    assert (changed["items"].data[0].price.id, period_of(changed)) == (large.price, period_of(active))
    pass_to(sandbox, period_of(active)[1] + HOUR + 60)
    assert latest_invoice(sandbox, active.id).amount_paid == 18900
    with pytest.raises(stripe.InvalidRequestError) as caught:
        sandbox.v1.subscriptions.update(active.id, {"items": [{"id": item, "price": small.price}]})
    assert caught.value.param == "proration_behavior"


@pytest.mark.parametrize(
    ("behavior", "status"), [("void", "void"), ("mark_uncollectible", "uncollectible"), ("keep_as_draft", "draft")]
)
def test_a_paused_collection_charges_nobody_until_it_goes_on(sandbox: Sandbox, behavior: Any, status: str) -> None:
    active = Plan.of(sandbox).subscribe()
    end = period_of(active)[1]
    paused = sandbox.v1.subscriptions.update(
        active.id, {"pause_collection": {"behavior": behavior, "resumes_at": end + 2 * DAY}}
    )
    assert paused.pause_collection is not None
    pass_to(sandbox, end + 2 * HOUR)
    left = latest_invoice(sandbox, active.id)
    assert (left.status, left.auto_advance, status_of(sandbox, active.id)) == (status, False, "active")
    pass_time(sandbox, 2 * DAY)
    assert sandbox.v1.subscriptions.retrieve(active.id).pause_collection is None
    pass_time(sandbox, 32 * DAY)
    assert latest_invoice(sandbox, active.id).status == "paid"


def test_a_pause_is_taken_back_by_hand(sandbox: Sandbox) -> None:
    active = Plan.of(sandbox).subscribe()
    sandbox.v1.subscriptions.update(active.id, {"pause_collection": {"behavior": "void"}})
    assert sandbox.v1.subscriptions.update(active.id, {"pause_collection": ""}).pause_collection is None
    pass_to(sandbox, period_of(active)[1] + 2 * HOUR)
    assert latest_invoice(sandbox, active.id).status == "paid"


def test_a_paused_subscription_has_no_periods_until_it_is_resumed(sandbox: Sandbox) -> None:
    active = Plan.of(sandbox).subscribe()
    unpaid: Any = {"bill_for": {"unused_time_from": {"type": "none"}}}
    before = newest_event(sandbox)
    paused = sandbox.v1.subscriptions.pause(active.id, unpaid)
    assert_fits(paused.to_dict())
    pass_to(sandbox, period_of(active)[1] + 40 * DAY)
    assert types_since(sandbox, before) == ["customer.subscription.updated", "customer.subscription.paused"]
    resumed = sandbox.v1.subscriptions.resume(active.id)
    assert (resumed.status, resumed.billing_cycle_anchor) == ("active", period_of(resumed)[0])
    assert_fits(resumed.to_dict())
    assert latest_invoice(sandbox, active.id).status == "paid"
    assert "customer.subscription.resumed" in sandbox.event_types(active.id)
    pass_to(sandbox, period_of(resumed)[1] + 2 * HOUR)
    assert len(sandbox.v1.invoices.list({"subscription": active.id}).data) == 3
    with pytest.raises(stripe.InvalidRequestError, match="paused"):
        sandbox.v1.subscriptions.resume(active.id)


def test_who_has_left_is_charged_no_more(sandbox: Sandbox) -> None:
    """Neither for a draft of the last hour, nor again for what could not be collected."""
    plan = Plan.of(sandbox)
    drafted, failing = plan.subscribe(), plan.subscribe()
    use(sandbox, str(failing.customer), "pm_card_chargeCustomerFail")
    end = period_of(failing)[1]
    pass_to(sandbox, end + 60)
    sandbox.v1.subscriptions.cancel(drafted.id)
    pass_time(sandbox, HOUR)
    sandbox.v1.subscriptions.cancel(failing.id)
    left = [latest_invoice(sandbox, one.id) for one in (drafted, failing)]
    assert [(one.status, one.auto_advance, one.next_payment_attempt) for one in left] == [
        ("draft", False, None),
        ("open", False, None),
    ]
    before = newest_event(sandbox)
    pass_time(sandbox, 10 * DAY)
    assert types_since(sandbox, before) == []


def test_the_subscription_s_own_method_comes_before_the_customer_s(sandbox: Sandbox) -> None:
    plan = Plan.of(sandbox)
    customer = plan.customer()
    own = sandbox.v1.payment_methods.attach("pm_card_mastercard", {"customer": customer}).id
    active = plan.subscribe(customer, default_payment_method=own)
    use(sandbox, customer, "pm_card_chargeCustomerFail")
    pass_to(sandbox, period_of(active)[1] + 2 * HOUR)
    invoice = latest_invoice(sandbox, active.id)
    assert invoice.status == "paid"
    assert sandbox.intent(intent_of(sandbox, invoice.id)).payment_method == own


def test_renewals_survive_a_restart(sandbox: Sandbox) -> None:
    active = Plan.of(sandbox).subscribe()
    sandbox.stop()
    sandbox.start()
    pass_to(sandbox, period_of(active)[1] + 2 * HOUR)
    assert latest_invoice(sandbox, active.id).billing_reason == "subscription_cycle"


def test_every_event_of_a_subscription_s_life_fits_the_types(sandbox: Sandbox) -> None:
    plan = Plan.of(sandbox)
    customer = plan.customer()
    active = plan.subscribe(customer)
    use(sandbox, customer, "pm_card_authenticationRequired")
    pass_to(sandbox, period_of(active)[1] + DAY)
    use(sandbox, customer, "pm_card_chargeCustomerFail")
    pass_time(sandbox, 12 * DAY)
    plan.begin()
    pass_time(sandbox, DAY)
    events = [event.to_dict() for event in sandbox.v1.events.list({"limit": 100}).data]
    for event in events:
        assert differences(stripe.Event, event) == []
        assert_fits(event["data"]["object"])
    assert {event["type"] for event in events} >= {
        "customer.subscription.created", "customer.subscription.deleted", "customer.subscription.updated",
        "invoice.created", "invoice.finalized", "invoice.paid", "invoice.payment_action_required",
        "invoice.payment_failed", "invoice.payment_succeeded", "invoice.upcoming", "invoice.updated",
        "invoice.voided", "invoice_payment.paid",
    }  # fmt: skip
