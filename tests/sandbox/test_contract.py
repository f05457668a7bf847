"""Every answer has the shape of the type that the official client promises its users."""

from typing import Any

import pytest
import stripe
from stripe import StripeObject

from tests.sandbox.contract import differences
from tests.sandbox.running import Receiver, Sandbox, until

CLASSES: dict[str, type[StripeObject]] = {
    "balance_transaction": stripe.BalanceTransaction,
    "charge": stripe.Charge,
    "customer": stripe.Customer,
    "dispute": stripe.Dispute,
    "invoice": stripe.Invoice,
    "invoice_payment": stripe.InvoicePayment,
    "payment_intent": stripe.PaymentIntent,
    "payment_method": stripe.PaymentMethod,
    "price": stripe.Price,
    "product": stripe.Product,
    "radar.early_fraud_warning": stripe.radar.EarlyFraudWarning,
    "refund": stripe.Refund,
    "setup_attempt": stripe.SetupAttempt,
    "setup_intent": stripe.SetupIntent,
    "subscription": stripe.Subscription,
}
SPOILED: list[tuple[dict[str, Any], str]] = [
    ({"colour": "red"}, ".colour: unknown"),
    ({"status": "paid"}, ".status: 'paid' is none"),
    ({"amount": "14000"}, ".amount: '14000' is no int"),
    ({"last_payment_error": {"code": "card_declined"}}, ".last_payment_error.type: missing"),
]
MONEY_GOES_BACK = {
    "charge.dispute.closed",
    "charge.dispute.created",
    "charge.dispute.funds_reinstated",
    "charge.dispute.funds_withdrawn",
    "charge.dispute.updated",
    "charge.refund.updated",
    "charge.refunded",
    "radar.early_fraud_warning.created",
    "radar.early_fraud_warning.updated",
    "refund.created",
    "refund.failed",
    "refund.updated",
}
PAYMENTS = ("pm_card_visa", "pm_card_authenticationRequired", "pm_success_de")


def assert_fits(body: dict[str, Any]) -> None:
    assert differences(CLASSES[body["object"]], body) == []


@pytest.mark.parametrize("payment_method", PAYMENTS)
def test_an_intent_and_its_charge_and_method_fit_the_types(sandbox: Sandbox, payment_method: str) -> None:
    customer = sandbox.v1.customers.create({"email": "ana@example.com"}).id
    intent = sandbox.pay(
        payment_method, customer=customer, expand=["latest_charge", "customer", "payment_method"], metadata={"a": "b"}
    ).to_dict()
    assert_fits(intent)
    assert_fits(intent["customer"])
    assert_fits(intent["payment_method"])
    if intent["latest_charge"]:
        assert_fits(intent["latest_charge"])


def test_a_declined_intent_fits_the_types(sandbox: Sandbox) -> None:
    with pytest.raises(stripe.CardError) as caught:
        sandbox.pay("pm_card_chargeDeclined")
    error: Any = caught.value.json_body
    assert_fits(error["error"]["payment_intent"])
    assert_fits(error["error"]["payment_method"])
    assert differences(stripe.ErrorObject, error["error"]) == []
    assert_fits(sandbox.v1.charges.retrieve(error["error"]["charge"]).to_dict())


def test_a_customer_with_everything_fits_the_types(sandbox: Sandbox) -> None:
    customer = sandbox.v1.customers.create(
        {
            "name": "Ana",
            "email": "ana@example.com",
            "address": {"city": "Lisboa", "country": "PT"},
            "shipping": {"name": "Ana", "address": {"line1": "Rua"}},
            "preferred_locales": ["pt"],
            "metadata": {"student": "1"},
        }
    )
    assert_fits(customer.to_dict())


def test_every_event_fits_the_types_and_carries_an_object_that_does(sandbox: Sandbox, receiver: Receiver) -> None:
    """Handlers are written against these types; the sandbox must not teach them other shapes."""
    customer = sandbox.v1.customers.create({"email": "ana@example.com"})
    sandbox.v1.customers.update(customer.id, {"name": "Ana"})
    intent = sandbox.pay("pm_card_visa", customer=customer.id, setup_future_usage="off_session")
    refused = sandbox.pay("pm_card_authenticationRequired")
    sandbox.tell(f"3ds/{refused.id}/refuse")
    sandbox.v1.payment_intents.cancel(refused.id)
    sandbox.v1.customers.delete(customer.id)
    receiver.wait_for("customer.deleted", customer.id)
    receiver.wait_for("payment_intent.succeeded", intent.id)
    for event in [event.to_dict() for event in sandbox.v1.events.list({"limit": 100}).data]:
        assert differences(stripe.Event, event) == []
        assert_fits(event["data"]["object"])
    for post in receiver.posts:
        assert differences(stripe.Event, post.event) == []


def test_a_refund_that_fails_fits_the_types_and_so_does_all_it_names(sandbox: Sandbox) -> None:
    customer = sandbox.v1.customers.create({}).id
    intent = sandbox.pay("pm_card_visa", customer=customer)
    made = sandbox.tell("refunds", {"payment_intent": intent.id, "amount": 5000, "status": "pending"})
    assert_fits(made)
    assert_fits(sandbox.tell(f"refunds/{made['id']}/fail"))
    names = ["charge", "customer", "payment_intent", "payment_method", "balance_transaction"]
    names.append("failure_balance_transaction")
    refund = sandbox.v1.refunds.retrieve(made["id"], {"expand": [*names, "charge.refunds"]}).to_dict()
    assert_fits(refund)
    for name in names:
        assert_fits(refund[name])
    [listed] = refund["charge"]["refunds"]["data"]
    assert_fits(listed)


@pytest.mark.parametrize("payment_method", ["pm_card_visa", "pm_success_de"])
@pytest.mark.parametrize("is_inquiry", [False, True])
def test_a_dispute_fits_the_types_at_every_stage(sandbox: Sandbox, payment_method: str, is_inquiry: bool) -> None:
    sandbox.tell("settlement", {"delay_seconds": 0.02})
    intent = sandbox.pay(payment_method)
    until(lambda: sandbox.intent(intent.id).status == "succeeded", "it is paid")
    opened = sandbox.tell("disputes", {"payment_intent": intent.id, "is_inquiry": is_inquiry})
    assert_fits(opened)
    assert_fits(sandbox.v1.disputes.update(opened["id"], {"evidence": {"receipt": "file_1"}}).to_dict())
    for move in ["escalated", "won"] if is_inquiry else ["lost", "won"]:
        moved = sandbox.tell(f"disputes/{opened['id']}/{move}")
        assert_fits(moved)
        for entry in moved["balance_transactions"]:
            assert_fits(entry)


def test_every_event_of_money_that_goes_back_fits_the_types(sandbox: Sandbox, receiver: Receiver) -> None:
    sandbox.tell("settlement", {"delay_seconds": 0.02})
    for payment_method in ("pm_card_refundFail", "pm_card_createDisputeInquiry", "pm_card_createIssuerFraudRecord"):
        sandbox.v1.refunds.create({"payment_intent": sandbox.pay(payment_method).id})
    [failing] = sandbox.v1.refunds.list({"limit": 1, "starting_after": sandbox.v1.refunds.list().data[1].id}).data
    receiver.wait_for("refund.failed", failing.id)
    charge = sandbox.pay("pm_card_createDispute").latest_charge
    [dispute] = sandbox.v1.disputes.list({"charge": str(charge)}).data
    sandbox.v1.disputes.update(dispute.id, {"evidence": {"uncategorized_text": "winning_evidence"}})
    receiver.wait_for("charge.dispute.closed", dispute.id)
    events = [event.to_dict() for event in sandbox.v1.events.list({"limit": 100}).data]
    for event in events:
        assert differences(stripe.Event, event) == []
        assert_fits(event["data"]["object"])
    assert {event["type"] for event in events} >= MONEY_GOES_BACK


@pytest.mark.parametrize(("change", "complaint"), SPOILED)
def test_the_check_itself_notices_what_does_not_fit(sandbox: Sandbox, change: dict[str, Any], complaint: str) -> None:
    intent = sandbox.new_intent().to_dict()
    [found] = differences(stripe.PaymentIntent, {**intent, **change})
    assert found.startswith(complaint)
    del intent["currency"]
    assert differences(stripe.PaymentIntent, intent) == [".currency: missing in PaymentIntent"]


def test_events_say_which_version_of_the_api_shaped_them(sandbox: Sandbox) -> None:
    """Receivers look at it before they trust a shape."""
    sandbox.v1.customers.create({}, {"stripe_version": "2024-06-20"})
    sandbox.v1.customers.create({})
    newest, older = sandbox.v1.events.list().data
    assert newest.api_version == stripe.api_version
    assert older.api_version == "2024-06-20"
