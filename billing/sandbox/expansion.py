"""`expand[]`: an id in an answer becomes the object it names.

Page: "Expanding responses" of Stripe's API reference.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from billing.sandbox.errors import ApiError
from billing.sandbox.objects import Body, Objects

EXPANDABLE: Mapping[str, Mapping[str, str]] = {
    "payment_intent": {"customer": "customer", "latest_charge": "charge", "payment_method": "payment_method"},
    "charge": {"customer": "customer", "payment_intent": "payment_intent"},
    "customer.invoice_settings": {"default_payment_method": "payment_method"},
    "payment_method": {"customer": "customer"},
    "refund": {
        "balance_transaction": "balance_transaction",
        "charge": "charge",
        "customer": "customer",
        "failure_balance_transaction": "balance_transaction",
        "payment_intent": "payment_intent",
        "payment_method": "payment_method",
    },
    "dispute": {"charge": "charge", "payment_intent": "payment_intent"},
    "radar.early_fraud_warning": {"charge": "charge", "payment_intent": "payment_intent"},
    "setup_intent": {"customer": "customer", "latest_attempt": "setup_attempt", "payment_method": "payment_method"},
    "setup_attempt": {"customer": "customer", "payment_method": "payment_method", "setup_intent": "setup_intent"},
    "product": {"default_price": "price"},
    "price": {"product": "product"},
    "subscription": {
        "customer": "customer",
        "default_payment_method": "payment_method",
        "latest_invoice": "invoice",
    },
    "invoice": {"customer": "customer", "default_payment_method": "payment_method"},
    "invoice.parent.subscription_details": {"subscription": "subscription"},
    "line_item.pricing.price_details": {"price": "price"},
    "invoice_payment": {"invoice": "invoice"},
    "invoice_payment.payment": {"charge": "charge", "payment_intent": "payment_intent"},
}
"""By object, or by a part of one."""
_SHOWN_AT_FIRST = 10


def expanded(objects: Objects, body: Body, paths: Sequence[str]) -> Body:
    for path in paths:
        body = _expand(objects, body, path.split("."), path)
    return body


def _expand(objects: Objects, body: Body, steps: list[str], path: str, place: str = "") -> Body:
    """`place` names the part of an object that a path leads through: `invoice.parent`."""
    if body.get("object") == "list" and steps[0] == "data" and len(steps) > 1:
        return {**body, "data": [_expand(objects, item, steps[1:], path) for item in body["data"]]}
    place = str(body.get("object", place))
    here = body.get(steps[0])
    is_part = isinstance(here, dict) and steps[0] not in EXPANDABLE.get(place, {}) and len(steps) > 1
    inner = here if is_part else _inner(objects, body, place, steps[0], path)
    if inner is not None and len(steps) > 1:
        inner = _expand(objects, inner, steps[1:], path, f"{place}.{steps[0]}")
    return {**body, steps[0]: inner}


def _inner(objects: Objects, body: Body, place: str, name: str, path: str) -> Body | None:
    if (place, name) in _ONLY_WHERE_ASKED_FOR:
        return body[name] if name in body else _ONLY_WHERE_ASKED_FOR[place, name](objects, body)
    kind = EXPANDABLE.get(place, {}).get(name)
    if kind is None:
        raise ApiError(f"This property cannot be expanded ({path}).", param="expand")
    return _named(objects, kind, body.get(name))


def _refunds(objects: Objects, charge: Body) -> Body:
    """The newest, in the shape of a list's first page; a charge has them only where they are asked for."""
    found = [stored.body for stored in reversed(objects.of_charge("refund", charge))]
    return _first_page(found, f"/v1/charges/{charge['id']}/refunds")


def _payments(objects: Objects, invoice: Body) -> Body:
    return _first_page([stored.body for stored in objects.of_invoice(invoice["id"])], "/v1/invoice_payments")


def _confirmation_secret(objects: Objects, invoice: Body) -> Body | None:
    """With it a browser pays the invoice: the client secret of the intent that collects it."""
    for payment in objects.of_invoice(invoice["id"]):
        intent = objects.need("payment_intent", payment.body["payment"]["payment_intent"])
        return {"client_secret": intent.body["client_secret"], "type": "payment_intent"}
    return None


def _first_page(found: list[Body], url: str) -> Body:
    return {"object": "list", "data": found[:_SHOWN_AT_FIRST], "has_more": len(found) > _SHOWN_AT_FIRST, "url": url}


_ONLY_WHERE_ASKED_FOR: Mapping[tuple[str, str], Callable[[Objects, Body], Body | None]] = {
    ("charge", "refunds"): _refunds,
    ("invoice", "payments"): _payments,
    ("invoice", "confirmation_secret"): _confirmation_secret,
}


def _named(objects: Objects, kind: str, value: Any) -> Body | None:
    """Already an object where a longer path went through it before."""
    if value is None or isinstance(value, dict):
        return value
    stored = objects.get(kind, value)
    return None if stored is None else stored.body
