"""How a dispute goes: it is opened, answered, judged by the bank, or lost because nobody answered.

Pages: "Disputes" of Stripe's API reference, "How disputes work" and "Testing" (disputes) of its documentation.
"""

from dataclasses import dataclass

from stripe import Dispute

from billing.sandbox.account import Account
from billing.sandbox.call import Call
from billing.sandbox.chance import new_id
from billing.sandbox.errors import ApiError
from billing.sandbox.objects import Body, Stored
from billing.sandbox.origins import NOBODY
from billing.sandbox.resources import balance_transactions, changes, fraud_warnings, refund_outcomes

JUDGE, EXPIRE = "judge_dispute", "expire_dispute"
INQUIRY_SECONDS = 120 * 86_400
"""An inquiry that no bank made a dispute of within this time is closed."""
ANSWER_DAYS = 8
FEE = 2000
WINNING, LOSING, ESCALATING = "winning_evidence", "losing_evidence", "escalate_inquiry_evidence"
UNANSWERED = frozenset({"needs_response", "warning_needs_response"})
OPEN = UNANSWERED | {"under_review", "warning_under_review"}
_REASON_CODES = {"fraudulent": "10.4", "product_not_received": "13.1"}
_UPDATED, _CLOSED = "charge.dispute.updated", "charge.dispute.closed"
_WITHDRAWN, _REINSTATED = "charge.dispute.funds_withdrawn", "charge.dispute.funds_reinstated"


@dataclass(frozen=True)
class Claim:
    """What the buyer tells his bank; an inquiry is its question to the seller, before any money is taken back."""

    amount: int
    reason: str = "fraudulent"
    is_inquiry: bool = False


def raise_against(call: Call, charge: Stored, claim: Claim) -> Stored:
    """Events: `charge.dispute.created`, and `charge.dispute.funds_withdrawn` where money was."""
    dispute = Stored(_shape(charge.body, claim, call.account.clock.now()))
    if not claim.is_inquiry:
        dispute.body["balance_transactions"] = [_withdrawal(call.account, dispute.body)]
    call.account.objects.add(dispute, dispute.body["created"])
    changes.keep(call, charge, {"disputed": True})
    call.record("charge.dispute.created", dispute.body)
    if not claim.is_inquiry:
        call.record(_WITHDRAWN, dispute.body)
        refund_outcomes.fail_pending(call, charge.body)
    fraud_warnings.settle(call, charge.body)
    _await_answer(call.account, dispute)
    return dispute


def answer(call: Call, dispute: Stored, details: Body) -> Body:
    """The change that comes of handing the evidence to the bank; its verdict takes a while."""
    call.account.schedule.add(JUDGE, dispute.id, call.account.settlement_seconds)
    return {
        "status": "warning_under_review" if is_inquiry(dispute.body) else "under_review",
        "evidence_details": {
            **details,
            "past_due": _is_overdue(call.account, details),
            "submission_count": details["submission_count"] + 1,
            "submission_method": "manual",
        },
    }


def judge(account: Account, dispute_id: str) -> None:
    """Evidence in Stripe's own words decides; of any other a bank of the sandbox has no opinion."""
    call = Call(account, NOBODY, {})
    dispute = account.objects.need("dispute", dispute_id)
    text, status = dispute.body["evidence"]["uncategorized_text"], dispute.body["status"]
    if status == "warning_under_review" and text in {WINNING, LOSING}:
        close_inquiry(call, dispute)
    elif status == "warning_under_review" and text == ESCALATING:
        escalate(call, dispute)
    elif status == "under_review" and text == WINNING:
        win(call, dispute)
    elif status == "under_review" and text == LOSING:
        lose(call, dispute)


def expire(account: Account, dispute_id: str) -> None:
    """Nobody has answered in time; a dispute that was an inquiry when this was arranged has another time."""
    call = Call(account, NOBODY, {})
    dispute = account.objects.need("dispute", dispute_id)
    if is_inquiry(dispute.body) and dispute.body["status"] in OPEN:
        close_inquiry(call, dispute)
    elif dispute.body["status"] == "needs_response" and _is_overdue(account, dispute.body["evidence_details"]):
        lose(call, dispute)


def win(call: Call, dispute: Stored) -> None:
    reversal, event_types = _reversal(call.account, dispute.body)
    change = {"status": "won", "is_charge_refundable": True, **reversal}
    changes.keep(call, dispute, change, *event_types, _CLOSED)


def lose(call: Call, dispute: Stored) -> None:
    changes.keep(call, dispute, {"status": "lost", "is_charge_refundable": False}, _CLOSED)


def close_inquiry(call: Call, dispute: Stored) -> None:
    changes.keep(call, dispute, {"status": "warning_closed"}, _CLOSED)


def close_inquiries(call: Call, charge: Body) -> None:
    """Who has all of his money back has nothing to ask any more."""
    for dispute in call.account.objects.of_charge("dispute", charge):
        if is_inquiry(dispute.body) and dispute.body["status"] in OPEN:
            close_inquiry(call, dispute)


def escalate(call: Call, dispute: Stored) -> None:
    """The bank makes a dispute of its inquiry, takes the money back, and waits for an answer once more."""
    body = dispute.body
    change = {
        "status": "needs_response",
        "is_charge_refundable": False,
        "balance_transactions": [_withdrawal(call.account, body)],
        "evidence_details": {**body["evidence_details"], "due_by": _due_by(call.account.clock.now())},
        "payment_method_details": _method_details(body["payment_method_details"], body["reason"], is_inquiry=False),
    }
    changes.keep(call, dispute, change, _UPDATED, _WITHDRAWN)
    charge = call.account.objects.need("charge", body["charge"])
    refund_outcomes.fail_pending(call, charge.body)
    _await_answer(call.account, dispute)


def reinstate(call: Call, dispute: Stored) -> None:
    """The money comes back while, or although, the dispute is not won."""
    reversal, event_types = _reversal(call.account, dispute.body)
    changes.keep(call, dispute, reversal, *event_types)


def check_is_refundable(call: Call, charge: Body) -> None:
    disputes = call.account.objects.of_charge("dispute", charge)
    if any(not dispute.body["is_charge_refundable"] for dispute in disputes):
        sentence = f"Charge {charge['id']} has been charged back; cannot issue a refund."
        raise ApiError(sentence, code="charge_disputed")


def is_inquiry(dispute: Body) -> bool:
    return str(dispute["status"]).startswith("warning_")


def is_money_gone(dispute: Body) -> bool:
    moved: int = sum(entry["amount"] for entry in dispute["balance_transactions"])
    return moved < 0


def _await_answer(account: Account, dispute: Stored) -> None:
    wait_seconds: int = INQUIRY_SECONDS
    if not is_inquiry(dispute.body):
        wait_seconds = dispute.body["evidence_details"]["due_by"] + 1 - account.clock.now()
    account.schedule.add(EXPIRE, dispute.id, wait_seconds)


def _is_overdue(account: Account, details: Body) -> bool:
    return account.clock.now() > int(details["due_by"])


def _withdrawal(account: Account, dispute: Body) -> Body:
    return balance_transactions.add(account, "dispute", -dispute["amount"], dispute, FEE)


def _reversal(account: Account, dispute: Body) -> tuple[Body, tuple[str, ...]]:
    """The change and the events of money that comes back; nothing where none is gone."""
    if not is_money_gone(dispute):
        return {}, ()
    entry = balance_transactions.add(account, "dispute_reversal", dispute["amount"], dispute)
    return {"balance_transactions": [*dispute["balance_transactions"], entry]}, (_REINSTATED,)


def _due_by(now: int) -> int:
    """The last second of a day (UTC)."""
    return (now // 86_400 + ANSWER_DAYS + 1) * 86_400 - 1


def _method_details(details: Body | None, reason: str, *, is_inquiry: bool) -> Body | None:
    """Of the charge's, or of the dispute's own; Stripe has none for a bank debit."""
    if details is None or details["type"] != "card":
        return None
    card = {
        "brand": details["card"]["brand"],
        "case_type": "inquiry" if is_inquiry else "chargeback",
        "network": details["card"]["network"],
        "network_reason_code": "10" if is_inquiry else _REASON_CODES.get(reason),
    }
    return {"type": "card", "card": card}


_EVIDENCE: Body = {**dict.fromkeys(Dispute.Evidence.__annotations__), "enhanced_evidence": {}}
_NO_ANSWER: Body = {
    "enhanced_eligibility": {},
    "has_evidence": False,
    "past_due": False,
    "submission_count": 0,
    "submission_method": "not_submitted",
}


def _shape(charge: Body, claim: Claim, created: int) -> Body:
    details = charge["payment_method_details"]
    return {
        "id": new_id("du"),
        "object": "dispute",
        "amount": claim.amount,
        "balance_transactions": [],
        "charge": charge["id"],
        "created": created,
        "currency": charge["currency"],
        "enhanced_eligibility_types": [],
        "evidence": dict(_EVIDENCE),
        "evidence_details": {"due_by": _due_by(created), **_NO_ANSWER},
        "intended_submission_method": None,
        "is_charge_refundable": claim.is_inquiry,
        "livemode": False,
        "metadata": {},
        "network_reason_code": None,
        "payment_intent": charge["payment_intent"],
        "payment_method_details": _method_details(details, claim.reason, is_inquiry=claim.is_inquiry),
        "reason": claim.reason,
        "status": "warning_needs_response" if claim.is_inquiry else "needs_response",
    }
