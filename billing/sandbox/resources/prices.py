"""Prices: how much a product costs, once or every so often. Page: "Prices" of Stripe's API reference."""

from typing import Any

from billing.sandbox import lists
from billing.sandbox.call import Call
from billing.sandbox.chance import new_id
from billing.sandbox.errors import ApiError, no_such
from billing.sandbox.metadata import merged
from billing.sandbox.money import check_currency
from billing.sandbox.objects import Body, Stored
from billing.sandbox.resources import changes, found

UNSERVED = frozenset(
    {
        "currency_options", "custom_unit_amount", "product_data", "tiers", "tiers_mode", "transform_quantity",
        "unit_amount_decimal",
    }
)  # fmt: skip
_OF_ONE = {"day": 1095, "week": 156, "month": 36, "year": 3}
"""The longest interval is three years."""


def create(call: Call) -> Body:
    if found.in_parameter(call, "product", "product") is None:
        raise ApiError("Missing required param: product.", code="parameter_missing", param="product")
    return make(call, call.params).body


def make(call: Call, params: dict[str, Any]) -> Stored:
    """`params` name a product that is there."""
    currency = check_currency(params["currency"])
    if params.get("unit_amount", -1) < 0:
        raise ApiError("Prices require an `unit_amount` or `unit_amount_decimal` parameter.", param="unit_amount")
    if params.get("billing_scheme", "per_unit") != "per_unit":
        raise ApiError("The sandbox serves billing_scheme=per_unit only.", param="billing_scheme")
    price = Stored(_shape({**params, "currency": currency}, call.account.clock.now()))
    _take_lookup_key(call, price)
    call.account.objects.add(price, price.body["created"])
    call.record("price.created", price.body)
    return price


def retrieve(call: Call) -> Body:
    return found.in_address(call, "price").body


def update(call: Call) -> Body:
    """What it costs is fixed: subscriptions count on it."""
    price = found.in_address(call, "price")
    given: Body = {name: call.params[name] for name in ("active", "tax_behavior") if name in call.params}
    given |= {name: call.params[name] or None for name in ("lookup_key", "nickname") if name in call.params}
    if "metadata" in call.params:
        given["metadata"] = merged(price.body["metadata"], call.params["metadata"])
    _take_lookup_key(call, Stored({**price.body, **given}))
    changes.keep(call, price, given, "price.updated")
    return price.body


def list_all(call: Call) -> Body:
    selection = lists.objects_of("price", "price")
    for name in ("active", "currency", "product", "type"):
        if name in call.params:
            selection.where(f"json_extract(body, '$.{name}') = ?", call.params[name])
    for name, value in call.params.get("recurring", {}).items():
        selection.where(f"json_extract(body, '$.recurring.{name}') = ?", value)
    if "lookup_keys" in call.params:
        marks = ", ".join("?" * len(call.params["lookup_keys"]))
        selection.where(f"json_extract(body, '$.lookup_key') IN ({marks})", *call.params["lookup_keys"])
    return lists.page(call.account.database, selection, call.params, "/v1/prices")


def of_item(call: Call, price_id: str, param: str) -> Body:
    """A price that a subscription can have. Raises Stripe's refusals of others."""
    price = call.account.objects.get("price", price_id)
    if price is None:
        raise no_such("price", price_id, param=param)
    if not price.body["active"]:
        raise ApiError(
            f"The price specified is inactive. This field only accepts active prices: {price_id}", param=param
        )
    if price.body["recurring"] is None:
        sentence = (
            f"The price specified is set to `type=one_time` but this field only accepts prices with `type=recurring`: "
            f"{price_id}"
        )
        raise ApiError(sentence, param=param)
    return price.body


def _take_lookup_key(call: Call, price: Stored) -> None:
    """A key leads to one price; it moves to another where the request says so."""
    key = price.body["lookup_key"]
    if key is None:
        return
    selection = lists.objects_of("price", "price").where("json_extract(body, '$.lookup_key') = ?", key)
    for row in call.account.database.rows(selection.statement("seq"), *selection.values, 1):
        other = Stored.of(row)
        if other.id == price.id:
            return
        if not call.params.get("transfer_lookup_key"):
            sentence = f"A price (`{other.id}`) already uses that lookup key."
            raise ApiError(sentence, param="lookup_key")
        changes.keep(call, other, {"lookup_key": None}, "price.updated")


def _recurring(given: dict[str, Any] | None) -> Body | None:
    if given is None:
        return None
    if given.get("usage_type", "licensed") != "licensed" or "meter" in given:
        raise ApiError("The sandbox serves usage_type=licensed only.", param="recurring[usage_type]")
    count = given.get("interval_count", 1)
    if not 1 <= count <= _OF_ONE[given["interval"]]:
        raise ApiError("Invalid interval_count.", param="recurring[interval_count]")
    return {
        "interval": given["interval"],
        "interval_count": count,
        "meter": None,
        "trial_period_days": None,
        "usage_type": "licensed",
    }


def _shape(params: dict[str, Any], created: int) -> Body:
    recurring = _recurring(params.get("recurring"))
    return {
        "id": new_id("price"),
        "object": "price",
        "active": params.get("active", True),
        "billing_scheme": "per_unit",
        "created": created,
        "currency": params["currency"],
        "custom_unit_amount": None,
        "livemode": False,
        "lookup_key": params.get("lookup_key"),
        "metadata": merged({}, params.get("metadata")),
        "nickname": params.get("nickname"),
        "product": params["product"],
        "recurring": recurring,
        "tax_behavior": params.get("tax_behavior", "unspecified"),
        "tiers_mode": None,
        "transform_quantity": None,
        "type": "one_time" if recurring is None else "recurring",
        "unit_amount": params["unit_amount"],
        "unit_amount_decimal": str(params["unit_amount"]),
    }
