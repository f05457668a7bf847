"""Invoices of subscriptions, as they are asked for, paid and voided. Page: "Invoices" of Stripe's API reference."""

from billing.sandbox import lists
from billing.sandbox.call import Call
from billing.sandbox.errors import ApiError
from billing.sandbox.objects import Body, Stored
from billing.sandbox.resources import (
    collection,
    found,
    invoice_outcomes,
    invoice_standing,
    payment_methods,
    renewals,
)

UNSERVED = frozenset({"customer_account", "due_date", "forgive", "mandate", "source", "auto_advance"})
UNSERVED_OF_PREVIEW = frozenset(
    {
        "automatic_tax", "currency", "customer", "customer_account", "customer_details", "discounts", "invoice_items",
        "issuer", "on_behalf_of", "schedule", "schedule_details", "subscription_details",
    }
)  # fmt: skip
_SUBSCRIPTION = "json_extract(body, '$.parent.subscription_details.subscription') = ?"


def retrieve(call: Call) -> Body:
    return found.in_address(call, "invoice").body


def preview(call: Call) -> Body:
    """The next invoice of a subscription that is there."""
    subscription = found.in_parameter(call, "subscription", "subscription")
    if subscription is None:
        raise ApiError("The sandbox previews the next invoice of a subscription only.", param="subscription")
    if subscription.body["status"] not in {"active", "past_due"} or subscription.body["cancel_at"] is not None:
        sentence = f"No upcoming invoices for customer: {subscription.body['customer']}"
        raise ApiError(sentence, status=404, code="invoice_upcoming_none")
    return renewals.preview(call, subscription.body)


def list_all(call: Call) -> Body:
    selection = lists.objects_of("invoice", "invoice")
    if "customer" in call.params:
        selection.where("customer = ?", call.params["customer"])
    if "subscription" in call.params:
        selection.where(_SUBSCRIPTION, call.params["subscription"])
    for name in ("status", "collection_method"):
        if name in call.params:
            selection.where(f"json_extract(body, '$.{name}') = ?", call.params[name])
    return lists.page(call.account.database, selection, call.params, "/v1/invoices")


def list_payments(call: Call) -> Body:
    """By invoice, or by the intent that paid: the way back from a payment to what it was for."""
    selection = lists.objects_of("invoice_payment", "invoice_payment")
    if "invoice" in call.params:
        selection.where("json_extract(body, '$.invoice') = ?", call.params["invoice"])
    if "status" in call.params:
        selection.where("json_extract(body, '$.status') = ?", call.params["status"])
    if "payment_intent" in call.params.get("payment", {}):
        selection.where("payment_intent = ?", call.params["payment"]["payment_intent"])
    return lists.page(call.account.database, selection, call.params, "/v1/invoice_payments")


def retrieve_payment(call: Call) -> Body:
    return found.in_address(call, "invoice_payment").body


def list_lines(call: Call) -> Body:
    lines: Body = found.in_address(call, "invoice").body["lines"]
    return lines


def finalize(call: Call) -> Body:
    """A draft becomes open; it is collected when its hour comes, or when it is paid."""
    invoice = found.in_address(call, "invoice")
    _check(
        invoice, frozenset({"draft"}), "This invoice is already finalized, you can't re-finalize a non-draft invoice."
    )
    collection.finalize(call, invoice, _subscription(call, invoice))
    return invoice.body


def pay(call: Call) -> Body:
    """Raises CardDeclined where the bank said no. Off session unless the request says otherwise, as at Stripe."""
    invoice = found.in_address(call, "invoice")
    subscription = _subscription(call, invoice)
    if invoice.body["status"] == "draft":
        collection.finalize(call, invoice, subscription)
    if invoice.body["status"] == "paid" and invoice.body["amount_due"] == 0:
        return invoice.body
    is_paid = invoice.body["status"] == "paid"
    _check(invoice, frozenset({"open"}), "Invoice is already paid" if is_paid else "This invoice can no longer be paid")
    if call.params.get("paid_out_of_band"):
        invoice_outcomes.mark_paid(call, invoice, None)
        return invoice.body
    method = payment_methods.chosen(call, subscription["customer"])
    method = method or collection.method_for(call, invoice.body, subscription)
    if method is None:
        sentence = "There is no `default_payment_method` set on this Customer or Invoice."
        raise ApiError(sentence, code="invoice_no_payment_method_types")
    collection.pay_with(call, invoice, method, is_off_session=call.params.get("off_session", True))
    return found.in_address(call, "invoice").body


def void(call: Call) -> Body:
    invoice = found.in_address(call, "invoice")
    open_ = frozenset({"open", "uncollectible"})
    _check(invoice, open_, "You can only pass in open or uncollectible invoices. This invoice isn't one.")
    invoice_standing.void(call, invoice)
    return invoice.body


def _check(invoice: Stored, statuses: frozenset[str], sentence: str) -> None:
    if invoice.body["status"] not in statuses:
        raise ApiError(sentence)


def _subscription(call: Call, invoice: Stored) -> Body:
    named = invoice.body["parent"]["subscription_details"]["subscription"]
    return call.account.objects.need("subscription", named).body
