"""A subscription begins with its first payment, and ends as was agreed."""

from typing import Any

import pytest
import stripe

from tests.sandbox.running import PUBLISHABLE_KEY, Receiver, Sandbox
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

BEGUN = ["customer.subscription.created", "invoice.created", "invoice.finalized", "payment_intent.created"]
PAID = [
    "payment_intent.succeeded", "invoice_payment.paid", "invoice.updated", "invoice.paid",
    "invoice.payment_succeeded", "customer.subscription.updated",
]  # fmt: skip


def test_the_first_payment_is_confirmed_in_a_browser_and_begins_the_subscription(
    sandbox: Sandbox, receiver: Receiver
) -> None:
    plan = Plan.of(sandbox)
    customer = plan.customer(None)
    before = newest_event(sandbox)
    begun = plan.begin(customer=customer, payment_settings={"save_default_payment_method": "on_subscription"})
    invoice = begun.latest_invoice
    assert isinstance(invoice, stripe.Invoice)
    assert (begun.status, invoice.status, invoice.amount_due) == ("incomplete", "open", 9900)
    assert invoice.confirmation_secret is not None
    secret = invoice.confirmation_secret.client_secret
    path = f"/v1/payment_intents/{secret.partition('_secret_')[0]}/confirm"
    form = {"client_secret": secret, "payment_method": "pm_card_visa"}
    paid = sandbox.http.post(path, data=form, headers={"Authorization": f"Bearer {PUBLISHABLE_KEY}"})
    assert paid.json()["status"] == "succeeded"
    active = sandbox.v1.subscriptions.retrieve(begun.id)
    [method] = sandbox.v1.customers.payment_methods.list(customer).data
    assert (active.status, active.default_payment_method) == ("active", method.id)
    assert latest_invoice(sandbox, begun.id).status == "paid"
    assert types_since(sandbox, before) == [*BEGUN, "payment_method.attached", "charge.succeeded", *PAID]
    told = receiver.wait_for("customer.subscription.updated", begun.id).event["data"]["previous_attributes"]
    assert told == {"status": "incomplete", "default_payment_method": None}


def test_a_customer_with_a_card_is_charged_at_once(sandbox: Sandbox) -> None:
    plan = Plan.of(sandbox)
    customer = plan.customer()
    before = newest_event(sandbox)
    active = plan.subscribe(customer)
    assert active.status == "active"
    assert types_since(sandbox, before) == [*BEGUN, "invoice.updated", "charge.succeeded", *PAID]
    intent = sandbox.intent(intent_of(sandbox, str(active.latest_invoice)))
    assert (intent.status, intent.amount, intent.customer) == ("succeeded", 9900, customer)
    assert intent.payment_details is not None
    assert intent.payment_details.order_reference == active.latest_invoice


def test_lines_say_what_was_paid_for_and_for_which_period(sandbox: Sandbox) -> None:
    active = Plan.of(sandbox).subscribe(metadata={"student": "7"})
    invoice = latest_invoice(sandbox, active.id)
    [line] = invoice.lines.data
    assert (line.period.start, line.period.end) == period_of(active)
    assert line.parent is not None
    assert line.parent.subscription_item_details is not None
    assert line.parent.subscription_item_details.subscription_item == active["items"].data[0].id
    assert invoice.parent is not None
    assert invoice.parent.subscription_details is not None
    assert invoice.parent.subscription_details.subscription == active.id
    metadata = invoice.parent.subscription_details.metadata
    assert metadata is not None
    assert metadata["student"] == "7"
    start, end = period_of(active)
    assert 28 * DAY <= end - start <= 31 * DAY


def test_a_declined_card_leaves_it_incomplete_and_another_one_begins_it(sandbox: Sandbox) -> None:
    plan = Plan.of(sandbox)
    customer = plan.customer("pm_card_chargeCustomerFail")
    begun = plan.subscribe(customer)
    assert begun.status == "incomplete"
    assert "invoice.payment_failed" in sandbox.event_types(str(begun.latest_invoice))
    good = use(sandbox, customer, "pm_card_visa")
    paid = sandbox.v1.invoices.pay(str(begun.latest_invoice), {"payment_method": good})
    assert (paid.status, status_of(sandbox, begun.id)) == ("paid", "active")


def test_a_bank_that_asks_keeps_it_waiting_for_the_buyer(sandbox: Sandbox) -> None:
    plan = Plan.of(sandbox)
    begun = plan.subscribe(plan.customer("pm_card_authenticationRequired"))
    intent = intent_of(sandbox, str(begun.latest_invoice))
    assert (begun.status, sandbox.intent(intent).status) == ("incomplete", "requires_action")
    assert "invoice.payment_action_required" in sandbox.event_types(str(begun.latest_invoice))
    sandbox.tell(f"3ds/{intent}/approve")
    assert status_of(sandbox, begun.id) == "active"


def test_a_bank_debit_begins_it_while_it_is_under_way(sandbox: Sandbox) -> None:
    plan = Plan.of(sandbox)
    sandbox.tell("settlement", {"delay_seconds": DAY})
    good, bad = plan.subscribe(plan.customer("pm_success_de")), plan.subscribe(plan.customer("pm_failed_de"))
    assert [good.status, bad.status] == ["active", "active"]
    assert latest_invoice(sandbox, good.id).status == "open"
    pass_time(sandbox, DAY + 1)
    assert latest_invoice(sandbox, good.id).status == "paid"
    assert [status_of(sandbox, one.id) for one in (good, bad)] == ["active", "past_due"]


@pytest.mark.parametrize("method", ["pm_card_chargeCustomerFail", "pm_card_authenticationRequired"])
def test_where_the_caller_wants_all_or_nothing_nothing_is_left(sandbox: Sandbox, method: str) -> None:
    plan = Plan.of(sandbox)
    customer = plan.customer(method)
    with pytest.raises(stripe.CardError):
        plan.subscribe(customer, payment_behavior="error_if_incomplete")
    assert sandbox.v1.subscriptions.list({"status": "all"}).data == []
    assert sandbox.v1.invoices.list().data == []


def test_without_a_method_nothing_can_be_charged(sandbox: Sandbox) -> None:
    plan = Plan.of(sandbox)
    with pytest.raises(stripe.InvalidRequestError, match="no attached payment source"):
        plan.subscribe(plan.customer(None))


def test_who_does_not_pay_within_23_hours_has_not_subscribed(sandbox: Sandbox, receiver: Receiver) -> None:
    begun = Plan.of(sandbox).begin()
    assert isinstance(begun.latest_invoice, stripe.Invoice)
    invoice = begun.latest_invoice.id
    intent = intent_of(sandbox, invoice)
    pass_time(sandbox, 23 * HOUR - 60)
    assert status_of(sandbox, begun.id) == "incomplete"
    pass_time(sandbox, 120)
    assert status_of(sandbox, begun.id) == "incomplete_expired"
    assert sandbox.v1.invoices.retrieve(invoice).status == "void"
    assert sandbox.intent(intent).status == "canceled"
    told = receiver.wait_for("customer.subscription.updated", begun.id).event["data"]["object"]
    assert told["status"] == "incomplete_expired"
    receiver.wait_for("invoice.voided", invoice)
    pass_time(sandbox, 40 * DAY)
    assert len(sandbox.v1.invoices.list({"subscription": begun.id}).data) == 1


def test_cancelled_at_once_it_is_over(sandbox: Sandbox, receiver: Receiver) -> None:
    active = Plan.of(sandbox).subscribe()
    over = sandbox.v1.subscriptions.cancel(active.id, {"cancellation_details": {"feedback": "too_expensive"}})
    assert (over.status, over.ended_at) == ("canceled", over.canceled_at)
    assert over.cancellation_details is not None
    assert over.cancellation_details.reason == "cancellation_requested"
    assert over.cancellation_details.feedback == "too_expensive"
    receiver.wait_for("customer.subscription.deleted", active.id)
    pass_time(sandbox, 40 * DAY)
    assert len(sandbox.v1.invoices.list({"subscription": active.id}).data) == 1
    with pytest.raises(stripe.InvalidRequestError):
        sandbox.v1.subscriptions.cancel(active.id)
    assert sandbox.v1.subscriptions.list().data == []
    assert [one.id for one in sandbox.v1.subscriptions.list({"status": "canceled"}).data] == [active.id]


def test_cancelled_at_the_end_of_its_period_it_runs_until_then(sandbox: Sandbox, receiver: Receiver) -> None:
    active = Plan.of(sandbox).subscribe()
    end = period_of(active)[1]
    leaving = sandbox.v1.subscriptions.update(active.id, {"cancel_at_period_end": True})
    assert (leaving.status, leaving.cancel_at_period_end, leaving.cancel_at) == ("active", True, end)
    assert leaving.canceled_at is not None
    pass_to(sandbox, end - 60)
    assert status_of(sandbox, active.id) == "active"
    pass_time(sandbox, 120)
    over = receiver.wait_for("customer.subscription.deleted", active.id).event["data"]["object"]
    assert (over["status"], over["ended_at"]) == ("canceled", end)
    assert len(sandbox.v1.invoices.list({"subscription": active.id}).data) == 1
    assert "invoice.upcoming" not in [post.event["type"] for post in receiver.posts]


def test_a_cancellation_is_taken_back_and_it_goes_on(sandbox: Sandbox) -> None:
    active = Plan.of(sandbox).subscribe()
    sandbox.v1.subscriptions.update(active.id, {"cancel_at_period_end": True})
    stays = sandbox.v1.subscriptions.update(active.id, {"cancel_at_period_end": False})
    assert (stays.cancel_at, stays.canceled_at, stays.cancel_at_period_end) == (None, None, False)
    pass_to(sandbox, period_of(active)[1] + 2 * HOUR)
    assert status_of(sandbox, active.id) == "active"
    assert len(sandbox.v1.invoices.list({"subscription": active.id}).data) == 2


def test_a_date_to_end_at_is_kept(sandbox: Sandbox) -> None:
    active = Plan.of(sandbox).subscribe()
    at = sandbox.ask("clock")["now"] + 3 * DAY
    assert sandbox.v1.subscriptions.update(active.id, {"cancel_at": at}).cancel_at == at
    pass_to(sandbox, at + 1)
    assert sandbox.v1.subscriptions.retrieve(active.id).ended_at == at


def test_who_is_deleted_is_subscribed_to_nothing(sandbox: Sandbox) -> None:
    plan = Plan.of(sandbox)
    active = plan.subscribe()
    sandbox.v1.customers.delete(str(active.customer))
    assert status_of(sandbox, active.id) == "canceled"
    pass_time(sandbox, 40 * DAY)


def test_an_incomplete_one_that_is_cancelled_takes_no_payment_any_more(sandbox: Sandbox) -> None:
    begun = Plan.of(sandbox).begin()
    assert isinstance(begun.latest_invoice, stripe.Invoice)
    over = sandbox.v1.subscriptions.cancel(begun.id)
    assert (over.status, over.canceled_at) == ("incomplete_expired", over.ended_at)
    assert sandbox.event_types(begun.id) == ["customer.subscription.created", "customer.subscription.updated"]
    assert sandbox.intent(intent_of(sandbox, begun.latest_invoice.id)).status == "canceled"


@pytest.mark.parametrize(
    ("params", "param"),
    [
        ({"items": [{"price": "price_unknown"}]}, "items[0][price]"),
        ({"items": []}, "items"),
        ({"default_payment_method": "pm_unknown"}, "default_payment_method"),
        ({"trial_period_days": 7}, "trial_period_days"),
        ({"collection_method": "send_invoice", "days_until_due": 3}, "days_until_due"),
        ({"payment_behavior": "pending_if_incomplete"}, "payment_behavior"),
        ({"customer": "cus_unknown"}, "customer"),
    ],
)
def test_a_wrong_subscription_is_refused_and_leaves_nothing(
    sandbox: Sandbox, params: dict[str, Any], param: str
) -> None:
    plan = Plan.of(sandbox)
    order: Any = {"customer": plan.customer(), "items": [{"price": plan.price}], **params}
    before = newest_event(sandbox)
    with pytest.raises(stripe.InvalidRequestError) as caught:
        sandbox.v1.subscriptions.create(order)
    assert caught.value.param == param
    assert types_since(sandbox, before) == []


def test_subscriptions_and_invoices_are_listed(sandbox: Sandbox) -> None:
    plan, other = Plan.of(sandbox), Plan.of(sandbox, 4900)
    first, second = plan.subscribe(), other.subscribe()
    subscriptions, invoices = sandbox.v1.subscriptions, sandbox.v1.invoices
    assert [one.id for one in subscriptions.list().data] == [second.id, first.id]
    assert [one.id for one in subscriptions.list({"customer": str(first.customer)}).data] == [first.id]
    assert [one.id for one in subscriptions.list({"price": other.price}).data] == [second.id]
    assert [one.id for one in invoices.list({"subscription": first.id}).data] == [first.latest_invoice]
    assert [one.amount_paid for one in invoices.list({"status": "paid"}).data] == [4900, 9900]
    intent = intent_of(sandbox, str(first.latest_invoice))
    [payment] = sandbox.v1.invoice_payments.list({"payment": {"type": "payment_intent", "payment_intent": intent}}).data
    assert payment.invoice == first.latest_invoice


def test_everything_about_a_subscription_fits_the_types(sandbox: Sandbox) -> None:
    expand = [
        "customer", "default_payment_method", "items.data.price.product", "latest_invoice.confirmation_secret",
        "latest_invoice.payments.data.payment.payment_intent",
        "latest_invoice.parent.subscription_details.subscription",
    ]  # fmt: skip
    plan = Plan.of(sandbox)
    customer = plan.customer()
    [card] = sandbox.v1.customers.payment_methods.list(customer).data
    for subscribed in (plan.begin(), plan.subscribe(customer, default_payment_method=card.id)):
        shown: Any = sandbox.v1.subscriptions.retrieve(subscribed.id, {"expand": expand}).to_dict()
        assert_fits(shown)
        assert_fits(shown["latest_invoice"])
        assert_fits(shown["items"]["data"][0]["price"]["product"])
        for payment in shown["latest_invoice"]["payments"]["data"]:
            assert_fits(payment)
            assert_fits(payment["payment"]["payment_intent"])
    with pytest.raises(stripe.InvalidRequestError, match="cannot be expanded"):
        sandbox.v1.subscriptions.retrieve(subscribed.id, {"expand": ["latest_invoice.payment_intent"]})
