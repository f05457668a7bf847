"""A card is kept for later payments without a payment: with its owner's consent, and its bank's."""

from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import stripe

from tests.sandbox.running import PUBLISHABLE_KEY, Receiver, Sandbox
from tests.sandbox.test_contract import assert_fits

HEADERS = {"Authorization": f"Bearer {PUBLISHABLE_KEY}", "Origin": "http://shop.example"}


def new_setup(sandbox: Sandbox, **params: Any) -> stripe.SetupIntent:
    order: Any = {"customer": sandbox.v1.customers.create({}).id, **params}
    return sandbox.v1.setup_intents.create(order)


def in_a_browser(sandbox: Sandbox, setup: stripe.SetupIntent, **fields: str) -> Any:
    """What the stand-in for Stripe.js sends for confirmCardSetup."""
    form = {"client_secret": str(setup.client_secret), "return_url": "http://shop.example/cards?step=2", **fields}
    return sandbox.http.post(f"/v1/setup_intents/{setup.id}/confirm", data=form, headers=HEADERS).json()


@pytest.mark.parametrize("name", ["pm_card_visa", "pm_card_chargeCustomerFail", "pm_success_de", "pm_failed_de"])
def test_a_method_is_kept_with_its_customer(sandbox: Sandbox, receiver: Receiver, name: str) -> None:
    """Also one that no payment will succeed with: the bank is only asked whether it may be kept."""
    setup = new_setup(sandbox)
    assert (setup.status, setup.usage) == ("requires_payment_method", "off_session")
    done = sandbox.v1.setup_intents.confirm(setup.id, {"payment_method": name, "expand": ["latest_attempt"]})
    assert done.status == "succeeded"
    method = sandbox.v1.payment_methods.retrieve(str(done.payment_method))
    assert method.customer == setup.customer
    assert sandbox.event_types(setup.id) == ["setup_intent.created", "setup_intent.succeeded"]
    receiver.wait_for("payment_method.attached", method.id)
    receiver.wait_for("setup_intent.succeeded", setup.id)
    assert_fits(done.to_dict())
    assert_fits(done.to_dict()["latest_attempt"])


def test_a_card_that_its_bank_declines_is_not_kept_and_another_one_may_follow(sandbox: Sandbox) -> None:
    setup = new_setup(sandbox)
    with pytest.raises(stripe.CardError) as caught:
        sandbox.v1.setup_intents.confirm(setup.id, {"payment_method": "pm_card_chargeDeclined"})
    error = caught.value.error
    assert error is not None
    assert error.setup_intent is not None
    assert (error.code, error.setup_intent.status) == ("card_declined", "requires_payment_method")
    failed = sandbox.v1.setup_intents.retrieve(setup.id)
    assert failed.last_setup_error is not None
    assert failed.last_setup_error.decline_code == "generic_decline"
    assert_fits(failed.to_dict())
    assert sandbox.v1.setup_intents.confirm(setup.id, {"payment_method": "pm_card_visa"}).status == "succeeded"
    attempts = sandbox.v1.setup_attempts.list({"setup_intent": setup.id}).data
    assert [one.status for one in attempts] == ["succeeded", "failed"]
    expected = ["setup_intent.created", "setup_intent.setup_failed", "setup_intent.succeeded"]
    assert sandbox.event_types(setup.id) == expected


@pytest.mark.parametrize(("answer", "status"), [("approve", "succeeded"), ("refuse", "failed")])
def test_the_owner_comes_back_from_his_bank_with_the_outcome(sandbox: Sandbox, answer: str, status: str) -> None:
    setup = new_setup(sandbox)
    asked = in_a_browser(sandbox, setup, payment_method="pm_card_authenticationRequiredOnSetup")
    assert asked["status"] == "requires_action"
    bank = asked["next_action"]["redirect_to_url"]["url"]
    assert "card is kept" in sandbox.http.get(bank).text
    sent = sandbox.http.post(f"{bank}/{answer}", headers={"Accept": "text/html"})
    assert parse_qs(urlsplit(sent.headers["location"]).query) == {
        "step": ["2"],
        "setup_intent": [setup.id],
        "setup_intent_client_secret": [setup.client_secret],
        "redirect_status": [status],
    }
    kept = sandbox.v1.customers.payment_methods.list(str(setup.customer)).data
    assert len(kept) == (1 if answer == "approve" else 0)
    after = sandbox.v1.setup_intents.retrieve(setup.id)
    assert after.status == ("succeeded" if answer == "approve" else "requires_payment_method")
    assert_fits(after.to_dict())
    last = "succeeded" if answer == "approve" else "setup_failed"
    expected = ["setup_intent.created", "setup_intent.requires_action", f"setup_intent.{last}"]
    assert sandbox.event_types(setup.id) == expected
    assert sandbox.http.post(f"/_sandbox/3ds/{setup.id}/approve").status_code == 409


def test_a_browser_sees_its_own_setup_only_and_nothing_of_the_books(sandbox: Sandbox) -> None:
    setup, other = new_setup(sandbox, metadata={"student": "1"}), new_setup(sandbox)
    path = f"/v1/setup_intents/{setup.id}"
    seen = sandbox.http.get(path, params={"client_secret": str(setup.client_secret)}, headers=HEADERS).json()
    assert not {"metadata", "customer", "latest_attempt"} & seen.keys()
    wrong = sandbox.http.get(path, params={"client_secret": str(other.client_secret)}, headers=HEADERS)
    assert wrong.status_code == 400
    declined = in_a_browser(sandbox, setup, payment_method="pm_card_chargeDeclined")["error"]
    assert not {"metadata", "customer"} & declined["setup_intent"].keys()
    assert in_a_browser(sandbox, setup, payment_method="pm_card_visa")["status"] == "succeeded"


def test_a_kept_card_pays_while_nobody_is_there(sandbox: Sandbox) -> None:
    setup = new_setup(sandbox, confirm=True, payment_method="pm_card_authenticationRequiredOnSetup")
    sandbox.tell(f"3ds/{setup.id}/approve")
    method = str(sandbox.v1.setup_intents.retrieve(setup.id).payment_method)
    assert sandbox.pay(method, customer=str(setup.customer), off_session=True).status == "succeeded"


def test_a_setup_ends_once(sandbox: Sandbox) -> None:
    cancelled = sandbox.v1.setup_intents.cancel(new_setup(sandbox).id, {"cancellation_reason": "abandoned"})
    assert (cancelled.status, cancelled.cancellation_reason) == ("canceled", "abandoned")
    assert sandbox.event_types(cancelled.id)[-1] == "setup_intent.canceled"
    done = new_setup(sandbox, confirm=True, payment_method="pm_card_visa")
    for act in (sandbox.v1.setup_intents.confirm, sandbox.v1.setup_intents.cancel):
        for ended in (cancelled, done):
            with pytest.raises(stripe.InvalidRequestError) as caught:
                act(ended.id)
            assert caught.value.code == "setup_intent_unexpected_state"
    with pytest.raises(stripe.InvalidRequestError, match="missing a payment method"):
        sandbox.v1.setup_intents.confirm(new_setup(sandbox).id)


def test_setups_are_listed_and_changed(sandbox: Sandbox) -> None:
    first, second = new_setup(sandbox), new_setup(sandbox)
    assert [one.id for one in sandbox.v1.setup_intents.list().data] == [second.id, first.id]
    assert [one.id for one in sandbox.v1.setup_intents.list({"customer": str(first.customer)}).data] == [first.id]
    changed = sandbox.v1.setup_intents.update(first.id, {"metadata": {"a": "b"}, "payment_method": "pm_card_visa"})
    assert (changed.status, changed.metadata and changed.metadata["a"]) == ("requires_confirmation", "b")
    assert sandbox.v1.setup_intents.confirm(first.id).status == "succeeded"


def test_every_event_of_a_setup_fits_the_types(sandbox: Sandbox) -> None:
    setup = new_setup(sandbox, confirm=True, payment_method="pm_card_threeDSecure2Required")
    sandbox.tell(f"3ds/{setup.id}/refuse")
    sandbox.v1.setup_intents.confirm(setup.id, {"payment_method": "pm_card_visa"})
    sandbox.v1.setup_intents.cancel(new_setup(sandbox).id)
    method = sandbox.v1.setup_intents.retrieve(setup.id).payment_method
    sandbox.tell(f"payment_methods/{method}/renew", {"exp_year": 2040})
    sandbox.v1.payment_methods.detach(str(method))
    for event in sandbox.v1.events.list({"limit": 100}).data:
        assert_fits(event.to_dict()["data"]["object"])
