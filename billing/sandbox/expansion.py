"""`expand[]`: an id in an answer becomes the object it names.

Page: "Expanding responses" of Stripe's API reference.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from billing.sandbox.errors import ApiError
from billing.sandbox.objects import Body, Objects

EXPANDABLE: Mapping[str, Mapping[str, str]] = {
    "payment_intent": {"customer": "customer", "latest_charge": "charge", "payment_method": "payment_method"},
    "charge": {"customer": "customer", "payment_intent": "payment_intent"},
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
}
_REFUNDS_SHOWN = 10


def expanded(objects: Objects, body: Body, paths: Sequence[str]) -> Body:
    for path in paths:
        body = _expand(objects, body, path.split("."), path)
    return body


def _expand(objects: Objects, body: Body, steps: list[str], path: str) -> Body:
    if body.get("object") == "list" and steps[0] == "data" and len(steps) > 1:
        return {**body, "data": [_expand(objects, item, steps[1:], path) for item in body["data"]]}
    inner = _inner(objects, body, steps[0], path)
    if inner is not None and len(steps) > 1:
        inner = _expand(objects, inner, steps[1:], path)
    return {**body, steps[0]: inner}


def _inner(objects: Objects, body: Body, name: str, path: str) -> Body | None:
    subject = body.get("object")
    if (subject, name) == ("charge", "refunds"):
        return body[name] if name in body else _refunds(objects, body)
    kind = EXPANDABLE.get(str(subject), {}).get(name)
    if kind is None:
        raise ApiError(f"This property cannot be expanded ({path}).", param="expand")
    return _named(objects, kind, body.get(name))


def _refunds(objects: Objects, charge: Body) -> Body:
    """The newest, in the shape of a list's first page; a charge has them only where they are asked for."""
    found = [stored.body for stored in reversed(objects.of_charge("refund", charge))]
    return {
        "object": "list",
        "data": found[:_REFUNDS_SHOWN],
        "has_more": len(found) > _REFUNDS_SHOWN,
        "url": f"/v1/charges/{charge['id']}/refunds",
    }


def _named(objects: Objects, kind: str, value: Any) -> Body | None:
    """Already an object where a longer path went through it before."""
    if value is None or isinstance(value, dict):
        return value
    stored = objects.get(kind, value)
    return None if stored is None else stored.body
