"""What a subscription is for: prices, in quantities, each in a period.

Page: "Subscription Items" of Stripe's API reference.
"""

from typing import Any

from billing.sandbox.call import Call
from billing.sandbox.chance import new_id
from billing.sandbox.errors import ApiError
from billing.sandbox.metadata import merged
from billing.sandbox.objects import Body
from billing.sandbox.resources import periods, prices

_SERVED = frozenset({"price", "quantity", "metadata"})
_SERVED_OF_KNOWN = _SERVED | {"id", "deleted"}


def first(call: Call, subscription_id: str, given: list[dict[str, Any]]) -> list[Body]:
    """The items of a new subscription: all of one currency and one interval, in a period that begins now."""
    if not given:
        raise ApiError("Missing required param: items.", code="parameter_missing", param="items")
    found = [_new(call, subscription_id, item, place) for place, item in enumerate(given)]
    _check_are_alike(found)
    return found


def changed(call: Call, subscription: Body, given: list[dict[str, Any]]) -> list[Body]:
    """Items that the request names by `id` change, others are added; periods stay."""
    items = {item["id"]: item for item in subscription["items"]["data"]}
    for place, change in enumerate(given):
        _check_is_served(change, place, _SERVED_OF_KNOWN)
        item_id = change.get("id")
        if item_id is not None and item_id not in items:
            raise ApiError(
                f"No such subscription item: '{item_id}'", code="resource_missing", param=f"items[{place}][id]"
            )
        if change.get("deleted"):
            items.pop(item_id or "", None)
        elif item_id is None:
            item = _new(call, subscription["id"], change, place)
            items[item["id"]] = _in_period_of(subscription["items"]["data"][0], item)
        else:
            items[item_id] = _with(call, items[item_id], change, place)
    if not items:
        raise ApiError("A subscription must have at least one active item.", param="items")
    _check_are_alike(list(items.values()))
    return list(items.values())


def _new(call: Call, subscription_id: str, given: dict[str, Any], place: int) -> Body:
    _check_is_served(given, place, _SERVED)
    if "price" not in given:
        raise ApiError(f"Missing required param: items[{place}][price].", code="parameter_missing", param="items")
    now = call.account.clock.now()
    price = prices.of_item(call, given["price"], f"items[{place}][price]")
    return {
        "id": new_id("si", 14),
        "object": "subscription_item",
        "billed_until": None,
        "billing_thresholds": None,
        "created": now,
        "current_period_end": periods.end_after(now, price["recurring"], now),
        "current_period_start": now,
        "discounts": [],
        "metadata": merged({}, given.get("metadata")),
        "plan": _plan(price),
        "price": price,
        "quantity": given.get("quantity", 1),
        "subscription": subscription_id,
        "tax_rates": [],
    }


def _with(call: Call, item: Body, change: dict[str, Any], place: int) -> Body:
    """Another price is of one piece, unless the request says of how many."""
    new = {**item, "metadata": merged(item["metadata"], change.get("metadata"))}
    if "price" in change and change["price"] != item["price"]["id"]:
        price = prices.of_item(call, change["price"], f"items[{place}][price]")
        new.update(price=price, plan=_plan(price), quantity=1)
    new["quantity"] = change.get("quantity", new["quantity"])
    return new


def _in_period_of(other: Body, item: Body) -> Body:
    return {**item, **{name: other[name] for name in ("current_period_start", "current_period_end")}}


def _check_is_served(given: dict[str, Any], place: int, served: frozenset[str]) -> None:
    for name in given.keys() - served:
        param = f"items[{place}][{name}]"
        raise ApiError(f"Stripe takes the parameter {param}, the sandbox does not.", param=param)


def _check_are_alike(items: list[Body]) -> None:
    """Stripe mixes intervals where an account asks for it; the sandbox has one period for all."""
    terms = {
        (
            item["price"]["currency"],
            item["price"]["recurring"]["interval"],
            item["price"]["recurring"]["interval_count"],
        )
        for item in items
    }
    if len(terms) > 1:
        raise ApiError("The sandbox serves items of one currency and one interval only.", param="items")


def _plan(price: Body) -> Body:
    """The older shape of a price, which Stripe still shows."""
    return {
        "id": price["id"],
        "object": "plan",
        "active": price["active"],
        "amount": price["unit_amount"],
        "amount_decimal": price["unit_amount_decimal"],
        "billing_scheme": "per_unit",
        "created": price["created"],
        "currency": price["currency"],
        "interval": price["recurring"]["interval"],
        "interval_count": price["recurring"]["interval_count"],
        "livemode": False,
        "metadata": price["metadata"],
        "meter": None,
        "nickname": price["nickname"],
        "product": price["product"],
        "tiers_mode": None,
        "transform_usage": None,
        "trial_period_days": None,
        "usage_type": "licensed",
    }
