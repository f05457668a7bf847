"""Charges: one for each try to take the money. Page: "Charges" of Stripe's API reference."""

from typing import Any, Literal

from billing.sandbox import lists
from billing.sandbox.account import Account
from billing.sandbox.behaviours import Failure
from billing.sandbox.call import Call
from billing.sandbox.chance import new_id
from billing.sandbox.objects import Body, Stored
from billing.sandbox.resources import found

UNSERVED = frozenset({"transfer_group"})
Status = Literal["succeeded", "pending", "failed"]


def retrieve(call: Call) -> Body:
    return found.in_address(call, "charge").body


def list_all(call: Call) -> Body:
    selection = lists.objects_of("charge", "charge")
    for name in ("customer", "payment_intent"):
        if name in call.params:
            selection.where(f"{name} = ?", call.params[name])
    return lists.page(call.account.database, selection, call.params, "/v1/charges")


def add(account: Account, intent: Body, method: Body, status: Status, failure: Failure | None = None) -> Stored:
    charge = Stored(_shape(intent, method, account.clock.now()))
    charge.body.update(_result(intent["amount"], status, failure))
    account.objects.add(charge, charge.body["created"])
    return charge


def conclude(account: Account, charge: Stored, failure: Failure | None) -> None:
    """A pending charge learns what the bank decided."""
    charge.body.update(_result(charge.body["amount"], "failed" if failure else "succeeded", failure))
    account.objects.save(charge)


def _result(amount: int, status: Status, failure: Failure | None) -> Body:
    return {
        "status": status,
        "paid": status == "succeeded",
        "captured": status == "succeeded",
        "amount_captured": amount if status == "succeeded" else 0,
        "failure_code": failure and failure.code,
        "failure_message": failure and failure.message,
        "outcome": _declined(failure) if failure else _authorized(status),
    }


def _authorized(status: Status) -> Body:
    return {
        "advice_code": None,
        "network_advice_code": None,
        "network_decline_code": None,
        "network_status": "approved_by_network",
        "reason": None,
        "risk_level": "normal",
        "seller_message": "Payment complete." if status == "succeeded" else "Payment pending.",
        "type": "authorized",
    }


def _declined(failure: Failure) -> Body:
    return {
        "advice_code": "try_again_later",
        "network_advice_code": None,
        "network_decline_code": None,
        "network_status": "declined_by_network",
        "reason": failure.reason or failure.decline_code,
        "risk_level": "normal",
        "seller_message": "The bank did not accept the payment.",
        "type": "issuer_declined",
    }


_BLANK: Body = dict.fromkeys((
    "application", "application_fee", "application_fee_amount", "balance_transaction", "failure_balance_transaction",
    "failure_code", "failure_message", "on_behalf_of", "outcome", "receipt_number", "receipt_url", "review", "source",
    "source_transfer", "transfer", "transfer_data",
))  # fmt: skip


def _shape(intent: Body, method: Body, created: int) -> Body:
    charge_id = new_id("ch")
    return {
        **_BLANK,
        "id": charge_id,
        "object": "charge",
        "amount": intent["amount"],
        "amount_captured": 0,
        "amount_refunded": 0,
        "billing_details": method["billing_details"],
        "calculated_statement_descriptor": "SANDBOX",
        "captured": False,
        "created": created,
        "currency": intent["currency"],
        "customer": intent["customer"],
        "description": intent["description"],
        "disputed": False,
        "fraud_details": {},
        "livemode": False,
        "metadata": dict(intent["metadata"]),
        "paid": False,
        "payment_intent": intent["id"],
        "payment_method": method["id"],
        "payment_method_details": _method_details(method, intent["amount"]),
        "receipt_email": intent["receipt_email"],
        "refunded": False,
        "shipping": intent["shipping"],
        "statement_descriptor": intent["statement_descriptor"],
        "statement_descriptor_suffix": intent["statement_descriptor_suffix"],
        "status": "pending",
        "transfer_group": intent["transfer_group"],
    }


def _method_details(method: Body, amount: int) -> Body:
    kind = method["type"]
    details = _card(method["card"], amount) if kind == "card" else _sepa_debit(method["sepa_debit"])
    return {"type": kind, kind: details}


def _card(card: Body, amount: int) -> dict[str, Any]:
    kept = (
        "brand",
        "country",
        "exp_month",
        "exp_year",
        "fingerprint",
        "funding",
        "last4",
        "regulated_status",
        "wallet",
    )
    return {
        **{name: card[name] for name in kept},
        "amount_authorized": amount,
        "authorization_code": None,
        "checks": {**card["checks"], "cvc_check": "pass"},
        "installments": None,
        "mandate": None,
        "network": card["brand"],
        "network_token": {"used": False},
        "three_d_secure": None,
    }


def _sepa_debit(debit: Body) -> dict[str, Any]:
    kept = ("bank_code", "branch_code", "country", "fingerprint", "last4")
    return {**{name: debit[name] for name in kept}, "expected_debit_date": None, "mandate": new_id("mandate")}
