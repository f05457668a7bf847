"""Payment methods of a customer: attached, detached, listed, changed by their owner or by the card's network.

Pages: "PaymentMethods" of Stripe's API reference, "Testing" (declined payments) of its documentation.
"""

from typing import Any

from billing.sandbox import behaviours, lists
from billing.sandbox.behaviours import TEST_METHODS
from billing.sandbox.call import Call
from billing.sandbox.errors import ApiError, CardDeclined
from billing.sandbox.metadata import merged
from billing.sandbox.objects import Body, Stored
from billing.sandbox.resources import changes, found, payment_methods

UNSERVED = frozenset({"customer_account", "us_bank_account"})


def attach(call: Call) -> Body:
    """Raises CardDeclined where the bank would not have the card kept: nothing is charged for that."""
    customer = found.in_parameter(call, "customer", "customer")
    if customer is None:
        raise ApiError("Missing required param: customer.", code="parameter_missing", param="customer")
    name = behaviours.named(call.subject)
    method = payment_methods.new(call, name) if name else found.in_address(call, "payment_method")
    payment_methods.check_is_usable(call, method)
    if method.body["customer"] not in {None, customer.id}:
        raise ApiError("The payment method you provided has already been attached to a customer.")
    check_is_kept(method)
    payment_methods.attach(call, method, customer.id)
    return method.body


def detach(call: Call) -> Body:
    method = found.in_address(call, "payment_method")
    customer_id = method.body["customer"]
    if customer_id is None:
        raise ApiError("The payment method you provided is not attached to a customer so detachment is impossible.")
    changes.keep(call, method, {"customer": None}, "payment_method.detached")
    call.account.database.run("INSERT OR IGNORE INTO detached (payment_method) VALUES (?)", method.id)
    _forget_default(call, call.account.objects.need("customer", customer_id), method.id)
    return method.body


def update(call: Call) -> Body:
    method = found.in_address(call, "payment_method")
    if method.body["customer"] is None:
        raise ApiError("You must save this PaymentMethod to a customer before you can update it.")
    changes.keep(call, method, _given(call.params, method.body), "payment_method.updated")
    return method.body


def renew(call: Call, card: dict[str, Any]) -> Stored:
    """The network told Stripe of the card that the bank has sent in place of this one."""
    method = found.in_address(call, "payment_method")
    if method.body["type"] != "card" or method.body["customer"] is None:
        raise ApiError("Only a card of a customer is updated automatically.")
    change = {"card": {**method.body["card"], **card}}
    changes.keep(call, method, change, "payment_method.automatically_updated")
    return method


def list_all(call: Call) -> Body:
    selection = lists.objects_of("payment_method", "PaymentMethod")
    customer = found.in_parameter(call, "customer", "customer")
    if customer is not None:
        selection.where("customer = ?", customer.id)
    return _page(call, selection, "/v1/payment_methods")


def list_of_customer(call: Call) -> Body:
    customer = found.in_address(call, "customer")
    selection = lists.objects_of("payment_method", "PaymentMethod").where("customer = ?", customer.id)
    return _page(call, selection, f"/v1/customers/{customer.id}/payment_methods")


def check_is_kept(method: Stored) -> None:
    failure = TEST_METHODS[method.behaviour or ""].failure_of_setup
    if failure is None:
        return
    error = {"code": failure.code, "message": failure.message, "type": "card_error"}
    raise CardDeclined({**error, "decline_code": failure.decline_code})


def _page(call: Call, selection: lists.Selection, url: str) -> Body:
    for name in ("type", "allow_redisplay"):
        if name in call.params:
            selection.where(f"json_extract(body, '$.{name}') = ?", call.params[name])
    return lists.page(call.account.database, selection, call.params, url)


def _forget_default(call: Call, customer: Stored, method_id: str) -> None:
    settings = customer.body.get("invoice_settings", {})
    if settings.get("default_payment_method") == method_id:
        change = {"invoice_settings": {**settings, "default_payment_method": None}}
        changes.keep(call, customer, change, "customer.updated")


def _given(params: dict[str, Any], current: Body) -> Body:
    given: Body = {name: params[name] for name in ("allow_redisplay",) if name in params}
    if "metadata" in params:
        given["metadata"] = merged(current["metadata"], params["metadata"])
    if "billing_details" in params:
        given["billing_details"] = payment_methods.billing_details(
            params["billing_details"], current["billing_details"]
        )
    if current["type"] == "card" and "card" in params:
        dates = {name: params["card"][name] for name in ("exp_month", "exp_year") if name in params["card"]}
        given["card"] = {**current["card"], **dates}
    return given
