"""Payment intents: made, changed, confirmed, cancelled, as their state allows.

Pages: "PaymentIntents" of Stripe's API reference, "How PaymentIntents work" of its documentation.
"""

from typing import Any, NoReturn

from billing.sandbox import lists
from billing.sandbox.call import Call
from billing.sandbox.chance import new_client_secret, new_id
from billing.sandbox.errors import ApiError, CardDeclined
from billing.sandbox.metadata import merged
from billing.sandbox.money import check_amount, check_currency
from billing.sandbox.objects import Body, Stored
from billing.sandbox.resources import found, payment_methods
from billing.sandbox.resources.payment_attempts import attempt

_OPEN = ("requires_payment_method", "requires_confirmation", "requires_action")
_ALWAYS_CHANGEABLE = frozenset({"metadata", "description", "receipt_email", "expand"})
_TEXTS = ("description", "receipt_email", "setup_future_usage", "transfer_group")
_DESCRIPTORS = ("statement_descriptor", "statement_descriptor_suffix")
UNSERVED = frozenset(
    {
        "amount_details", "amount_to_confirm", "application_fee_amount", "confirmation_token", "customer_account",
        "excluded_payment_method_types", "hooks", "mandate", "on_behalf_of", "payment_details",
        "payment_method_configuration", "transfer_data",
    }
)  # fmt: skip
_SEEN_BY_BROWSERS = (
    "id", "object", "amount", "automatic_payment_methods", "canceled_at", "cancellation_reason", "capture_method",
    "client_secret", "confirmation_method", "created", "currency", "description", "last_payment_error", "livemode",
    "next_action", "payment_method", "payment_method_types", "processing", "receipt_email", "setup_future_usage",
    "shipping", "source", "status",
)  # fmt: skip


def create(call: Call) -> Body:
    _check_modes(call.params)
    currency = check_currency(call.params["currency"])
    check_amount(call.params["amount"], currency)
    customer = found.in_parameter(call, "customer", "customer")
    intent = Stored(_shape(call.params, currency, customer.id if customer else None, call.account.clock.now()))
    _apply(call, intent)
    method = _choose_method(call, intent)
    call.account.objects.add(intent, intent.body["created"])
    call.record("payment_intent.created", intent.body)
    if call.params.get("confirm"):
        attempt(call, intent, method or _missing_method(call, intent))
    return intent.body


def add_for_invoice(call: Call, invoice: Body, terms: Body) -> Stored:
    """What collects an invoice; `terms` go over what an intent has otherwise."""
    order = {"amount": invoice["amount_due"]}
    shape = _shape(order, invoice["currency"], invoice["customer"], call.account.clock.now())
    reference = {"customer_reference": None, "order_reference": invoice["id"]}
    body = {**shape, "automatic_payment_methods": None, "payment_details": reference, **terms}
    intent = Stored(body, behaviour=invoice["id"])
    call.account.objects.add(intent, intent.body["created"])
    call.record("payment_intent.created", intent.body)
    return intent


def retrieve(call: Call) -> Body:
    return _shown(call, _asked_for(call))


def update(call: Call) -> Body:
    intent = _asked_for(call)
    _check_modes(call.params)
    changes = [name for name in call.params if name not in _ALWAYS_CHANGEABLE]
    if changes and intent.body["status"] not in _OPEN:
        raise _unexpected_update(call, intent, changes[0])
    _apply(call, intent)
    _apply_terms(call, intent)
    _choose_method(call, intent)
    call.account.objects.save(intent)
    return intent.body


def confirm(call: Call) -> Body:
    intent = _asked_for(call)
    _check_modes(call.params)
    if intent.body["status"] not in _OPEN:
        raise _unexpected_confirm(call, intent)
    _apply(call, intent)
    method = _choose_method(call, intent) or _present_method(call, intent) or _missing_method(call, intent)
    try:
        attempt(call, intent, method)
    except CardDeclined as declined:
        declined.error["payment_intent"] = _shown(call, intent)
        raise
    return _shown(call, intent)


def cancel(call: Call) -> Body:
    intent = _asked_for(call)
    if intent.body["status"] not in _OPEN:
        raise _unexpected_cancel(call, intent)
    intent.body.update(
        status="canceled",
        canceled_at=call.account.clock.now(),
        cancellation_reason=call.params.get("cancellation_reason"),
        next_action=None,
    )
    call.account.objects.save(intent)
    call.record("payment_intent.canceled", intent.body)
    return intent.body


def list_all(call: Call) -> Body:
    selection = lists.objects_of("payment_intent", "payment_intent")
    if "customer" in call.params:
        selection.where("customer = ?", call.params["customer"])
    return lists.page(call.account.database, selection, call.params, "/v1/payment_intents")


def _asked_for(call: Call) -> Stored:
    intent = found.in_address(call, "payment_intent")
    secret = call.params.get("client_secret")
    if secret is not None and secret != intent.body["client_secret"]:
        sentence = "The client_secret provided does not match the client_secret associated with the PaymentIntent."
        raise ApiError(sentence, param="client_secret")
    return intent


def _shown(call: Call, intent: Stored) -> Body:
    """A browser sees what it needs to go on, and nothing of the books."""
    if not call.is_publishable:
        return intent.body
    return {name: intent.body[name] for name in _SEEN_BY_BROWSERS}


def _check_modes(params: dict[str, Any]) -> None:
    for name, only in (("capture_method", "automatic"), ("confirmation_method", "automatic")):
        if params.get(name, only).removesuffix("_async") != only:
            raise ApiError(f"The sandbox serves {name}={only} only.", param=name)


def _apply(call: Call, intent: Stored) -> None:
    """What any request may set; an empty text unsets."""
    params = call.params
    intent.body.update({name: params[name] or None for name in (*_TEXTS, *_DESCRIPTORS, "shipping") if name in params})
    intent.body["metadata"] = merged(intent.body["metadata"], params.get("metadata"))
    if "allowed_payment_method_types" in params:
        intent.body["allowed_payment_method_types"] = params["allowed_payment_method_types"]
        intent.body["payment_method_types"] = params["allowed_payment_method_types"]


def _apply_terms(call: Call, intent: Stored) -> None:
    """Another amount, currency or customer: whoever was asked to confirm must be asked again."""
    found.in_parameter(call, "customer", "customer")
    given = {name: call.params[name] for name in ("amount", "currency", "customer") if call.params.get(name)}
    terms = {**{name: intent.body[name] for name in ("amount", "currency", "customer")}, **given}
    terms["currency"] = check_currency(terms["currency"])
    check_amount(terms["amount"], terms["currency"])
    if not terms.items() <= intent.body.items() and intent.body["status"] == "requires_action":
        intent.body.update(status="requires_confirmation", next_action=None)
    intent.body.update(terms)


def _choose_method(call: Call, intent: Stored) -> Stored | None:
    method = payment_methods.chosen(call, intent.body["customer"])
    if method is None:
        return None
    kind = method.body["type"]
    if kind not in intent.body["payment_method_types"]:
        sentence = f"The PaymentMethod provided ({kind}) is not allowed for this PaymentIntent."
        raise ApiError(sentence, code="payment_intent_incompatible_payment_method", param="payment_method")
    intent.body.update(payment_method=method.id, status="requires_confirmation", next_action=None)
    return method


def _present_method(call: Call, intent: Stored) -> Stored | None:
    method_id = intent.body["payment_method"]
    return None if method_id is None else call.account.objects.get("payment_method", method_id)


def _missing_method(call: Call, intent: Stored) -> NoReturn:
    sentence = (
        "You cannot confirm this PaymentIntent because it's missing a payment method. You can either update the "
        "PaymentIntent with a payment method and then confirm it again, or confirm it again directly with a payment "
        "method or ConfirmationToken."
    )
    raise _unexpected(call, intent, sentence)


def _unexpected(call: Call, intent: Stored, sentence: str, param: str | None = None) -> ApiError:
    return ApiError(sentence, code="payment_intent_unexpected_state", param=param, payment_intent=_shown(call, intent))


def _unexpected_confirm(call: Call, intent: Stored) -> ApiError:
    status = intent.body["status"]
    if status == "succeeded":
        sentence = (
            "You cannot confirm this PaymentIntent because it has already succeeded after being previously confirmed."
        )
        return _unexpected(call, intent, sentence)
    return _unexpected(call, intent, f"You cannot confirm this PaymentIntent because it has a status of {status}.")


def _unexpected_cancel(call: Call, intent: Stored) -> ApiError:
    sentence = (
        f"You cannot cancel this PaymentIntent because it has a status of {intent.body['status']}. Only a "
        f"PaymentIntent with one of the following statuses may be canceled: {', '.join(_OPEN)}, requires_capture."
    )
    return _unexpected(call, intent, sentence)


def _unexpected_update(call: Call, intent: Stored, name: str) -> ApiError:
    sentence = (
        f"This PaymentIntent's {name} could not be updated because it has a status of {intent.body['status']}. You may "
        f"only update the {name} of a PaymentIntent with one of the following statuses: {', '.join(_OPEN)}."
    )
    return _unexpected(call, intent, sentence, name)


_BLANK: Body = dict.fromkeys((
    "allowed_payment_method_types", "application", "application_fee_amount", "canceled_at", "cancellation_reason",
    "customer_account", "description", "excluded_payment_method_types", "last_payment_error", "latest_charge",
    "next_action", "on_behalf_of", "payment_method", "payment_record", "processing", "receipt_email", "review",
    "setup_future_usage", "shipping", "source", "statement_descriptor", "statement_descriptor_suffix",
    "transfer_data", "transfer_group",
))  # fmt: skip


def _shape(params: dict[str, Any], currency: str, customer: str | None, created: int) -> Body:
    intent_id = new_id("pi")
    return {
        **_BLANK,
        "id": intent_id,
        "object": "payment_intent",
        "amount": params["amount"],
        "amount_capturable": 0,
        "amount_details": {"tip": {}},
        "amount_received": 0,
        "automatic_payment_methods": _automatic(params),
        "capture_method": params.get("capture_method", "automatic_async"),
        "client_secret": new_client_secret(intent_id),
        "confirmation_method": "automatic",
        "created": created,
        "currency": currency,
        "customer": customer,
        "livemode": False,
        "metadata": {},
        "payment_method_options": {
            "card": {"installments": None, "network": None, "request_three_d_secure": "automatic"}
        },
        "payment_method_types": ["card", "sepa_debit"] if currency == "eur" else ["card"],
        "status": "requires_payment_method",
    }


def _automatic(params: dict[str, Any]) -> Body | None:
    """On unless the request names the types itself."""
    if "allowed_payment_method_types" in params:
        return None
    return {"allow_redirects": "always", "enabled": True, **params.get("automatic_payment_methods", {})}
