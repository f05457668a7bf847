"""What becomes of a refund: it succeeds at once, later, or seems to and fails after all.

Pages: "Refunds" of Stripe's API reference, "Refund and cancel payments" and "Testing" (refunds) of its documentation.
"""

from billing.sandbox.account import Account
from billing.sandbox.behaviours import TEST_METHODS, Refunding
from billing.sandbox.call import Call
from billing.sandbox.chance import new_id
from billing.sandbox.objects import Body, Stored
from billing.sandbox.origins import NOBODY
from billing.sandbox.resources import balance_transactions, changes

SETTLE = "settle_refund"
FAILURE_REASON = "expired_or_canceled_card"
"""Of Stripe's test card whose refunds fail."""
DISPUTED = "charge_for_pending_refund_disputed"
_UPDATED = ("refund.updated", "charge.refund.updated")
_UNDONE = frozenset({"failed", "canceled"})


def add(call: Call, charge: Stored, terms: Body, status: str | None = None) -> Stored:
    """`terms` are amount, reason and metadata. Without a `status` the card decides, and the bank in time.

    Events: `refund.created`, then `charge.refunded`; the order in which Stripe lists them.
    """
    refunding: Refunding | None = _refunding(call.account, charge.body) if status is None else None
    refund = Stored(_shape(charge.body, terms, call.account.clock.now()), refunding)
    refund.body.update(_standing(status or ("pending" if refunding == "pending" else "succeeded")))
    entry = balance_transactions.add(call.account, "refund", -terms["amount"], refund.body)
    refund.body["balance_transaction"] = entry["id"]
    call.account.objects.add(refund, refund.body["created"])
    call.record("refund.created", refund.body)
    changes.keep(call, charge, _refunded(charge.body, terms["amount"]), "charge.refunded")
    if refunding is not None:
        call.account.schedule.add(SETTLE, refund.id, call.account.settlement_seconds)
    return refund


def settle(account: Account, refund_id: str) -> None:
    """The buyer's bank has decided; it names a reference where the money is on its way."""
    call = Call(account, NOBODY, {})
    refund = account.objects.need("refund", refund_id)
    if refund.body["status"] in _UNDONE:
        return
    if refund.behaviour == "fails_later":
        fail(call, refund, FAILURE_REASON)
    else:
        succeed(call, refund)


def succeed(call: Call, refund: Stored) -> None:
    details = refund.body["destination_details"]
    change = _standing("succeeded")
    if "card" in details:
        reference = {**details["card"], "reference": new_id("", 12)[1:], "reference_status": "available"}
        change["destination_details"] = {**details, "card": reference}
    changes.keep(call, refund, change, *_UPDATED)


def fail(call: Call, refund: Stored, reason: str) -> None:
    """The money is back with the account, and can be refunded again in another way."""
    change = {**_standing("failed"), "failure_reason": reason}
    _undo(call, refund, change, (*_UPDATED, "refund.failed"))


def cancel(call: Call, refund: Stored) -> None:
    _undo(call, refund, _standing("canceled"), _UPDATED)


def fail_pending(call: Call, charge: Body) -> None:
    """A bank that takes the money back itself takes no refund that is still on its way."""
    for refund in call.account.objects.of_charge("refund", charge):
        if refund.body["status"] == "pending":
            fail(call, refund, DISPUTED)


def _undo(call: Call, refund: Stored, change: Body, event_types: tuple[str, ...]) -> None:
    amount = refund.body["amount"]
    entry = balance_transactions.add(call.account, "refund_failure", amount, refund.body)
    charge = call.account.objects.need("charge", refund.body["charge"])
    changes.keep(call, charge, _refunded(charge.body, -amount))
    changes.keep(call, refund, {**change, "failure_balance_transaction": entry["id"]}, *event_types)


def _refunding(account: Account, charge: Body) -> Refunding:
    method = account.objects.need("payment_method", charge["payment_method"])
    return TEST_METHODS[method.behaviour or ""].refunding


def _refunded(charge: Body, more: int) -> Body:
    amount = charge["amount_refunded"] + more
    return {"amount_refunded": amount, "refunded": amount == charge["amount_captured"]}


def _standing(status: str) -> Body:
    return {"status": status, "pending_reason": "processing" if status == "pending" else None}


def _shape(charge: Body, terms: Body, created: int) -> Body:
    return {
        "id": new_id("re"),
        "object": "refund",
        "amount": terms["amount"],
        "balance_transaction": None,
        "charge": charge["id"],
        "created": created,
        "currency": charge["currency"],
        "customer": charge["customer"],
        "customer_account": None,
        "destination_details": _destination(charge["payment_method_details"]["type"]),
        "instructions_email": None,
        "metadata": terms.get("metadata", {}),
        "next_action": None,
        "payment_intent": charge["payment_intent"],
        "payment_method": charge["payment_method"],
        "reason": terms.get("reason"),
        "receipt_number": None,
        "source_transfer_reversal": None,
        "transfer_reversal": None,
    }


def _destination(kind: str) -> Body:
    if kind != "card":
        return {"type": kind}
    reference = {"reference_status": "pending", "reference_type": "acquirer_reference_number", "type": "refund"}
    return {"type": kind, "card": reference}
