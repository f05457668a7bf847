"""Customers. Page: "Customers" of Stripe's API reference."""

from typing import Any

from billing.sandbox import lists
from billing.sandbox.call import Call
from billing.sandbox.chance import new_id
from billing.sandbox.errors import ApiError, no_such
from billing.sandbox.metadata import merged
from billing.sandbox.objects import Body, Stored
from billing.sandbox.resources import changes, found, payment_methods, subscription_ends

_TEXTS = ("business_name", "description", "email", "individual_name", "name", "phone")
_PARTS = ("address", "shipping")
_PLAIN = ("balance", "invoice_prefix", "next_invoice_sequence", "preferred_locales")
_ADDRESS = dict.fromkeys(("city", "country", "line1", "line2", "postal_code", "state"))
_INVOICE_SETTINGS = dict.fromkeys(("custom_fields", "default_payment_method", "footer", "rendering_options"))
UNSERVED = frozenset({"cash_balance", "default_source", "source", "tax", "tax_id_data", "test_clock"})


def create(call: Call) -> Body:
    customer = Stored(_shape(call.account.clock.now()))
    customer.body.update(_given(call.params, customer.body))
    call.account.objects.add(customer, customer.body["created"])
    method = payment_methods.chosen(call, customer.id)
    if method is not None:
        payment_methods.attach(call, method, customer.id)
    _check_default(call, customer)
    call.record("customer.created", customer.body)
    return customer.body


def retrieve(call: Call) -> Body:
    return found.in_address(call, "customer").body


def update(call: Call) -> Body:
    customer = _living(call)
    changes.keep(call, customer, _given(call.params, customer.body), "customer.updated")
    _check_default(call, customer)
    return customer.body


def delete(call: Call) -> Body:
    """What he had subscribed to ends with him."""
    customer = _living(call)
    for subscription in call.account.objects.of_customer("subscription", customer.id):
        if subscription.body["status"] not in subscription_ends.ENDED:
            subscription_ends.end(call, subscription, {"reason": "cancellation_requested"})
    call.record("customer.deleted", customer.body)
    customer.body = {"id": customer.id, "object": "customer", "deleted": True}
    call.account.objects.save(customer)
    return customer.body


def list_all(call: Call) -> Body:
    selection = lists.objects_of("customer", "customer").where("json_extract(body, '$.deleted') IS NULL")
    if "email" in call.params:
        selection.where("json_extract(body, '$.email') = ?", call.params["email"])
    return lists.page(call.account.database, selection, call.params, "/v1/customers")


def _check_default(call: Call, customer: Stored) -> None:
    """What pays for invoices is a payment method of this customer."""
    method_id = customer.body["invoice_settings"]["default_payment_method"]
    method = method_id and call.account.objects.get("payment_method", method_id)
    if method_id and (method is None or method.body["customer"] != customer.id):
        sentence = (
            f"No such PaymentMethod: '{method_id}'; the customer does not have a payment method with the ID "
            f"{method_id}. The payment method must be attached to the customer."
        )
        raise ApiError(sentence, code="resource_missing", param="invoice_settings[default_payment_method]")


def _living(call: Call) -> Stored:
    customer = found.in_address(call, "customer")
    if customer.body.get("deleted"):
        raise no_such("customer", customer.id, status=404)
    return customer


def _given(params: dict[str, Any], current: Body) -> Body:
    """What a request sets; an empty text unsets."""
    given: Body = {name: params[name] or None for name in _TEXTS if name in params}
    given |= {name: params[name] for name in _PLAIN if name in params}
    given |= {name: _part(params[name]) for name in _PARTS if name in params}
    if "tax_exempt" in params:
        given["tax_exempt"] = params["tax_exempt"] or "none"
    if "invoice_settings" in params:
        given["invoice_settings"] = {**current["invoice_settings"], **_without_blanks(params["invoice_settings"])}
    if "metadata" in params:
        given["metadata"] = merged(current["metadata"], params["metadata"])
    return given


def _part(value: dict[str, Any] | str) -> Body | None:
    """An address, or a shipping with an address in it; with all of its fields."""
    if not isinstance(value, dict):
        return None
    if "address" in value:
        return {"phone": None, **value, "address": {**_ADDRESS, **_without_blanks(value["address"])}}
    return {**_ADDRESS, **_without_blanks(value)}


def _without_blanks(values: dict[str, Any]) -> Body:
    return {name: None if value == "" else value for name, value in values.items()}


def _shape(created: int) -> Body:
    return {
        "id": new_id("cus", 14),
        "object": "customer",
        "address": None,
        "balance": 0,
        "business_name": None,
        "created": created,
        "currency": None,
        "customer_account": None,
        "default_source": None,
        "delinquent": False,
        "description": None,
        "discount": None,
        "email": None,
        "individual_name": None,
        "invoice_prefix": new_id("", 8)[1:].upper(),
        "invoice_settings": dict(_INVOICE_SETTINGS),
        "livemode": False,
        "metadata": {},
        "name": None,
        "next_invoice_sequence": 1,
        "phone": None,
        "preferred_locales": [],
        "shipping": None,
        "tax_exempt": "none",
        "test_clock": None,
    }
