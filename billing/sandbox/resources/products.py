"""Products: what is sold. Page: "Products" of Stripe's API reference."""

from typing import Any

from billing.sandbox import lists
from billing.sandbox.call import Call
from billing.sandbox.chance import new_id
from billing.sandbox.errors import ApiError
from billing.sandbox.metadata import merged
from billing.sandbox.objects import Body, Stored
from billing.sandbox.resources import changes, found, prices

_TEXTS = ("name", "description", "statement_descriptor", "unit_label", "url", "tax_code")
_PLAIN = ("active", "images", "marketing_features", "package_dimensions", "shippable")
UNSERVED = frozenset({"tax_details", "type"})


def create(call: Call) -> Body:
    product_id = call.params.get("id") or new_id("prod", 14)
    if call.account.objects.get("product", product_id) is not None:
        raise ApiError("Product already exists.", code="resource_already_exists", param="id")
    product = Stored(_shape(product_id, call.account.clock.now()))
    product.body.update(_given(call.params, product.body))
    call.account.objects.add(product, product.body["created"])
    if "default_price_data" in call.params:
        price = prices.make(call, {**call.params["default_price_data"], "product": product_id})
        product.body["default_price"] = price.id
        call.account.objects.save(product)
    call.record("product.created", product.body)
    return product.body


def retrieve(call: Call) -> Body:
    return found.in_address(call, "product").body


def update(call: Call) -> Body:
    product = found.in_address(call, "product")
    change = _given(call.params, product.body)
    price = found.in_parameter(call, "price", "default_price")
    if price is not None:
        change["default_price"] = _own(price, product).id
    if any(product.body[name] != value for name, value in change.items()):
        change["updated"] = call.account.clock.now()
    changes.keep(call, product, change, "product.updated")
    return product.body


def list_all(call: Call) -> Body:
    selection = lists.objects_of("product", "product")
    for name in ("active", "shippable", "url"):
        if name in call.params:
            selection.where(f"json_extract(body, '$.{name}') = ?", call.params[name])
    if "ids" in call.params:
        marks = ", ".join("?" * len(call.params["ids"]))
        selection.where(f"id IN ({marks})", *call.params["ids"])
    return lists.page(call.account.database, selection, call.params, "/v1/products")


def _own(price: Stored, product: Stored) -> Stored:
    if price.body["product"] != product.id:
        raise ApiError(f"The price {price.id} is not of the product {product.id}.", param="default_price")
    return price


def _given(params: dict[str, Any], current: Body) -> Body:
    """What a request sets; an empty text unsets."""
    given: Body = {name: params[name] or None for name in _TEXTS if name in params}
    given |= {name: params[name] if params[name] != "" else None for name in _PLAIN if name in params}
    for name in ("images", "marketing_features"):
        if name in given:
            given[name] = given[name] or []
    if "metadata" in params:
        given["metadata"] = merged(current["metadata"], params["metadata"])
    return given


def _shape(product_id: str, created: int) -> Body:
    return {
        "id": product_id,
        "object": "product",
        "active": True,
        "created": created,
        "default_price": None,
        "description": None,
        "images": [],
        "livemode": False,
        "marketing_features": [],
        "metadata": {},
        "name": "",
        "package_dimensions": None,
        "shippable": None,
        "statement_descriptor": None,
        "tax_code": None,
        "type": "service",
        "unit_label": None,
        "updated": created,
        "url": None,
    }
