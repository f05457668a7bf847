"""Events as they are asked for. Page: "Events" of Stripe's API reference."""

from typing import Any

from billing.sandbox import lists
from billing.sandbox.call import Call
from billing.sandbox.errors import ApiError, no_such
from billing.sandbox.events import COLUMNS, shown
from billing.sandbox.objects import Body

_TYPES_AT_MOST = 20
_NOT_TAKEN = "id IN (SELECT event FROM deliveries WHERE state != 'delivered')"
_TAKEN = f"NOT {_NOT_TAKEN}"


def retrieve(call: Call) -> Body:
    event = call.account.events.get(call.subject)
    if event is None:
        raise no_such("event", call.subject, status=404)
    return event


def list_all(call: Call) -> Body:
    selection = lists.Selection("events", "event", COLUMNS)
    if wanted := _types(call.params):
        likely = " OR ".join(["type GLOB ?"] * len(wanted))
        selection.where(f"({likely})", *wanted)
    if "delivery_success" in call.params:
        selection.where(_TAKEN if call.params["delivery_success"] else _NOT_TAKEN)
    return lists.page(call.account.database, selection, call.params, "/v1/events", shown)


def _types(params: dict[str, Any]) -> list[str]:
    """A name, or a group of names as in `charge.*`."""
    types: list[str] = params.get("types", [])
    if types and "type" in params:
        raise ApiError("You may pass either type or types, but not both.", param="type")
    if len(types) > _TYPES_AT_MOST:
        raise ApiError(f"You may pass up to {_TYPES_AT_MOST} types.", param="types")
    return types or ([params["type"]] if "type" in params else [])
