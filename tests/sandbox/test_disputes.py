"""A buyer complains at his bank: what Stripe says then, what the seller can do, and how it ends."""

from typing import Any

import pytest
import stripe

from tests.sandbox.running import Receiver, Sandbox, until

CREATED, WITHDRAWN = "charge.dispute.created", "charge.dispute.funds_withdrawn"
UPDATED, REINSTATED, CLOSED = (
    "charge.dispute.updated",
    "charge.dispute.funds_reinstated",
    "charge.dispute.closed",
)
DAY, AT_ONCE, LATER = 86_400, 0.02, 3600.0


def dispute_of(sandbox: Sandbox, intent: stripe.PaymentIntent) -> stripe.Dispute:
    [found] = sandbox.v1.disputes.list({"payment_intent": intent.id}).data
    return found


def disputed(sandbox: Sandbox, payment_method: str = "pm_card_createDispute") -> stripe.Dispute:
    return dispute_of(sandbox, sandbox.pay(payment_method))


def answered(sandbox: Sandbox, dispute: stripe.Dispute, text: str, **params: Any) -> stripe.Dispute:
    order: Any = {"evidence": {"uncategorized_text": text}, **params}
    return sandbox.v1.disputes.update(dispute.id, order)


def ended(sandbox: Sandbox, dispute: stripe.Dispute, status: str) -> stripe.Dispute:
    until(lambda: sandbox.v1.disputes.retrieve(dispute.id).status == status, f"the dispute is {status}")
    return sandbox.v1.disputes.retrieve(dispute.id)


def refusal(sandbox: Sandbox, charge: Any) -> stripe.InvalidRequestError:
    with pytest.raises(stripe.InvalidRequestError) as caught:
        sandbox.v1.refunds.create({"charge": str(charge), "amount": 100})
    return caught.value


@pytest.mark.parametrize(
    ("payment_method", "reason", "code"),
    [
        ("pm_card_createDispute", "fraudulent", "10.4"),
        ("pm_card_createDisputeProductNotReceived", "product_not_received", "13.1"),
    ],
)
def test_a_disputed_payment_succeeds_and_its_money_is_taken_back(
    sandbox: Sandbox, receiver: Receiver, payment_method: str, reason: str, code: str
) -> None:
    intent = sandbox.pay(payment_method)
    assert (intent.status, intent.amount_received) == ("succeeded", 14000)
    dispute = dispute_of(sandbox, intent)
    assert (dispute.status, dispute.reason, dispute.amount) == ("needs_response", reason, 14000)
    assert (dispute.charge, dispute.is_charge_refundable) == (intent.latest_charge, False)
    assert dispute.payment_method_details is not None
    assert dispute.payment_method_details.card is not None
    card = dispute.payment_method_details.card
    assert (card.case_type, card.network_reason_code) == ("chargeback", code)
    [withdrawal] = dispute.balance_transactions
    assert (withdrawal.amount, withdrawal.net, withdrawal.source) == (-14000, -16000, dispute.id)
    assert sandbox.v1.charges.retrieve(str(dispute.charge)).disputed is True
    assert receiver.wait_for(CREATED, dispute.id).event["data"]["object"]["status"] == "needs_response"
    receiver.wait_for(WITHDRAWN, dispute.id)


def test_a_dispute_is_listed_before_the_success_of_its_payment(sandbox: Sandbox) -> None:
    """So it is at Stripe: news of a dispute can come before its payment is known to be paid."""
    sandbox.pay("pm_card_createDispute")
    types = [event.type for event in reversed(sandbox.v1.events.list().data)]
    assert types == ["payment_intent.created", "charge.succeeded", CREATED, WITHDRAWN, "payment_intent.succeeded"]


def test_an_inquiry_takes_no_money(sandbox: Sandbox, receiver: Receiver) -> None:
    dispute = disputed(sandbox, "pm_card_createDisputeInquiry")
    assert (dispute.status, dispute.is_charge_refundable) == ("warning_needs_response", True)
    assert dispute.balance_transactions == []
    receiver.wait_for(CREATED, dispute.id)
    assert sandbox.event_types(dispute.id) == [CREATED]
    assert sandbox.v1.charges.retrieve(str(dispute.charge)).disputed is True


def test_a_dispute_is_to_be_answered_within_days(sandbox: Sandbox) -> None:
    dispute = disputed(sandbox)
    details = dispute.evidence_details
    assert details.due_by is not None
    assert (details.due_by + 1) % DAY == 0
    assert 8 * DAY <= details.due_by + 1 - dispute.created <= 9 * DAY
    assert (details.has_evidence, details.past_due, details.submission_count) == (False, False, 0)


@pytest.mark.parametrize(
    ("text", "status", "is_refundable", "events"),
    [("winning_evidence", "won", True, [REINSTATED, CLOSED]), ("losing_evidence", "lost", False, [CLOSED])],
)
def test_evidence_in_stripes_own_words_decides(
    sandbox: Sandbox, receiver: Receiver, text: str, status: str, is_refundable: bool, events: list[str]
) -> None:
    sandbox.tell("settlement", {"delay_seconds": AT_ONCE})
    dispute = disputed(sandbox)
    sent = answered(sandbox, dispute, text)
    assert (sent.status, sent.evidence.uncategorized_text) == ("under_review", text)
    details = sent.evidence_details
    assert (details.has_evidence, details.submission_count, details.submission_method) == (True, 1, "manual")
    over = receiver.wait_for(CLOSED, dispute.id).event["data"]
    assert (over["object"]["status"], over["previous_attributes"]["status"]) == (status, "under_review")
    assert sandbox.event_types(dispute.id) == [CREATED, WITHDRAWN, UPDATED, *events]
    now = sandbox.v1.disputes.retrieve(dispute.id)
    assert now.is_charge_refundable is is_refundable
    assert len(now.balance_transactions) == (2 if is_refundable else 1)
    assert sum(entry.amount for entry in now.balance_transactions) == (0 if is_refundable else -14000)
    assert sandbox.v1.charges.retrieve(str(dispute.charge)).disputed is True


def test_other_evidence_stays_under_review(sandbox: Sandbox) -> None:
    sandbox.tell("settlement", {"delay_seconds": 0})
    dispute = disputed(sandbox)
    answered(sandbox, dispute, "the lessons were held")
    until(lambda: sandbox.ask("clock")["has_work"] is False, "the bank has looked at it")
    assert sandbox.v1.disputes.retrieve(dispute.id).status == "under_review"


def test_evidence_can_be_kept_until_it_is_submitted(sandbox: Sandbox) -> None:
    sandbox.tell("settlement", {"delay_seconds": AT_ONCE})
    dispute = disputed(sandbox)
    kept = answered(sandbox, dispute, "winning_evidence", submit=False)
    assert (kept.status, kept.evidence_details.has_evidence) == ("needs_response", True)
    assert kept.evidence_details.submission_count == 0
    assert sandbox.v1.disputes.update(dispute.id, {"metadata": {"case": "7"}}).status == "needs_response"
    assert sandbox.v1.disputes.update(dispute.id, {"submit": True}).status == "under_review"
    assert ended(sandbox, dispute, "won").metadata.to_dict() == {"case": "7"}


@pytest.mark.parametrize("name", ["appeal", "enhanced_evidence"])
def test_evidence_that_the_sandbox_does_not_know_is_refused(sandbox: Sandbox, name: str) -> None:
    evidence: Any = {name: ""}
    with pytest.raises(stripe.InvalidRequestError) as caught:
        sandbox.v1.disputes.update(disputed(sandbox).id, {"evidence": evidence})
    assert caught.value.param == f"evidence[{name}]"


def test_a_dispute_can_be_accepted_and_is_then_closed(sandbox: Sandbox, receiver: Receiver) -> None:
    dispute = disputed(sandbox)
    assert sandbox.v1.disputes.close(dispute.id).status == "lost"
    receiver.wait_for(CLOSED, dispute.id)
    assert sandbox.event_types(dispute.id) == [CREATED, WITHDRAWN, CLOSED]
    with pytest.raises(stripe.InvalidRequestError, match="This dispute is already closed"):
        sandbox.v1.disputes.close(dispute.id)
    with pytest.raises(stripe.InvalidRequestError, match="This dispute is already closed"):
        answered(sandbox, dispute, "winning_evidence")


def test_a_dispute_nobody_answers_is_lost(sandbox: Sandbox, receiver: Receiver) -> None:
    dispute = disputed(sandbox)
    due_by = int(dispute.evidence_details.due_by or 0)
    sandbox.tell("clock", {"advance_seconds": due_by - sandbox.ask("clock")["now"] - 60})
    until(lambda: sandbox.ask("clock")["has_work"] is False, "what was due is done")
    assert sandbox.v1.disputes.retrieve(dispute.id).status == "needs_response"
    sandbox.tell("clock", {"advance_seconds": 61})
    told = receiver.wait_for(CLOSED, dispute.id).event
    assert (told["data"]["object"]["status"], told["request"]["id"]) == ("lost", None)
    assert told["created"] > due_by


def test_a_dispute_that_was_answered_is_not_lost_by_its_date(sandbox: Sandbox) -> None:
    dispute = disputed(sandbox)
    answered(sandbox, dispute, "the lessons were held")
    sandbox.tell("clock", {"advance_seconds": 30 * DAY})
    until(lambda: sandbox.ask("clock")["has_work"] is False, "what was due is done")
    now = sandbox.v1.disputes.retrieve(dispute.id)
    assert (now.status, now.evidence_details.past_due) == ("under_review", False)


def test_an_inquiry_that_nobody_escalates_is_closed_after_months(sandbox: Sandbox) -> None:
    dispute = disputed(sandbox, "pm_card_createDisputeInquiry")
    sandbox.tell("clock", {"advance_seconds": 30 * DAY})
    late = answered(sandbox, dispute, "the lessons were held")
    assert (late.status, late.evidence_details.past_due) == ("warning_under_review", True)
    sandbox.tell("clock", {"advance_seconds": 91 * DAY})
    ended(sandbox, dispute, "warning_closed")
    assert sandbox.event_types(dispute.id) == [CREATED, UPDATED, CLOSED]


@pytest.mark.parametrize("text", ["winning_evidence", "losing_evidence"])
def test_an_inquiry_is_neither_won_nor_lost(sandbox: Sandbox, text: str) -> None:
    sandbox.tell("settlement", {"delay_seconds": AT_ONCE})
    dispute = disputed(sandbox, "pm_card_createDisputeInquiry")
    answered(sandbox, dispute, text)
    assert ended(sandbox, dispute, "warning_closed").balance_transactions == []


def test_an_inquiry_can_become_a_dispute(sandbox: Sandbox, receiver: Receiver) -> None:
    sandbox.tell("settlement", {"delay_seconds": AT_ONCE})
    dispute = disputed(sandbox, "pm_card_createDisputeInquiry")
    sandbox.tell("clock", {"advance_seconds": 5 * DAY})
    answered(sandbox, dispute, "escalate_inquiry_evidence")
    receiver.wait_for(WITHDRAWN, dispute.id)
    now = sandbox.v1.disputes.retrieve(dispute.id)
    assert (now.status, now.is_charge_refundable) == ("needs_response", False)
    assert now.payment_method_details is not None
    assert now.payment_method_details.card is not None
    assert now.payment_method_details.card.case_type == "chargeback"
    assert int(now.evidence_details.due_by or 0) >= int(dispute.evidence_details.due_by or 0) + 5 * DAY
    assert sandbox.event_types(dispute.id) == [CREATED, UPDATED, UPDATED, WITHDRAWN]
    sandbox.tell("clock", {"advance_seconds": 9 * DAY})
    ended(sandbox, dispute, "lost")


def test_an_inquiry_that_becomes_a_dispute_late_has_its_own_time(sandbox: Sandbox) -> None:
    """The day on which the inquiry would have been closed is not the day by which to answer."""
    dispute = disputed(sandbox, "pm_card_createDisputeInquiry")
    sandbox.tell("clock", {"advance_seconds": 116 * DAY})
    sandbox.tell(f"disputes/{dispute.id}/escalated")
    sandbox.tell("clock", {"advance_seconds": 6 * DAY})
    until(lambda: sandbox.ask("clock")["has_work"] is False, "what was due is done")
    assert sandbox.v1.disputes.retrieve(dispute.id).status == "needs_response"
    sandbox.tell("clock", {"advance_seconds": 4 * DAY})
    ended(sandbox, dispute, "lost")


def test_a_charge_that_was_taken_back_is_not_refunded(sandbox: Sandbox) -> None:
    """The money is gone already; a refund would give it twice."""
    sandbox.tell("settlement", {"delay_seconds": AT_ONCE})
    dispute = disputed(sandbox)
    error = refusal(sandbox, dispute.charge)
    assert (error.http_status, error.code) == (400, "charge_disputed")
    assert error.user_message == f"Charge {dispute.charge} has been charged back; cannot issue a refund."
    answer = sandbox.http.post("/_sandbox/refunds", json={"charge": dispute.charge})
    assert answer.json()["error"]["code"] == "charge_disputed"
    sandbox.v1.disputes.close(dispute.id)
    assert refusal(sandbox, dispute.charge).code == "charge_disputed"


def test_a_charge_whose_dispute_was_won_can_be_refunded(sandbox: Sandbox) -> None:
    dispute = disputed(sandbox)
    sandbox.tell(f"disputes/{dispute.id}/won")
    assert sandbox.v1.refunds.create({"charge": str(dispute.charge)}).status == "succeeded"


def test_the_refund_of_an_inquiry_closes_it(sandbox: Sandbox, receiver: Receiver) -> None:
    """A part leaves the question open; who has everything back asks no more."""
    dispute = disputed(sandbox, "pm_card_createDisputeInquiry")
    sandbox.v1.refunds.create({"charge": str(dispute.charge), "amount": 4000})
    assert sandbox.v1.disputes.retrieve(dispute.id).status == "warning_needs_response"
    sandbox.v1.refunds.create({"charge": str(dispute.charge)})
    told = receiver.wait_for(CLOSED, dispute.id).event["data"]
    assert (told["object"]["status"], told["object"]["balance_transactions"]) == ("warning_closed", [])
    newest = sandbox.v1.events.list({"limit": 3}).data
    assert [event.type for event in newest] == [CLOSED, "charge.refunded", "refund.created"]


def test_a_refund_on_its_way_fails_when_the_charge_is_disputed(sandbox: Sandbox, receiver: Receiver) -> None:
    sandbox.tell("settlement", {"delay_seconds": LATER})
    intent = sandbox.pay("pm_card_pendingRefund")
    made = sandbox.v1.refunds.create({"payment_intent": intent.id, "amount": 4000})
    sandbox.tell("disputes", {"payment_intent": intent.id})
    told = receiver.wait_for("refund.failed", made.id).event["data"]["object"]
    assert (told["status"], told["failure_reason"]) == ("failed", "charge_for_pending_refund_disputed")
    assert sandbox.v1.charges.retrieve(str(intent.latest_charge)).amount_refunded == 0


def test_a_charge_that_was_refunded_can_be_disputed_all_the_same(sandbox: Sandbox, receiver: Receiver) -> None:
    """The bank asks nobody what was given back before: all of it is taken, once more."""
    intent = sandbox.pay("pm_card_visa")
    made = sandbox.v1.refunds.create({"payment_intent": intent.id, "amount": 4000})
    dispute = sandbox.tell("disputes", {"payment_intent": intent.id, "reason": "credit_not_processed"})
    assert (dispute["amount"], dispute["reason"]) == (14000, "credit_not_processed")
    receiver.wait_for(WITHDRAWN, dispute["id"])
    charge = sandbox.v1.charges.retrieve(str(intent.latest_charge))
    assert (charge.amount_refunded, charge.disputed) == (4000, True)
    assert sandbox.v1.refunds.retrieve(made.id).status == "succeeded"


def test_a_dispute_can_be_opened_on_any_charge_and_on_a_part_of_it(sandbox: Sandbox, receiver: Receiver) -> None:
    charge = sandbox.pay("pm_card_visa").latest_charge
    dispute = sandbox.tell("disputes", {"charge": charge, "amount": 6000})
    assert (dispute["amount"], dispute["status"], dispute["charge"]) == (6000, "needs_response", charge)
    assert receiver.wait_for(CREATED, dispute["id"]).event["request"] == {"id": None, "idempotency_key": None}
    for body, status in (
        ({"charge": charge}, 409),
        ({"charge": "ch_unknown"}, 404),
        ({}, 400),
        ({"charge": sandbox.pay("pm_card_visa").latest_charge, "amount": 14001}, 400),
        ({"charge": charge, "reason": "moody"}, 400),
    ):
        assert sandbox.http.post("/_sandbox/disputes", json=body).status_code == status
    inquiry = sandbox.tell("disputes", {"payment_intent": sandbox.pay("pm_card_visa").id, "is_inquiry": True})
    assert (inquiry["status"], inquiry["balance_transactions"]) == ("warning_needs_response", [])


@pytest.mark.parametrize(
    ("moves", "status", "events", "balance"),
    [
        (["won"], "won", [REINSTATED, CLOSED], 0),
        (["lost"], "lost", [CLOSED], -14000),
        (["lost", "won"], "won", [CLOSED, REINSTATED, CLOSED], 0),
        (["funds_reinstated"], "needs_response", [REINSTATED], 0),
        (["funds_reinstated", "won"], "won", [REINSTATED, CLOSED], 0),
        (["lost", "funds_reinstated"], "lost", [CLOSED, REINSTATED], 0),
    ],
)
def test_a_dispute_goes_as_it_is_told(
    sandbox: Sandbox, receiver: Receiver, moves: list[str], status: str, events: list[str], balance: int
) -> None:
    dispute = disputed(sandbox)
    for move in moves:
        moved = sandbox.tell(f"disputes/{dispute.id}/{move}")
    assert moved == sandbox.v1.disputes.retrieve(dispute.id).to_dict()
    assert (moved["status"], sum(entry["amount"] for entry in moved["balance_transactions"])) == (status, balance)
    assert sandbox.event_types(dispute.id) == [CREATED, WITHDRAWN, *events]
    receiver.wait_for(events[-1], dispute.id)


@pytest.mark.parametrize(
    ("payment_method", "moves"),
    [
        ("pm_card_createDispute", ["won", "lost"]),
        ("pm_card_createDispute", ["lost", "lost"]),
        ("pm_card_createDispute", ["warning_closed"]),
        ("pm_card_createDispute", ["escalated"]),
        ("pm_card_createDispute", ["funds_reinstated", "funds_reinstated"]),
        ("pm_card_createDisputeInquiry", ["won"]),
        ("pm_card_createDisputeInquiry", ["funds_reinstated"]),
        ("pm_card_createDisputeInquiry", ["warning_closed", "escalated"]),
    ],
)
def test_a_dispute_goes_no_way_that_there_is_not(sandbox: Sandbox, payment_method: str, moves: list[str]) -> None:
    dispute = disputed(sandbox, payment_method)
    for move in moves[:-1]:
        sandbox.tell(f"disputes/{dispute.id}/{move}")
    before = sandbox.event_types(dispute.id)
    answer = sandbox.http.post(f"/_sandbox/disputes/{dispute.id}/{moves[-1]}")
    assert (answer.status_code, answer.json()["error"]["type"]) == (409, "invalid_request_error")
    assert sandbox.event_types(dispute.id) == before


def test_a_way_or_a_dispute_that_is_not_there_is_a_404(sandbox: Sandbox) -> None:
    assert sandbox.http.post(f"/_sandbox/disputes/{disputed(sandbox).id}/forgotten").status_code == 404
    assert sandbox.http.post("/_sandbox/disputes/du_unknown/won").status_code == 404
    with pytest.raises(stripe.InvalidRequestError) as caught:
        sandbox.v1.disputes.retrieve("du_unknown")
    assert (caught.value.http_status, caught.value.param) == (404, "dispute")


def test_disputes_are_listed_by_charge_payment_and_time(sandbox: Sandbox) -> None:
    first = disputed(sandbox)
    sandbox.tell("clock", {"advance_seconds": 100})
    second = disputed(sandbox)
    everything = sandbox.v1.disputes.list({"limit": 1}).auto_paging_iter()
    assert [one.id for one in everything] == [second.id, first.id]
    assert [one.id for one in sandbox.v1.disputes.list({"charge": str(first.charge)}).data] == [first.id]
    since = sandbox.v1.disputes.list({"created": {"gte": second.created}}).data
    assert [one.id for one in since] == [second.id]
    [shown] = sandbox.v1.disputes.list(
        {"payment_intent": str(first.payment_intent), "expand": ["data.charge.refunds", "data.payment_intent"]}
    ).data
    assert isinstance(shown.charge, stripe.Charge)
    assert isinstance(shown.payment_intent, stripe.PaymentIntent)
    assert shown.charge.refunds is not None
    assert shown.charge.refunds.data == []
