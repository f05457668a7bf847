"""A customer's payment methods are kept, found again, and paid with while nobody is there."""

from typing import Any

import pytest
import stripe

from tests.sandbox.running import Receiver, Sandbox


def new_customer(sandbox: Sandbox, **params: Any) -> str:
    order: Any = params
    return sandbox.v1.customers.create(order).id


def attached(sandbox: Sandbox, customer: str, name: str = "pm_card_visa") -> stripe.PaymentMethod:
    return sandbox.v1.payment_methods.attach(name, {"customer": customer})


def test_a_method_is_attached_once_and_stays_with_its_customer(sandbox: Sandbox, receiver: Receiver) -> None:
    customer, other = new_customer(sandbox), new_customer(sandbox)
    method = attached(sandbox, customer)
    assert method.customer == customer
    assert attached(sandbox, customer, method.id).id == method.id
    assert sandbox.event_types(method.id) == ["payment_method.attached"]
    receiver.wait_for("payment_method.attached", method.id)
    with pytest.raises(stripe.InvalidRequestError, match="already been attached"):
        attached(sandbox, other, method.id)


@pytest.mark.parametrize("name", ["pm_card_chargeDeclined", "pm_card_chargeDeclinedExpiredCard"])
def test_a_bank_that_declines_does_not_let_a_card_be_kept(sandbox: Sandbox, name: str) -> None:
    with pytest.raises(stripe.CardError):
        attached(sandbox, new_customer(sandbox), name)


def test_a_card_can_be_kept_and_be_declined_later(sandbox: Sandbox) -> None:
    """Renewals meet it every day."""
    customer = new_customer(sandbox)
    method = attached(sandbox, customer, "pm_card_chargeCustomerFail")
    with pytest.raises(stripe.CardError) as caught:
        sandbox.pay(method.id, customer=customer, off_session=True)
    assert caught.value.code == "card_declined"


def test_methods_are_listed_by_customer_and_type(sandbox: Sandbox) -> None:
    customer, other = new_customer(sandbox), new_customer(sandbox)
    card, debit = attached(sandbox, customer).id, attached(sandbox, customer, "pm_success_de").id
    attached(sandbox, other)
    of_customer = sandbox.v1.customers.payment_methods
    assert [one.id for one in of_customer.list(customer).data] == [debit, card]
    assert [one.id for one in of_customer.list(customer, {"type": "card"}).data] == [card]
    listed = sandbox.v1.payment_methods.list({"customer": customer, "type": "sepa_debit"})
    assert [one.id for one in listed.data] == [debit]
    with pytest.raises(stripe.InvalidRequestError) as caught:
        of_customer.list("cus_unknown")
    assert caught.value.http_status == 404


def test_a_detached_method_is_gone_for_good_and_no_default_any_more(sandbox: Sandbox, receiver: Receiver) -> None:
    customer = new_customer(sandbox)
    method = attached(sandbox, customer).id
    sandbox.v1.customers.update(customer, {"invoice_settings": {"default_payment_method": method}})
    assert sandbox.v1.payment_methods.detach(method).customer is None
    told = receiver.wait_for("payment_method.detached", method).event["data"]
    assert told["previous_attributes"] == {"customer": customer}
    assert sandbox.v1.customers.payment_methods.list(customer).data == []
    assert default_of(sandbox, customer) is None
    for again in (lambda: attached(sandbox, customer, method), lambda: sandbox.pay(method, customer=customer)):
        with pytest.raises(stripe.InvalidRequestError, match="may not be used again"):
            again()
    with pytest.raises(stripe.InvalidRequestError, match="not attached"):
        sandbox.v1.payment_methods.detach(method)


def test_the_default_method_is_one_of_the_customer_s(sandbox: Sandbox) -> None:
    customer, other = new_customer(sandbox), new_customer(sandbox)
    mine, foreign = attached(sandbox, customer).id, attached(sandbox, other).id
    sandbox.v1.customers.update(customer, {"invoice_settings": {"default_payment_method": mine}})
    with pytest.raises(stripe.InvalidRequestError) as caught:
        sandbox.v1.customers.update(customer, {"invoice_settings": {"default_payment_method": foreign}})
    assert caught.value.code == "resource_missing"
    assert default_of(sandbox, customer) == mine
    shown = sandbox.v1.customers.retrieve(customer, {"expand": ["invoice_settings.default_payment_method"]})
    assert shown.invoice_settings is not None
    assert isinstance(shown.invoice_settings.default_payment_method, stripe.PaymentMethod)


def test_a_customer_can_be_made_with_a_method(sandbox: Sandbox) -> None:
    customer = new_customer(sandbox, payment_method="pm_card_visa")
    assert len(sandbox.v1.customers.payment_methods.list(customer).data) == 1


def test_a_method_s_owner_changes_its_details(sandbox: Sandbox) -> None:
    method = attached(sandbox, new_customer(sandbox)).id
    changed = sandbox.v1.payment_methods.update(
        method,
        {"billing_details": {"name": "Ana", "address": {"city": "Porto"}}, "card": {"exp_year": 2040}},
    )
    assert (changed.billing_details.name, changed.card and changed.card.exp_year) == ("Ana", 2040)
    assert sandbox.v1.payment_methods.update(method, {"metadata": {"a": "b"}}).billing_details.name == "Ana"
    assert sandbox.event_types(method) == ["payment_method.attached"] + ["payment_method.updated"] * 2


def test_a_bank_s_new_card_takes_the_place_of_the_old_one(sandbox: Sandbox, receiver: Receiver) -> None:
    """Nobody asked for it: the event names no request, and payments go on."""
    customer = new_customer(sandbox)
    method = attached(sandbox, customer).id
    renewed = sandbox.tell(f"payment_methods/{method}/renew", {"exp_year": 2041, "last4": "0005"})
    assert (renewed["card"]["exp_year"], renewed["card"]["exp_month"], renewed["card"]["last4"]) == (2041, 12, "0005")
    event = receiver.wait_for("payment_method.automatically_updated", method).event
    assert event["request"]["id"] is None
    assert event["data"]["previous_attributes"] == {"card": {"exp_year": 2034, "last4": "4242"}}
    assert sandbox.pay(method, customer=customer, off_session=True).status == "succeeded"
    unattached = sandbox.v1.payment_methods.create({"type": "card", "card": {"token": "tok_visa"}}).id
    assert sandbox.http.post(f"/_sandbox/payment_methods/{unattached}/renew", json={}).status_code == 400


def test_a_bank_that_wants_its_customer_asked_declines_off_session(sandbox: Sandbox) -> None:
    """The intent can be confirmed with him there, by the same card."""
    customer = new_customer(sandbox)
    method = attached(sandbox, customer, "pm_card_authenticationRequired").id
    with pytest.raises(stripe.CardError) as caught:
        sandbox.pay(method, customer=customer, off_session=True)
    error = caught.value.error
    assert error is not None
    assert error.payment_intent is not None
    assert (error.code, error.payment_intent.status) == ("authentication_required", "requires_payment_method")
    assert error.payment_method is not None
    assert error.payment_method.id == method
    again = sandbox.v1.payment_intents.confirm(error.payment_intent.id, {"payment_method": method})
    assert again.status == "requires_action"
    sandbox.tell(f"3ds/{again.id}/approve")
    assert sandbox.intent(again.id).status == "succeeded"


def test_a_payment_keeps_its_method_for_the_next_ones(sandbox: Sandbox) -> None:
    customer = new_customer(sandbox)
    first = sandbox.pay("pm_card_authenticationRequiredOnSetup", customer=customer, setup_future_usage="off_session")
    assert first.status == "requires_action"
    sandbox.tell(f"3ds/{first.id}/approve")
    [method] = sandbox.v1.customers.payment_methods.list(customer).data
    assert sandbox.pay(method.id, customer=customer, off_session=True).status == "succeeded"


def default_of(sandbox: Sandbox, customer: str) -> str | None:
    settings = sandbox.v1.customers.retrieve(customer).invoice_settings
    assert settings is not None
    return None if settings.default_payment_method is None else str(settings.default_payment_method)
