"""Every answer has the shape of the type that the official client promises its users."""

from typing import Any

import pytest
import stripe
from stripe import StripeObject

from tests.sandbox.contract import differences
from tests.sandbox.running import Receiver, Sandbox

CLASSES: dict[str, type[StripeObject]] = {
    "charge": stripe.Charge,
    "customer": stripe.Customer,
    "payment_intent": stripe.PaymentIntent,
    "payment_method": stripe.PaymentMethod,
}
SPOILED: list[tuple[dict[str, Any], str]] = [
    ({"colour": "red"}, ".colour: unknown"),
    ({"status": "paid"}, ".status: 'paid' is none"),
    ({"amount": "14000"}, ".amount: '14000' is no int"),
    ({"last_payment_error": {"code": "card_declined"}}, ".last_payment_error.type: missing"),
]
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
