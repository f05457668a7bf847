"""Subscriptions: a customer pays for something every period, until he or his bank ends it.

Pages: "Subscriptions" of Stripe's API reference, "How subscriptions work" of its documentation.
"""

from billing.sandbox import lists
from billing.sandbox.call import Call
from billing.sandbox.chance import new_id
from billing.sandbox.errors import ApiError
from billing.sandbox.objects import Body, Stored
from billing.sandbox.resources import (
    collection,
    found,
    invoice_shapes,
    renewals,
    subscription_ends,
    subscription_items,
)
from billing.sandbox.resources.subscription_terms import check_modes, given, shape

UNSERVED = frozenset(
    {
        "add_invoice_items", "application_fee_percent", "automatic_tax", "backdate_start_date", "billing_cycle_anchor",
        "billing_cycle_anchor_config", "billing_schedules", "billing_thresholds", "customer_account", "days_until_due",
        "default_source", "default_tax_rates", "discounts", "invoice_settings", "on_behalf_of",
        "pending_invoice_item_interval", "plan", "prorate", "proration_date", "invoice_now", "test_clock",
        "transfer_data", "trial_end", "trial_from_plan", "trial_period_days", "trial_settings",
    }
)  # fmt: skip
_WITHOUT_METHOD = (
    "This customer has no attached payment source or default payment method. Please consider adding a default payment "
    "method. For more information, visit https://stripe.com/docs/billing/subscriptions/payment-methods-setting"
    "#payment-method-priority."
)


def create(call: Call) -> Body:
    """Events: `customer.subscription.created`, `invoice.created`, `invoice.finalized`, and what the payment brings."""
    customer = found.in_parameter(call, "customer", "customer")
    if customer is None:
        raise ApiError("Missing required param: customer.", code="parameter_missing", param="customer")
    check_modes(call.params)
    subscription_id = new_id("sub")
    items = subscription_items.first(call, subscription_id, call.params.get("items", []))
    subscription = Stored(shape(subscription_id, customer.id, items, call.account.clock.now()))
    subscription.body.update(given(call, subscription.body))
    invoice = Stored(invoice_shapes.invoice(call, subscription.body, items, "subscription_create"))
    subscription.body["latest_invoice"] = invoice.id
    call.account.objects.add(subscription, subscription.body["created"])
    call.account.objects.add(invoice, invoice.body["created"])
    call.record("customer.subscription.created", subscription.body)
    call.record("invoice.created", invoice.body)
    _schedule(call, subscription.body)
    _begin(call, subscription.body, invoice)
    return call.account.objects.need("subscription", subscription_id).body


def retrieve(call: Call) -> Body:
    return found.in_address(call, "subscription").body


def update(call: Call) -> Body:
    subscription = _living(call, "update")
    check_modes(call.params)
    change = given(call, subscription.body)
    if "items" in call.params:
        _check_proration(call)
        items = subscription_items.changed(call, subscription.body, call.params["items"])
        change["items"] = {**subscription.body["items"], "data": items}
    _check_changeable(subscription.body, change)
    renewals.change(call, subscription, change)
    return subscription.body


def cancel(call: Call) -> Body:
    """At once; an incomplete subscription, which never began, expires."""
    subscription = _living(call, "cancel")
    details = {**call.params.get("cancellation_details", {}), "reason": "cancellation_requested"}
    subscription_ends.end(call, subscription, {name: value or None for name, value in details.items()})
    return subscription.body


def list_all(call: Call) -> Body:
    """Without those that are cancelled, unless the request says which ones."""
    selection = lists.objects_of("subscription", "subscription")
    if "customer" in call.params:
        selection.where("customer = ?", call.params["customer"])
    if "price" in call.params:
        selection.where(
            "EXISTS (SELECT 1 FROM json_each(body, '$.items.data') item"
            " WHERE json_extract(item.value, '$.price.id') = ?)",
            call.params["price"],
        )
    if "collection_method" in call.params:
        selection.where("json_extract(body, '$.collection_method') = ?", call.params["collection_method"])
    match call.params.get("status"):
        case None:
            selection.where("json_extract(body, '$.status') != 'canceled'")
        case "ended":
            selection.where("json_extract(body, '$.status') IN ('canceled', 'incomplete_expired')")
        case status if status != "all":
            selection.where("json_extract(body, '$.status') = ?", status)
    return lists.page(call.account.database, selection, call.params, "/v1/subscriptions")


def _living(call: Call, verb: str) -> Stored:
    subscription = found.in_address(call, "subscription")
    if subscription.body["status"] in subscription_ends.ENDED:
        if verb == "cancel":
            raise ApiError(
                f"No such subscription: '{subscription.id}'", status=404, code="resource_missing", param="id"
            )
        sentence = "A canceled subscription can only update its cancellation_details and metadata."
        if call.params.keys() - {"metadata", "cancellation_details", "expand"}:
            raise ApiError(sentence)
    return subscription


def _schedule(call: Call, subscription: Body) -> None:
    expires_in = subscription_ends.EXPIRES_AFTER_SECONDS
    call.account.schedule.add_at(subscription_ends.EXPIRE, subscription["id"], subscription["created"] + expires_in)
    renewals.plan(call, subscription)
    if subscription["cancel_at"] is not None:
        call.account.schedule.add_at(subscription_ends.END, subscription["id"], subscription["cancel_at"])


def _begin(call: Call, subscription: Body, invoice: Stored) -> None:
    """With `default_incomplete` the buyer confirms the payment; else his method is tried now."""
    behavior = call.params.get("payment_behavior", "allow_incomplete")
    is_tried = behavior != "default_incomplete" and invoice.body["amount_due"] > 0
    if is_tried and collection.method_for(call, invoice.body, subscription) is None:
        raise ApiError(_WITHOUT_METHOD, code="resource_missing")
    collection.finalize(call, invoice, subscription)
    if is_tried:
        collection.collect(call, invoice, subscription)
    if behavior == "error_if_incomplete":
        _check_is_paid(call, subscription["id"])


def _check_is_paid(call: Call, subscription_id: str) -> None:
    """Raises the bank's refusal; all that was made for it is undone."""
    subscription = call.account.objects.need("subscription", subscription_id).body
    if subscription["status"] == "active":
        return
    invoice = call.account.objects.need("invoice", subscription["latest_invoice"])
    intent = call.account.objects.need("payment_intent", invoice.behaviour or "").body
    asked = {
        "code": "subscription_payment_intent_requires_action",
        "message": "Payment for this subscription requires additional user action before it can be completed "
        "successfully.",
        "type": "card_error",
    }
    error: Body = intent["last_payment_error"] or asked
    raise ApiError(status=402, **{name: value for name, value in error.items() if name != "doc_url"})


def _check_proration(call: Call) -> None:
    """The new price counts from the next period on."""
    if call.params.get("proration_behavior", "create_prorations") != "none":
        raise ApiError("The sandbox serves proration_behavior=none only.", param="proration_behavior")


def _check_changeable(subscription: Body, change: Body) -> None:
    fixed = change.keys() & {"items", "cancel_at", "pause_collection"}
    if subscription["status"] == "incomplete" and fixed:
        sentence = (
            "You cannot update a subscription in `incomplete` status in a way that changes its invoices. Only its "
            "metadata and payment method can be updated until its first invoice is paid."
        )
        raise ApiError(sentence, param=min(fixed))
