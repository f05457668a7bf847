"""Money goes back as it does at Stripe: in parts, once, at once or later, and sometimes not after all."""

from typing import Any

import pytest
import stripe

from tests.sandbox.running import SECRET_KEY, Receiver, Sandbox, until

UPDATED = ["refund.updated", "charge.refund.updated"]
AT_ONCE, LATER = 0.02, 3600.0


def charge_of(sandbox: Sandbox, intent: stripe.PaymentIntent) -> stripe.Charge:
    return sandbox.v1.charges.retrieve(str(intent.latest_charge))


def refund(sandbox: Sandbox, intent: stripe.PaymentIntent, **params: Any) -> stripe.Refund:
    order: Any = {"payment_intent": intent.id, **params}
    return sandbox.v1.refunds.create(order)


def refused(sandbox: Sandbox, **params: Any) -> stripe.InvalidRequestError:
    order: Any = params
    with pytest.raises(stripe.InvalidRequestError) as caught:
        sandbox.v1.refunds.create(order)
    return caught.value


def event(sandbox: Sandbox, event_type: str, subject_id: str) -> dict[str, Any]:
    """The newest of one type about one object."""
    events = [event.to_dict() for event in sandbox.v1.events.list({"type": event_type, "limit": 100}).data]
    return next(event for event in events if event["data"]["object"]["id"] == subject_id)


def test_a_refund_gives_all_of_it_back_at_once(sandbox: Sandbox, receiver: Receiver) -> None:
    intent = sandbox.pay("pm_card_visa")
    made = refund(sandbox, intent, reason="requested_by_customer", metadata={"case": "7"})
    assert (made.status, made.amount, made.currency) == ("succeeded", 14000, "eur")
    assert (made.payment_intent, made.charge, made.reason) == (
        intent.id,
        intent.latest_charge,
        "requested_by_customer",
    )
    assert made.metadata is not None
    assert made.metadata.to_dict() == {"case": "7"}
    charge = charge_of(sandbox, intent)
    assert (charge.amount_refunded, charge.refunded, charge.status) == (14000, True, "succeeded")
    assert sandbox.intent(intent.id).status == "succeeded"
    assert receiver.wait_for("refund.created", made.id).event["data"]["object"]["status"] == "succeeded"
    told = receiver.wait_for("charge.refunded", charge.id).event["data"]
    assert told["object"]["amount_refunded"] == 14000
    assert told["previous_attributes"] == {"amount_refunded": 0, "refunded": False}


def test_events_of_a_refund_are_listed_in_stripes_order(sandbox: Sandbox) -> None:
    made = refund(sandbox, sandbox.pay("pm_card_visa"))
    newest, before = sandbox.v1.events.list({"limit": 2}).data
    assert (before.type, newest.type) == ("refund.created", "charge.refunded")
    assert newest.data.object["id"] == made.charge


def test_parts_are_refunded_until_nothing_is_left(sandbox: Sandbox) -> None:
    intent = sandbox.pay("pm_card_visa")
    refund(sandbox, intent, amount=4000)
    assert charge_of(sandbox, intent).refunded is False
    second = sandbox.v1.refunds.create({"charge": str(intent.latest_charge), "amount": 7000})
    error = refused(sandbox, payment_intent=intent.id, amount=4000)
    assert (error.code, error.param) == (None, "amount")
    assert error.user_message == "Refund amount (€40.00) is greater than unrefunded amount on charge (€30.00)"
    rest = refund(sandbox, intent)
    assert (second.amount, rest.amount) == (7000, 3000)
    charge = charge_of(sandbox, intent)
    assert (charge.amount_refunded, charge.refunded) == (14000, True)
    error = refused(sandbox, payment_intent=intent.id, amount=1)
    assert (error.http_status, error.code) == (400, "charge_already_refunded")
    assert error.user_message == f"Charge {charge.id} has already been refunded."
    assert event(sandbox, "charge.refunded", charge.id)["data"]["previous_attributes"] == {
        "amount_refunded": 11000,
        "refunded": False,
    }


@pytest.mark.parametrize(
    ("params", "status", "code", "param"),
    [
        ({}, 400, None, None),
        ({"payment_intent": "pi_unknown"}, 404, "resource_missing", "payment_intent"),
        ({"charge": "ch_unknown"}, 404, "resource_missing", "id"),
        ({"payment_intent": "pi_1", "charge": "ch_1"}, 400, None, "payment_intent"),
        ({"charge": "ch_1", "reason": "expired_uncaptured_charge"}, 400, None, "reason"),
        ({"charge": "ch_1", "reverse_transfer": True}, 400, None, "reverse_transfer"),
    ],
)
def test_a_refund_of_nothing_that_can_be_refunded_is_refused(
    sandbox: Sandbox, params: dict[str, Any], status: int, code: str | None, param: str | None
) -> None:
    error = refused(sandbox, **params)
    assert (error.http_status, error.code, error.param) == (status, code, param)


@pytest.mark.parametrize("amount", [0, -1])
def test_a_refund_is_of_something(sandbox: Sandbox, amount: int) -> None:
    error = refused(sandbox, payment_intent=sandbox.pay("pm_card_visa").id, amount=amount)
    assert (error.code, error.param) == ("parameter_invalid_integer", "amount")


def test_what_was_not_paid_is_not_refunded(sandbox: Sandbox) -> None:
    sandbox.tell("settlement", {"delay_seconds": LATER})
    for intent in (sandbox.new_intent(), sandbox.pay("pm_success_de")):
        error = refused(sandbox, payment_intent=intent.id)
        assert error.user_message == f"This PaymentIntent ({intent.id}) does not have a successful charge to refund."
        assert sandbox.v1.refunds.list().data == []


def test_a_repeated_key_refunds_once(sandbox: Sandbox) -> None:
    """The answer that was lost must not cost the money twice."""
    intent = sandbox.pay("pm_card_visa")
    order: Any = {"payment_intent": intent.id, "amount": 5000}
    first, again = [sandbox.v1.refunds.create(order, {"idempotency_key": "refund:1"}) for _ in range(2)]
    assert first.id == again.id
    assert charge_of(sandbox, intent).amount_refunded == 5000
    order["amount"] = 6000
    with pytest.raises(stripe.IdempotencyError):
        sandbox.v1.refunds.create(order, {"idempotency_key": "refund:1"})


def test_the_bank_names_a_reference_later(sandbox: Sandbox, receiver: Receiver) -> None:
    """So a refund that has long succeeded is told of again."""
    sandbox.tell("settlement", {"delay_seconds": AT_ONCE})
    made = refund(sandbox, sandbox.pay("pm_card_visa"))
    receiver.wait_for("charge.refund.updated", made.id)
    assert sandbox.event_types(made.id) == ["refund.created", *UPDATED]
    now = sandbox.v1.refunds.retrieve(made.id)
    assert now.status == "succeeded"
    assert now.destination_details is not None
    assert now.destination_details.card is not None
    assert now.destination_details.card.reference_status == "available"


def test_notes_on_a_refund_can_be_changed(sandbox: Sandbox) -> None:
    sandbox.tell("settlement", {"delay_seconds": LATER})
    made = refund(sandbox, sandbox.pay("pm_card_visa"), metadata={"a": "1", "b": "2"})
    updated = sandbox.v1.refunds.update(made.id, {"metadata": {"a": "", "c": "3"}})
    assert updated.metadata is not None
    assert updated.metadata.to_dict() == {"b": "2", "c": "3"}
    assert sandbox.event_types(made.id) == ["refund.created", *UPDATED]
    told = event(sandbox, "refund.updated", made.id)
    assert told["data"]["previous_attributes"] == {"metadata": {"a": "1", "c": None}}


def test_a_refund_that_pends_succeeds_later(sandbox: Sandbox, receiver: Receiver) -> None:
    sandbox.tell("settlement", {"delay_seconds": LATER})
    intent = sandbox.pay("pm_card_pendingRefund")
    made = refund(sandbox, intent)
    assert (made.status, made.pending_reason) == ("pending", "processing")
    assert charge_of(sandbox, intent).refunded is True
    sandbox.tell("clock", {"advance_seconds": int(LATER)})
    told = receiver.wait_for("refund.updated", made.id).event["data"]
    assert told["object"]["status"] == "succeeded"
    assert told["previous_attributes"]["status"] == "pending"
    assert sandbox.v1.refunds.retrieve(made.id).pending_reason is None
    assert sandbox.event_types(made.id) == ["refund.created", *UPDATED]


def test_a_refund_that_fails_later_leaves_the_money_on_the_charge(sandbox: Sandbox, receiver: Receiver) -> None:
    """Whoever believed the first answer must hear of the second."""
    sandbox.tell("settlement", {"delay_seconds": AT_ONCE})
    intent = sandbox.pay("pm_card_refundFail")
    made = refund(sandbox, intent, amount=5000)
    assert made.status == "succeeded"
    told = receiver.wait_for("refund.failed", made.id).event["data"]
    assert (told["object"]["status"], told["object"]["failure_reason"]) == ("failed", "expired_or_canceled_card")
    assert told["previous_attributes"]["status"] == "succeeded"
    assert sandbox.event_types(made.id) == ["refund.created", *UPDATED, "refund.failed"]
    charge = charge_of(sandbox, intent)
    assert (charge.amount_refunded, charge.refunded) == (0, False)
    assert refund(sandbox, intent).amount == 14000


def test_a_refund_that_has_failed_does_not_succeed_after_all(sandbox: Sandbox) -> None:
    sandbox.tell("settlement", {"delay_seconds": LATER})
    made = refund(sandbox, sandbox.pay("pm_card_pendingRefund"))
    sandbox.tell(f"refunds/{made.id}/fail")
    sandbox.tell("clock", {"advance_seconds": int(LATER)})
    until(lambda: sandbox.ask("clock")["has_work"] is False, "the bank has decided")
    assert sandbox.v1.refunds.retrieve(made.id).status == "failed"


def test_a_refund_that_waits_for_the_buyer_can_be_cancelled(sandbox: Sandbox) -> None:
    intent = sandbox.pay("pm_card_visa")
    made = sandbox.tell("refunds", {"payment_intent": intent.id, "status": "requires_action"})
    cancelled = sandbox.v1.refunds.cancel(made["id"])
    assert cancelled.status == "canceled"
    assert charge_of(sandbox, intent).amount_refunded == 0
    assert sandbox.event_types(made["id"]) == ["refund.created", *UPDATED]
    with pytest.raises(stripe.InvalidRequestError, match=r"Canceling this refund is unsupported\."):
        sandbox.v1.refunds.cancel(refund(sandbox, intent).id)


def test_the_dashboard_refunds_without_a_request_or_metadata(sandbox: Sandbox, receiver: Receiver) -> None:
    intent = sandbox.pay("pm_card_visa", metadata={"purchase": "1"})
    made = sandbox.tell("refunds", {"payment_intent": intent.id, "amount": 2500, "reason": "duplicate"})
    assert (made["status"], made["amount"], made["reason"], made["metadata"]) == ("succeeded", 2500, "duplicate", {})
    told = receiver.wait_for("refund.created", made["id"]).event
    assert told["request"] == {"id": None, "idempotency_key": None}
    assert charge_of(sandbox, intent).amount_refunded == 2500
    by_charge = sandbox.tell("refunds", {"charge": intent.latest_charge})
    assert by_charge["amount"] == 11500
    answer = sandbox.http.post("/_sandbox/refunds", json={"payment_intent": intent.id})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "charge_already_refunded")
    assert sandbox.http.post("/_sandbox/refunds", json={"payment_intent": "pi_unknown"}).status_code == 404
    assert sandbox.http.post("/_sandbox/refunds", json={"payment_intent": intent.id, "cents": 1}).status_code == 400


def test_a_pending_refund_of_the_dashboard_waits_to_be_told(sandbox: Sandbox, receiver: Receiver) -> None:
    sandbox.tell("settlement", {"delay_seconds": 0})
    intent = sandbox.pay("pm_card_visa")
    one, two = [
        sandbox.tell("refunds", {"payment_intent": intent.id, "amount": 3000, "status": "pending"})["id"]
        for _ in range(2)
    ]
    assert sandbox.tell(f"refunds/{one}/succeed")["status"] == "succeeded"
    failed = sandbox.tell(f"refunds/{two}/fail", {"failure_reason": "declined"})
    assert (failed["status"], failed["failure_reason"], failed["pending_reason"]) == ("failed", "declined", None)
    receiver.wait_for("refund.failed", two)
    assert charge_of(sandbox, intent).amount_refunded == 3000
    for path in (f"refunds/{one}/succeed", f"refunds/{two}/succeed", f"refunds/{two}/fail"):
        assert sandbox.http.post(f"/_sandbox/{path}", json={}).status_code == 409
    assert sandbox.http.post("/_sandbox/refunds/re_unknown/fail", json={}).status_code == 404


def test_a_refund_that_succeeded_can_fail_weeks_later(sandbox: Sandbox, receiver: Receiver) -> None:
    intent = sandbox.pay("pm_card_visa")
    made = refund(sandbox, intent)
    sandbox.tell("clock", {"advance_seconds": 20 * 86400})
    receiver.wait_for("refund.updated", made.id)
    assert sandbox.tell(f"refunds/{made.id}/fail")["status"] == "failed"
    told = receiver.wait_for("refund.failed", made.id).event
    assert told["created"] - made.created >= 20 * 86400
    charge = charge_of(sandbox, intent)
    assert (charge.amount_refunded, charge.refunded) == (0, False)


def test_refunds_are_listed_by_payment_charge_and_time(sandbox: Sandbox) -> None:
    ours, other = sandbox.pay("pm_card_visa"), sandbox.pay("pm_card_visa")
    first, foreign = refund(sandbox, ours, amount=1000), refund(sandbox, other)
    sandbox.tell("clock", {"advance_seconds": 100})
    second = refund(sandbox, ours, amount=1000)
    by_intent = sandbox.v1.refunds.list({"payment_intent": ours.id}).data
    assert [one.id for one in by_intent] == [second.id, first.id]
    by_charge = sandbox.v1.refunds.list({"charge": str(other.latest_charge)}).data
    assert [one.id for one in by_charge] == [foreign.id]
    later = sandbox.v1.refunds.list({"created": {"gte": second.created}}).data
    assert [one.id for one in later] == [second.id]
    earlier = sandbox.v1.refunds.list({"created": {"lt": second.created}, "limit": 1}).auto_paging_iter()
    assert [one.id for one in earlier] == [foreign.id, first.id]
    with pytest.raises(stripe.InvalidRequestError, match="No such charge"):
        sandbox.v1.refunds.list({"charge": "ch_unknown"})
    with pytest.raises(stripe.InvalidRequestError) as caught:
        sandbox.v1.refunds.retrieve("re_unknown")
    assert (caught.value.http_status, caught.value.param) == (404, "refund")


def test_a_try_that_was_declined_has_no_part_in_a_refund(sandbox: Sandbox) -> None:
    """An intent has a charge for each try; only one of them took the money."""
    intent = sandbox.new_intent()
    with pytest.raises(stripe.CardError):
        sandbox.v1.payment_intents.confirm(intent.id, {"payment_method": "pm_card_chargeDeclined"})
    paid = sandbox.v1.payment_intents.confirm(intent.id, {"payment_method": "pm_card_visa"})
    made = refund(sandbox, paid)
    [charge, declined] = sandbox.v1.charges.list({"payment_intent": intent.id, "expand": ["data.refunds"]}).data
    assert made.charge == charge.id
    assert declined.refunds is not None
    assert declined.refunds.data == []
    assert sandbox.v1.refunds.list({"charge": declined.id}).data == []
    assert "does not have a successful charge" in str(refused(sandbox, charge=declined.id))


def test_a_charge_shows_its_refunds_where_they_are_asked_for(sandbox: Sandbox) -> None:
    intent = sandbox.pay("pm_card_visa")
    made = [refund(sandbox, intent, amount=100).id for _ in range(12)]
    assert "refunds" not in charge_of(sandbox, intent).to_dict()
    seen = sandbox.v1.payment_intents.retrieve(intent.id, {"expand": ["latest_charge.refunds"]})
    assert isinstance(seen.latest_charge, stripe.Charge)
    assert seen.latest_charge.refunds is not None
    assert [one.id for one in seen.latest_charge.refunds.data] == made[:1:-1]
    assert seen.latest_charge.refunds.has_more is True
    listed = sandbox.http.get(seen.latest_charge.refunds.url, auth=(SECRET_KEY, ""), params={"limit": 100})
    assert [one["id"] for one in listed.json()["data"]] == made[::-1]


def test_a_refund_shows_what_it_names(sandbox: Sandbox) -> None:
    intent = sandbox.pay("pm_card_visa")
    made = refund(sandbox, intent, expand=["charge.payment_intent", "payment_intent", "balance_transaction"])
    assert isinstance(made.charge, stripe.Charge)
    assert isinstance(made.charge.payment_intent, stripe.PaymentIntent)
    assert made.charge.amount_refunded == 14000
    assert isinstance(made.payment_intent, stripe.PaymentIntent)
    assert isinstance(made.balance_transaction, stripe.BalanceTransaction)
    assert (made.balance_transaction.amount, made.balance_transaction.source) == (-14000, made.id)
    [charge] = sandbox.v1.charges.list({"payment_intent": intent.id, "expand": ["data.refunds"]}).data
    assert charge.refunds is not None
    assert [one.id for one in charge.refunds.data] == [made.id]


def test_a_refund_for_fraud_is_noted_on_the_charge(sandbox: Sandbox) -> None:
    intent = sandbox.pay("pm_card_visa")
    refund(sandbox, intent, reason="fraudulent")
    details = charge_of(sandbox, intent).fraud_details
    assert details is not None
    assert details.user_report == "fraudulent"


def test_a_paid_bank_debit_is_refunded_too(sandbox: Sandbox) -> None:
    sandbox.tell("settlement", {"delay_seconds": AT_ONCE})
    intent = sandbox.pay("pm_success_de")
    until(lambda: sandbox.intent(intent.id).status == "succeeded", "the debit is decided")
    made = refund(sandbox, sandbox.intent(intent.id))
    assert made.destination_details is not None
    assert (made.status, made.destination_details.type) == ("succeeded", "sepa_debit")
