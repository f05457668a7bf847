"""Refunds: of a charge, in one piece or several. Page: "Refunds" of Stripe's API reference."""

from billing.sandbox.call import Call
from billing.sandbox.errors import ApiError
from billing.sandbox.metadata import merged
from billing.sandbox.money import check_is_positive, signed
from billing.sandbox.objects import Body, Stored
from billing.sandbox.resources import (
    changes,
    dispute_stages,
    found,
    fraud_warnings,
    of_charges,
    refund_outcomes,
)

UNSERVED = frozenset(
    {"currency", "customer", "instructions_email", "origin", "refund_application_fee", "reverse_transfer"}
)


def create(call: Call) -> Body:
    return make(call, of_charges.named(call)).body


def make(call: Call, charge: Stored, status: str | None = None) -> Stored:
    """Of `amount` in the parameters, or of all that is left; `status` is what the control wants it to be."""
    amount = _amount(call, charge.body)
    metadata = merged({}, call.params.get("metadata"))
    terms = {"amount": amount, "reason": call.params.get("reason"), "metadata": metadata}
    if terms["reason"] == "fraudulent":
        charge.body["fraud_details"] = {"user_report": "fraudulent"}
    refund = refund_outcomes.add(call, charge, terms, status)
    if charge.body["refunded"]:
        dispute_stages.close_inquiries(call, charge.body)
        fraud_warnings.settle(call, charge.body)
    return refund


def retrieve(call: Call) -> Body:
    return found.in_address(call, "refund").body


def update(call: Call) -> Body:
    refund = found.in_address(call, "refund")
    metadata = merged(refund.body["metadata"], call.params.get("metadata"))
    changes.keep(call, refund, {"metadata": metadata}, "refund.updated", "charge.refund.updated")
    return refund.body


def cancel(call: Call) -> Body:
    refund = found.in_address(call, "refund")
    if refund.body["status"] != "requires_action":
        raise ApiError("Canceling this refund is unsupported.")
    refund_outcomes.cancel(call, refund)
    return refund.body


def list_all(call: Call) -> Body:
    return of_charges.page(call, "refund", "/v1/refunds")


def list_of_charge(call: Call) -> Body:
    charge = found.in_address(call, "charge")
    return of_charges.page_of(call, "refund", charge.body, f"/v1/charges/{charge.id}/refunds")


def _amount(call: Call, charge: Body) -> int:
    """Raises Stripe's refusals: of a charge that its bank took back, and of more than is left of it."""
    dispute_stages.check_is_refundable(call, charge)
    left: int = charge["amount_captured"] - charge["amount_refunded"]
    if left == 0:
        raise ApiError(f"Charge {charge['id']} has already been refunded.", code="charge_already_refunded")
    amount: int = call.params.get("amount", left)
    check_is_positive(amount)
    if amount > left:
        asked, rest = (signed(cents, charge["currency"]) for cents in (amount, left))
        sentence = f"Refund amount ({asked}) is greater than unrefunded amount on charge ({rest})"
        raise ApiError(sentence, param="amount")
    return amount
