"""A bank warns of fraud before it takes the money back."""

import pytest
import stripe

from tests.sandbox.running import Receiver, Sandbox

CREATED, UPDATED = "radar.early_fraud_warning.created", "radar.early_fraud_warning.updated"


def warned(sandbox: Sandbox) -> stripe.radar.EarlyFraudWarning:
    intent = sandbox.pay("pm_card_createIssuerFraudRecord")
    [warning] = sandbox.v1.radar.early_fraud_warnings.list({"payment_intent": intent.id}).data
    return warning


def test_a_payment_can_be_followed_by_a_warning(sandbox: Sandbox, receiver: Receiver) -> None:
    warning = warned(sandbox)
    assert (warning.actionable, warning.fraud_type) == (True, "misc")
    charge = sandbox.v1.charges.retrieve(str(warning.charge))
    assert (charge.payment_intent, charge.disputed) == (warning.payment_intent, False)
    assert receiver.wait_for(CREATED, warning.id).event["data"]["object"]["actionable"] is True
    assert sandbox.v1.radar.early_fraud_warnings.retrieve(warning.id).to_dict() == warning.to_dict()


def test_a_full_refund_leaves_nothing_to_do(sandbox: Sandbox, receiver: Receiver) -> None:
    warning = warned(sandbox)
    sandbox.v1.refunds.create({"charge": str(warning.charge), "amount": 1})
    assert sandbox.v1.radar.early_fraud_warnings.retrieve(warning.id).actionable is True
    sandbox.v1.refunds.create({"charge": str(warning.charge)})
    told = receiver.wait_for(UPDATED, warning.id).event["data"]
    assert (told["object"]["actionable"], told["previous_attributes"]) == (False, {"actionable": True})


def test_a_dispute_leaves_nothing_to_do(sandbox: Sandbox) -> None:
    warning = warned(sandbox)
    sandbox.tell("disputes", {"charge": warning.charge})
    assert sandbox.v1.radar.early_fraud_warnings.retrieve(warning.id).actionable is False
    sandbox.tell(f"disputes/{sandbox.v1.disputes.list().data[0].id}/won")
    sandbox.v1.refunds.create({"charge": str(warning.charge)})
    assert sandbox.event_types(warning.id) == [CREATED, UPDATED]


def test_a_warning_can_be_made_for_any_charge(sandbox: Sandbox, receiver: Receiver) -> None:
    intent = sandbox.pay("pm_card_visa")
    made = sandbox.tell("fraud_warnings", {"payment_intent": intent.id, "fraud_type": "made_with_stolen_card"})
    assert (made["fraud_type"], made["charge"]) == ("made_with_stolen_card", intent.latest_charge)
    receiver.wait_for(CREATED, made["id"])
    sandbox.v1.refunds.create({"payment_intent": intent.id})
    late = sandbox.tell("fraud_warnings", {"charge": intent.latest_charge})
    assert late["actionable"] is False
    assert sandbox.http.post("/_sandbox/fraud_warnings", json={"charge": "ch_unknown"}).status_code == 404
    assert sandbox.http.post("/_sandbox/fraud_warnings", json={"fraud_type": "bad luck"}).status_code == 400


def test_warnings_are_listed_by_charge_payment_and_time(sandbox: Sandbox) -> None:
    first = warned(sandbox)
    sandbox.tell("clock", {"advance_seconds": 100})
    second = warned(sandbox)
    warnings = sandbox.v1.radar.early_fraud_warnings
    assert [one.id for one in warnings.list().data] == [second.id, first.id]
    assert [one.id for one in warnings.list({"charge": str(first.charge)}).data] == [first.id]
    assert [one.id for one in warnings.list({"created": {"lt": second.created}}).data] == [first.id]
    shown = warnings.retrieve(first.id, {"expand": ["charge", "payment_intent"]})
    assert isinstance(shown.charge, stripe.Charge)
    assert isinstance(shown.payment_intent, stripe.PaymentIntent)
    with pytest.raises(stripe.InvalidRequestError) as caught:
        warnings.retrieve("issfr_unknown")
    assert (caught.value.http_status, caught.value.code) == (404, "resource_missing")
