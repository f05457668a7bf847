"""The object that a request names, or Stripe's complaint that there is none."""

from billing.sandbox.call import Call
from billing.sandbox.errors import no_such
from billing.sandbox.objects import Stored

_NOUNS = {
    "payment_method": "PaymentMethod",
    "setup_intent": "SetupIntent",
    "radar.early_fraud_warning": "early_fraud_warning",
    "webhook_endpoint": "webhook endpoint",
}
_NAMES = {
    "payment_method": "payment_method",
    "payment_intent": "intent",
    "setup_intent": "intent",
    "price": "price",
    "refund": "refund",
    "dispute": "dispute",
    "radar.early_fraud_warning": "early_fraud_warning",
}
"""What Stripe calls the id in the address."""


def noun(kind: str) -> str:
    return _NOUNS.get(kind, kind)


def in_address(call: Call, kind: str) -> Stored:
    stored = call.account.objects.get(kind, call.subject)
    if stored is None:
        raise no_such(noun(kind), call.subject, param=_NAMES.get(kind, "id"), status=404)
    return stored


def in_parameter(call: Call, kind: str, name: str) -> Stored | None:
    """None where the parameter is absent or empty."""
    object_id = call.params.get(name)
    if not object_id:
        return None
    stored = call.account.objects.get(kind, object_id)
    if stored is None or stored.body.get("deleted"):
        raise no_such(noun(kind), object_id, param=name)
    return stored
