"""Setup intents: a payment method is kept for later payments, with its owner's and its bank's consent.

Pages: "SetupIntents" of Stripe's API reference, "The Setup Intents API" of its documentation.
"""

from typing import Any

from billing.sandbox import lists
from billing.sandbox.call import Call
from billing.sandbox.chance import new_client_secret, new_id
from billing.sandbox.errors import ApiError, CardDeclined
from billing.sandbox.metadata import merged
from billing.sandbox.objects import Body, Stored
from billing.sandbox.resources import found, payment_methods
from billing.sandbox.resources.setup_attempts import attempt

_OPEN = ("requires_payment_method", "requires_confirmation", "requires_action")
_ALWAYS_CHANGEABLE = frozenset({"metadata", "description", "expand"})
UNSERVED = frozenset(
    {
        "attach_to_self", "confirmation_token", "customer_account", "excluded_payment_method_types",
        "flow_directions", "on_behalf_of", "payment_method_configuration", "single_use",
    }
)  # fmt: skip
_SEEN_BY_BROWSERS = (
    "id", "object", "automatic_payment_methods", "cancellation_reason", "client_secret", "created", "description",
    "last_setup_error", "livemode", "next_action", "payment_method", "payment_method_types", "status", "usage",
)  # fmt: skip


def create(call: Call) -> Body:
    customer = found.in_parameter(call, "customer", "customer")
    intent = Stored(_shape(call.params, customer.id if customer else None, call.account.clock.now()))
    method = _choose_method(call, intent)
    call.account.objects.add(intent, intent.body["created"])
    call.record("setup_intent.created", intent.body)
    if call.params.get("confirm"):
        _attempt(call, intent, method)
    return intent.body


def retrieve(call: Call) -> Body:
    return _shown(call, _asked_for(call))


def update(call: Call) -> Body:
    intent = _asked_for(call)
    changes = [name for name in call.params if name not in _ALWAYS_CHANGEABLE]
    if changes and intent.body["status"] not in _OPEN:
        raise _unexpected(call, intent, "update")
    found.in_parameter(call, "customer", "customer")
    for name in ("customer", "description"):
        if name in call.params:
            intent.body[name] = call.params[name] or None
    intent.body["metadata"] = merged(intent.body["metadata"], call.params.get("metadata"))
    _choose_method(call, intent)
    call.account.objects.save(intent)
    return intent.body


def confirm(call: Call) -> Body:
    intent = _asked_for(call)
    if intent.body["status"] not in _OPEN:
        raise _unexpected(call, intent, "confirm")
    try:
        _attempt(call, intent, _choose_method(call, intent))
    except CardDeclined as declined:
        declined.error["setup_intent"] = _shown(call, intent)
        raise
    return _shown(call, intent)


def cancel(call: Call) -> Body:
    intent = _asked_for(call)
    if intent.body["status"] not in _OPEN:
        raise _unexpected(call, intent, "cancel")
    reason = call.params.get("cancellation_reason")
    intent.body.update(status="canceled", cancellation_reason=reason, next_action=None)
    call.account.objects.save(intent)
    call.record("setup_intent.canceled", intent.body)
    return intent.body


def list_all(call: Call) -> Body:
    selection = lists.objects_of("setup_intent", "setup_intent")
    if "customer" in call.params:
        selection.where("customer = ?", call.params["customer"])
    if "payment_method" in call.params:
        selection.where("json_extract(body, '$.payment_method') = ?", call.params["payment_method"])
    return lists.page(call.account.database, selection, call.params, "/v1/setup_intents")


def _asked_for(call: Call) -> Stored:
    intent = found.in_address(call, "setup_intent")
    secret = call.params.get("client_secret")
    if secret is not None and secret != intent.body["client_secret"]:
        sentence = "The client_secret provided does not match the client_secret associated with the SetupIntent."
        raise ApiError(sentence, param="client_secret")
    return intent


def _shown(call: Call, intent: Stored) -> Body:
    """A browser sees what it needs to go on, and nothing of the books."""
    if not call.is_publishable:
        return intent.body
    return {name: intent.body[name] for name in _SEEN_BY_BROWSERS}


def _choose_method(call: Call, intent: Stored) -> Stored | None:
    """The one that the request names, or that the intent has."""
    method = payment_methods.chosen(call, intent.body["customer"])
    if method is None:
        present = intent.body["payment_method"]
        return present and call.account.objects.get("payment_method", present)
    kind = method.body["type"]
    if kind not in intent.body["payment_method_types"]:
        sentence = f"The PaymentMethod provided ({kind}) is not allowed for this SetupIntent."
        raise ApiError(sentence, param="payment_method")
    intent.body.update(payment_method=method.id, status="requires_confirmation", next_action=None)
    return method


def _attempt(call: Call, intent: Stored, method: Stored | None) -> None:
    if method is None:
        sentence = (
            "You cannot confirm this SetupIntent because it's missing a payment method. Update the SetupIntent with a "
            "payment method and then confirm it again."
        )
        raise ApiError(sentence, code="setup_intent_unexpected_state", setup_intent=_shown(call, intent))
    attempt(call, intent, method)


def _unexpected(call: Call, intent: Stored, verb: str) -> ApiError:
    sentence = f"You cannot {verb} this SetupIntent because it has a status of {intent.body['status']}."
    return ApiError(sentence, code="setup_intent_unexpected_state", setup_intent=_shown(call, intent))


_BLANK: Body = dict.fromkeys((
    "allowed_payment_method_types", "application", "cancellation_reason", "customer_account", "description",
    "excluded_payment_method_types", "flow_directions", "last_setup_error", "latest_attempt", "mandate",
    "next_action", "on_behalf_of", "payment_method", "payment_method_configuration_details", "single_use_mandate",
))  # fmt: skip


def _shape(params: dict[str, Any], customer: str | None, created: int) -> Body:
    intent_id = new_id("seti")
    allowed = params.get("allowed_payment_method_types")
    automatic = {"allow_redirects": "always", "enabled": True, **params.get("automatic_payment_methods", {})}
    return {
        **_BLANK,
        "id": intent_id,
        "object": "setup_intent",
        "allowed_payment_method_types": allowed,
        "automatic_payment_methods": None if allowed else automatic,
        "client_secret": new_client_secret(intent_id),
        "created": created,
        "customer": customer,
        "description": params.get("description"),
        "livemode": False,
        "metadata": merged({}, params.get("metadata")),
        "payment_method_options": {
            "card": {"mandate_options": None, "network": None, "request_three_d_secure": "automatic"}
        },
        "payment_method_types": allowed or ["card", "sepa_debit"],
        "status": "requires_payment_method",
        "usage": params.get("usage", "off_session"),
    }
