"""What a subscription is agreed to be, and what a request may set of that."""

from typing import Any

from billing.sandbox.call import Call
from billing.sandbox.errors import ApiError, no_such
from billing.sandbox.metadata import merged
from billing.sandbox.objects import Body
from billing.sandbox.resources.renewals import period_end

_CANCELLATION = ("comment", "feedback", "feedback_option", "reason")
_SERVED = {
    "collection_method": ("charge_automatically",),
    "payment_behavior": ("allow_incomplete", "default_incomplete", "error_if_incomplete"),
}


def check_modes(params: dict[str, Any]) -> None:
    for name, served in _SERVED.items():
        if params.get(name, served[0]) not in served:
            raise ApiError(f"The sandbox serves {name}={', '.join(served)} only.", param=name)


def given(call: Call, current: Body) -> Body:
    """What a request sets; an empty text unsets."""
    params = call.params
    set_: Body = {}
    if "description" in params:
        set_["description"] = params["description"] or None
    if "metadata" in params:
        set_["metadata"] = merged(current["metadata"], params["metadata"])
    if "default_payment_method" in params:
        set_["default_payment_method"] = _own_method(call, current["customer"])
    if "payment_settings" in params:
        set_["payment_settings"] = {**current["payment_settings"], **params["payment_settings"]}
    if "billing_mode" in params:
        set_["billing_mode"] = {**current["billing_mode"], **params["billing_mode"]}
    if "cancellation_details" in params:
        details = {name: value or None for name, value in params["cancellation_details"].items()}
        set_["cancellation_details"] = {**current["cancellation_details"], **details}
    if "pause_collection" in params:
        set_["pause_collection"] = _pause(params["pause_collection"])
    return {**set_, **_end(call, {**current, **set_})}


def _end(call: Call, current: Body) -> Body:
    """When it is to end; taken back, it goes on as if nobody had said so."""
    params = call.params
    if "cancel_at_period_end" in params and "cancel_at" in params:
        raise ApiError("You can only specify one of these parameters: cancel_at, cancel_at_period_end.")
    if "cancel_at_period_end" in params:
        is_planned = params["cancel_at_period_end"]
        cancel_at = period_end(current) if is_planned else None
    elif "cancel_at" in params:
        is_planned, cancel_at = False, _instant(call, current)
    else:
        return {}
    reason = None if cancel_at is None else "cancellation_requested"
    return {
        "cancel_at": cancel_at,
        "cancel_at_period_end": is_planned,
        "canceled_at": None if cancel_at is None else call.account.clock.now(),
        "cancellation_details": {**current["cancellation_details"], "reason": reason},
    }


def _instant(call: Call, current: Body) -> int | None:
    match call.params["cancel_at"]:
        case "":
            return None
        case int(instant) if instant > call.account.clock.now():
            return instant
        case "min_period_end" | "max_period_end" | "max_billed_until":
            return period_end(current)
    raise ApiError("The timestamp must be in the future.", param="cancel_at")


def _pause(value: dict[str, Any] | str) -> Body | None:
    return {"behavior": value["behavior"], "resumes_at": value.get("resumes_at")} if isinstance(value, dict) else None


def _own_method(call: Call, customer: str) -> str | None:
    method_id: str = call.params["default_payment_method"]
    if not method_id:
        return None
    method = call.account.objects.get("payment_method", method_id)
    if method is None:
        raise no_such("PaymentMethod", method_id, param="default_payment_method")
    if method.body["customer"] != customer:
        sentence = (
            f"The customer does not have a payment method with the ID {method_id}. The payment method must be attached "
            "to the customer."
        )
        raise ApiError(sentence, code="resource_missing", param="default_payment_method")
    return method_id


_BLANK: Body = dict.fromkeys((
    "application", "application_fee_percent", "billing_cycle_anchor_config", "billing_thresholds", "cancel_at",
    "canceled_at", "customer_account", "days_until_due", "default_payment_method", "default_source", "description",
    "ended_at", "latest_invoice", "next_pending_invoice_item_invoice", "on_behalf_of", "pause_collection",
    "pending_invoice_item_interval", "pending_setup_intent", "pending_update", "schedule", "status_details",
    "test_clock", "transfer_data", "trial_end", "trial_start",
))  # fmt: skip


def shape(subscription_id: str, customer: str, items: list[Body], created: int) -> Body:
    return {
        **_BLANK,
        "id": subscription_id,
        "object": "subscription",
        "automatic_tax": {"disabled_reason": None, "enabled": False, "liability": None},
        "billing_cycle_anchor": created,
        "billing_mode": {"flexible": {"proration_discounts": "included"}, "type": "flexible"},
        "billing_schedules": [],
        "cancel_at_period_end": False,
        "cancellation_details": dict.fromkeys(_CANCELLATION),
        "collection_method": "charge_automatically",
        "created": created,
        "currency": items[0]["price"]["currency"],
        "customer": customer,
        "default_tax_rates": [],
        "discounts": [],
        "invoice_settings": {"account_tax_ids": None, "issuer": {"type": "self"}},
        "items": {
            "object": "list",
            "data": items,
            "has_more": False,
            "total_count": len(items),
            "url": f"/v1/subscription_items?subscription={subscription_id}",
        },
        "livemode": False,
        "metadata": {},
        "payment_settings": {
            "payment_method_options": None,
            "payment_method_types": None,
            "save_default_payment_method": "off",
        },
        "start_date": created,
        "status": "incomplete",
        "trial_settings": {"end_behavior": {"missing_payment_method": "create_invoice"}},
    }
