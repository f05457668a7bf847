"""Every endpoint: its address, the class of the `stripe` package that types its parameters, and what it does."""

from collections.abc import Callable
from dataclasses import dataclass

from billing.sandbox.call import Call
from billing.sandbox.objects import Body
from billing.sandbox.resources import (
    charges,
    customers,
    disputes,
    events,
    fraud_warnings,
    payment_intents,
    payment_methods,
    refunds,
)


@dataclass(frozen=True)
class Endpoint:
    method: str
    path: str
    params: str
    work: Callable[[Call], Body]
    unserved: frozenset[str] = frozenset()
    """Parameters that Stripe has and the sandbox refuses, rather than ignore them silently."""
    is_publishable: bool = False


_INTENT = "/v1/payment_intents/{id}"
_WARNINGS = "/v1/radar/early_fraud_warnings"
ROUTES: tuple[Endpoint, ...] = (
    Endpoint(
        "POST", "/v1/payment_intents", "PaymentIntentCreateParams", payment_intents.create, payment_intents.UNSERVED
    ),
    Endpoint(
        "GET", "/v1/payment_intents", "PaymentIntentListParams", payment_intents.list_all, payment_intents.UNSERVED
    ),
    Endpoint("GET", _INTENT, "PaymentIntentRetrieveParams", payment_intents.retrieve, is_publishable=True),
    Endpoint("POST", _INTENT, "PaymentIntentUpdateParams", payment_intents.update, payment_intents.UNSERVED),
    Endpoint(
        "POST",
        f"{_INTENT}/confirm",
        "PaymentIntentConfirmParams",
        payment_intents.confirm,
        payment_intents.UNSERVED,
        True,
    ),
    Endpoint("POST", f"{_INTENT}/cancel", "PaymentIntentCancelParams", payment_intents.cancel),
    Endpoint("POST", "/v1/customers", "CustomerCreateParams", customers.create, customers.UNSERVED),
    Endpoint("GET", "/v1/customers", "CustomerListParams", customers.list_all, customers.UNSERVED),
    Endpoint("GET", "/v1/customers/{id}", "CustomerRetrieveParams", customers.retrieve),
    Endpoint("POST", "/v1/customers/{id}", "CustomerUpdateParams", customers.update, customers.UNSERVED),
    Endpoint("DELETE", "/v1/customers/{id}", "CustomerDeleteParams", customers.delete),
    Endpoint("GET", "/v1/charges", "ChargeListParams", charges.list_all, charges.UNSERVED),
    Endpoint("GET", "/v1/charges/{id}", "ChargeRetrieveParams", charges.retrieve),
    Endpoint("GET", "/v1/charges/{id}/refunds", "ChargeListRefundsParams", refunds.list_of_charge),
    Endpoint("POST", "/v1/refunds", "RefundCreateParams", refunds.create, refunds.UNSERVED),
    Endpoint("GET", "/v1/refunds", "RefundListParams", refunds.list_all),
    Endpoint("GET", "/v1/refunds/{id}", "RefundRetrieveParams", refunds.retrieve),
    Endpoint("POST", "/v1/refunds/{id}", "RefundUpdateParams", refunds.update),
    Endpoint("POST", "/v1/refunds/{id}/cancel", "RefundCancelParams", refunds.cancel),
    Endpoint("GET", "/v1/disputes", "DisputeListParams", disputes.list_all),
    Endpoint("GET", "/v1/disputes/{id}", "DisputeRetrieveParams", disputes.retrieve),
    Endpoint("POST", "/v1/disputes/{id}", "DisputeUpdateParams", disputes.update),
    Endpoint("POST", "/v1/disputes/{id}/close", "DisputeCloseParams", disputes.close),
    Endpoint("GET", _WARNINGS, "radar.EarlyFraudWarningListParams", fraud_warnings.list_all),
    Endpoint("GET", f"{_WARNINGS}/{{id}}", "radar.EarlyFraudWarningRetrieveParams", fraud_warnings.retrieve),
    Endpoint(
        "POST", "/v1/payment_methods", "PaymentMethodCreateParams", payment_methods.create, payment_methods.UNSERVED
    ),
    Endpoint("GET", "/v1/payment_methods/{id}", "PaymentMethodRetrieveParams", payment_methods.retrieve),
    Endpoint("GET", "/v1/events", "EventListParams", events.list_all),
    Endpoint("GET", "/v1/events/{id}", "EventRetrieveParams", events.retrieve),
)


def find(method: str, path: str) -> tuple[Endpoint, str] | None:
    """The endpoint and the id in the address."""
    steps = path.split("/")
    for endpoint in ROUTES:
        pattern = endpoint.path.split("/")
        if endpoint.method == method and len(pattern) == len(steps) and _fits(pattern, steps):
            return endpoint, next((step for word, step in zip(pattern, steps, strict=True) if word == "{id}"), "")
    return None


def _fits(pattern: list[str], steps: list[str]) -> bool:
    return all((word == "{id}" and step) or word == step for word, step in zip(pattern, steps, strict=True))
