"""Payment intents behave as Stripe's do with Stripe's own test payment methods."""

from typing import Any

import pytest
import stripe

from tests.sandbox.running import PUBLISHABLE_KEY, Receiver, Sandbox, until

DECLINES = [
    ("pm_card_chargeDeclined", "card_declined", "generic_decline"),
    ("pm_card_visa_chargeDeclined", "card_declined", "generic_decline"),
    ("pm_card_chargeDeclinedInsufficientFunds", "card_declined", "insufficient_funds"),
    ("pm_card_chargeDeclinedLostCard", "card_declined", "lost_card"),
    ("pm_card_chargeDeclinedStolenCard", "card_declined", "stolen_card"),
    ("pm_card_chargeDeclinedExpiredCard", "expired_card", "expired_card"),
    ("pm_card_chargeDeclinedIncorrectCvc", "incorrect_cvc", "incorrect_cvc"),
    ("pm_card_chargeDeclinedProcessingError", "processing_error", "processing_error"),
]


@pytest.mark.parametrize(
    "payment_method", ["pm_card_visa", "pm_card_mastercard", "pm_card_amex", "pm_card_createDispute"]
)
def test_a_good_card_pays_at_once(sandbox: Sandbox, payment_method: str) -> None:
    intent = sandbox.v1.payment_intents.confirm(sandbox.new_intent().id, {"payment_method": payment_method})
    assert (intent.status, intent.amount_received) == ("succeeded", 14000)
    charge = sandbox.v1.charges.retrieve(str(intent.latest_charge))
    assert (charge.status, charge.paid, charge.payment_intent) == ("succeeded", True, intent.id)
    assert sandbox.event_types(intent.id) == ["payment_intent.created", "payment_intent.succeeded"]
    assert sandbox.event_types(charge.id) == ["charge.succeeded"]


@pytest.mark.parametrize(("payment_method", "code", "decline_code"), DECLINES)
def test_a_declined_card_says_why_and_leaves_the_intent_payable(
    sandbox: Sandbox, payment_method: str, code: str, decline_code: str
) -> None:
    with pytest.raises(stripe.CardError) as caught:
        sandbox.pay(payment_method)
    error = caught.value.error
    assert error is not None
    assert (caught.value.http_status, error.type) == (402, "card_error")
    assert (caught.value.code, error.decline_code) == (code, decline_code)
    assert error.payment_intent is not None
    intent = sandbox.intent(error.payment_intent.id)
    assert (intent.status, intent.payment_method) == ("requires_payment_method", None)
    assert intent.last_payment_error is not None
    assert intent.last_payment_error.decline_code == decline_code
    assert sandbox.event_types(intent.id)[-1] == "payment_intent.payment_failed"
    assert sandbox.event_types(str(intent.latest_charge)) == ["charge.failed"]
    assert sandbox.v1.payment_intents.confirm(intent.id, {"payment_method": "pm_card_visa"}).status == "succeeded"


CARDS = [
    ("4242424242424242", "succeeded"),
    ("4000002500003155", "requires_action"),
    ("4000002760003184", "requires_action"),
    ("4000000000003220", "requires_action"),
]


@pytest.mark.parametrize(("number", "status"), CARDS)
def test_a_card_number_behaves_as_the_documentation_says(sandbox: Sandbox, number: str, status: str) -> None:
    assert sandbox.pay(new_card(sandbox, number).id).status == status


@pytest.mark.parametrize(
    ("number", "decline_code"), [("4000000000000002", "generic_decline"), ("4000000000009995", "insufficient_funds")]
)
def test_a_card_number_is_declined_as_the_documentation_says(sandbox: Sandbox, number: str, decline_code: str) -> None:
    with pytest.raises(stripe.CardError) as caught:
        sandbox.pay(new_card(sandbox, number).id)
    assert caught.value.error is not None
    assert caught.value.error.decline_code == decline_code


@pytest.mark.parametrize(
    ("number", "code"), [("4242424242424241", "incorrect_number"), ("4111111111111111", "card_declined")]
)
def test_a_card_that_is_no_test_card_is_refused(sandbox: Sandbox, number: str, code: str) -> None:
    with pytest.raises(stripe.CardError) as caught:
        new_card(sandbox, number)
    assert caught.value.code == code


def test_a_token_makes_the_card_it_names(sandbox: Sandbox) -> None:
    method = sandbox.v1.payment_methods.create({"type": "card", "card": {"token": "tok_mastercard"}})
    assert method.card is not None
    assert (method.card.brand, sandbox.pay(method.id).status) == ("mastercard", "succeeded")
    assert sandbox.v1.payment_methods.retrieve(method.id).card == method.card


def test_a_challenged_payment_waits_for_the_buyer_and_is_paid_when_he_approves(sandbox: Sandbox) -> None:
    intent = sandbox.pay("pm_card_threeDSecure2Required", return_url="http://localhost/back?step=2")
    assert intent.status == "requires_action"
    assert intent.next_action is not None
    assert intent.next_action.redirect_to_url is not None
    url = str(intent.next_action.redirect_to_url.url)
    assert "approve" in sandbox.http.get(url).text
    back = sandbox.http.post(f"{url}/approve", headers={"Accept": "text/html"})
    assert back.status_code == 303
    assert back.headers["location"].startswith(f"http://localhost/back?step=2&payment_intent={intent.id}&")
    assert back.headers["location"].endswith("redirect_status=succeeded")
    assert sandbox.intent(intent.id).status == "succeeded"
    expected = ["payment_intent.created", "payment_intent.requires_action", "payment_intent.succeeded"]
    assert sandbox.event_types(intent.id) == expected
    assert "Nothing is to be approved" in sandbox.http.get(url).text


def test_a_refused_challenge_fails_the_payment_without_a_charge(sandbox: Sandbox) -> None:
    intent = sandbox.pay("pm_card_authenticationRequired")
    sandbox.tell(f"3ds/{intent.id}/refuse")
    failed = sandbox.intent(intent.id)
    assert (failed.status, failed.latest_charge) == ("requires_payment_method", None)
    assert failed.last_payment_error is not None
    assert failed.last_payment_error.code == "payment_intent_authentication_failure"
    assert sandbox.event_types(intent.id)[-1] == "payment_intent.payment_failed"
    assert sandbox.http.post(f"/_sandbox/3ds/{intent.id}/approve").status_code == 409


def test_an_approved_challenge_may_still_be_declined(sandbox: Sandbox) -> None:
    intent = sandbox.pay("pm_card_threeDSecureRequiredChargeDeclined")
    sandbox.tell(f"3ds/{intent.id}/approve")
    assert sandbox.intent(intent.id).status == "requires_payment_method"


def test_nobody_is_there_to_be_asked_off_session(sandbox: Sandbox) -> None:
    with pytest.raises(stripe.CardError) as caught:
        sandbox.pay("pm_card_authenticationRequired", off_session=True)
    assert caught.value.code == "authentication_required"


@pytest.mark.parametrize(
    ("payment_method", "status", "last"),
    [
        ("pm_success_de", "succeeded", "payment_intent.succeeded"),
        ("pm_failed_de", "requires_payment_method", "payment_intent.payment_failed"),
        ("pm_sepaDebit", "succeeded", "payment_intent.succeeded"),
    ],
)
def test_a_bank_debit_is_processing_before_it_is_decided(
    sandbox: Sandbox, receiver: Receiver, payment_method: str, status: str, last: str
) -> None:
    sandbox.tell("settlement", {"delay_seconds": 3600})
    intent = sandbox.pay(payment_method)
    assert intent.status == "processing"
    with pytest.raises(stripe.InvalidRequestError, match="cannot cancel"):
        sandbox.v1.payment_intents.cancel(intent.id)
    sandbox.tell("clock", {"advance_seconds": 3600})
    receiver.wait_for(last, intent.id)
    assert sandbox.intent(intent.id).status == status
    assert sandbox.event_types(intent.id) == ["payment_intent.created", "payment_intent.processing", last]


def test_a_bank_debit_settles_by_itself(sandbox: Sandbox) -> None:
    sandbox.tell("settlement", {"delay_seconds": 0.05})
    intent = sandbox.new_intent()
    method: Any = {"type": "sepa_debit", "sepa_debit": {"iban": "AT611904300234573201"}}
    processing = sandbox.v1.payment_intents.confirm(intent.id, {"payment_method_data": method})
    assert processing.status == "processing"
    until(lambda: sandbox.intent(intent.id).status == "succeeded", "the debit is decided")


def test_an_intent_is_paid_once(sandbox: Sandbox) -> None:
    """A second confirm must not take the money again; the error carries the intent, as Stripe's does."""
    intent = sandbox.pay("pm_card_visa")
    with pytest.raises(stripe.InvalidRequestError) as caught:
        sandbox.v1.payment_intents.confirm(intent.id, {"payment_method": "pm_card_visa"})
    assert (caught.value.http_status, caught.value.code) == (400, "payment_intent_unexpected_state")
    assert caught.value.error is not None
    assert caught.value.error.payment_intent is not None
    assert caught.value.error.payment_intent.status == "succeeded"
    assert len(sandbox.v1.charges.list({"payment_intent": intent.id}).data) == 1


def test_an_intent_without_a_payment_method_cannot_be_confirmed(sandbox: Sandbox) -> None:
    with pytest.raises(stripe.InvalidRequestError, match="missing a payment method"):
        sandbox.v1.payment_intents.confirm(sandbox.new_intent().id)


def test_an_open_intent_is_cancelled_and_stays_so(sandbox: Sandbox) -> None:
    opened = [
        sandbox.new_intent(),
        sandbox.new_intent(payment_method="pm_card_visa"),
        sandbox.pay("pm_card_threeDSecure2Required"),
    ]
    assert [intent.status for intent in opened] == [
        "requires_payment_method",
        "requires_confirmation",
        "requires_action",
    ]
    for intent in opened:
        cancelled = sandbox.v1.payment_intents.cancel(intent.id, {"cancellation_reason": "abandoned"})
        assert (cancelled.status, cancelled.cancellation_reason) == ("canceled", "abandoned")
        assert sandbox.event_types(intent.id)[-1] == "payment_intent.canceled"
        with pytest.raises(stripe.InvalidRequestError, match="status of canceled"):
            sandbox.v1.payment_intents.cancel(intent.id)


def test_a_paid_intent_is_not_cancelled(sandbox: Sandbox) -> None:
    with pytest.raises(stripe.InvalidRequestError) as caught:
        sandbox.v1.payment_intents.cancel(sandbox.pay("pm_card_visa").id)
    assert caught.value.code == "payment_intent_unexpected_state"


def test_the_terms_of_a_paid_intent_are_fixed_and_its_notes_are_not(sandbox: Sandbox) -> None:
    intent = sandbox.pay("pm_card_visa", metadata={"purchase": "1", "old": "x"})
    with pytest.raises(stripe.InvalidRequestError) as caught:
        sandbox.v1.payment_intents.update(intent.id, {"amount": 100})
    assert (caught.value.code, caught.value.param) == ("payment_intent_unexpected_state", "amount")
    updated = sandbox.v1.payment_intents.update(intent.id, {"metadata": {"old": "", "new": "y"}, "description": "paid"})
    assert (updated.metadata.to_dict(), updated.description) == ({"purchase": "1", "new": "y"}, "paid")
    assert sandbox.v1.payment_intents.update(intent.id, {"metadata": ""}).metadata.to_dict() == {}


def test_an_open_intent_takes_another_amount(sandbox: Sandbox) -> None:
    intent = sandbox.pay("pm_card_threeDSecure2Required")
    updated = sandbox.v1.payment_intents.update(intent.id, {"amount": 7500})
    assert (updated.amount, updated.status) == (7500, "requires_confirmation")


@pytest.mark.parametrize(
    ("params", "code", "param"),
    [
        ({"amount": 49}, "amount_too_small", "amount"),
        ({"amount": 100_000_000}, "amount_too_large", "amount"),
        ({"amount": -5}, "parameter_invalid_integer", "amount"),
        ({"currency": "xxx"}, None, "currency"),
        ({"customer": "cus_unknown"}, "resource_missing", "customer"),
        ({"payment_method": "pm_unknown"}, "resource_missing", "payment_method"),
        ({"capture_method": "manual"}, None, "capture_method"),
        ({"on_behalf_of": "acct_1"}, None, "on_behalf_of"),
        ({"allowed_payment_method_types": ["card"], "payment_method": "pm_success_de"},
         "payment_intent_incompatible_payment_method", "payment_method"),
    ],
)  # fmt: skip
def test_a_wrong_intent_is_refused_and_leaves_nothing(
    sandbox: Sandbox, params: dict[str, Any], code: str | None, param: str
) -> None:
    with pytest.raises(stripe.InvalidRequestError) as caught:
        sandbox.new_intent(**params)
    assert (caught.value.http_status, caught.value.code, caught.value.param) == (400, code, param)
    assert sandbox.v1.payment_intents.list().data == []
    assert sandbox.v1.events.list().data == []


def test_a_method_kept_for_later_is_attached_to_its_customer(sandbox: Sandbox) -> None:
    customer, other = [sandbox.v1.customers.create({}).id for _ in range(2)]
    intent = sandbox.pay("pm_card_visa", customer=customer, setup_future_usage="off_session")
    method = sandbox.v1.payment_methods.retrieve(str(intent.payment_method))
    assert method.customer == customer
    assert sandbox.event_types(method.id) == ["payment_method.attached"]
    assert sandbox.pay(method.id, customer=customer, off_session=True).status == "succeeded"
    with pytest.raises(stripe.InvalidRequestError, match="another customer"):
        sandbox.pay(method.id, customer=other)


def test_a_browser_pays_with_the_publishable_key_and_the_client_secret(sandbox: Sandbox) -> None:
    intent = sandbox.new_intent(metadata={"purchase": "1"}, receipt_email="ana@example.com")
    path = f"/v1/payment_intents/{intent.id}"
    headers = {"Authorization": f"Bearer {PUBLISHABLE_KEY}"}
    form = {"client_secret": str(intent.client_secret), "payment_method": "pm_card_visa"}
    confirmed = sandbox.http.post(f"{path}/confirm", data=form, headers=headers)
    assert confirmed.json()["status"] == "succeeded"
    seen = sandbox.http.get(path, params={"client_secret": str(intent.client_secret)}, headers=headers).json()
    assert seen["status"] == "succeeded"
    assert not {"metadata", "customer", "latest_charge"} & seen.keys()


def new_card(sandbox: Sandbox, number: str) -> stripe.PaymentMethod:
    return sandbox.v1.payment_methods.create(
        {"type": "card", "card": {"number": number, "exp_month": 12, "exp_year": 2034, "cvc": "123"}}
    )
