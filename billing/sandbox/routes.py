"""Every endpoint: its address, the class of the `stripe` package that types its parameters, and what it does."""

from collections.abc import Callable
from dataclasses import dataclass

from billing.sandbox.call import Call
from billing.sandbox.objects import Body
from billing.sandbox.resources import (
    attachment,
    charges,
    customers,
    disputes,
    events,
    fraud_warnings,
    invoices,
    payment_intents,
    payment_methods,
    prices,
    products,
    refunds,
    setup_attempts,
    setup_intents,
    subscription_pauses,
    subscriptions,
    webhook_endpoints,
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
_CUSTOMER = "/v1/customers/{id}"
_METHOD = "/v1/payment_methods/{id}"
_SETUP = "/v1/setup_intents/{id}"
_INVOICE = "/v1/invoices/{id}"
_SUBSCRIPTION = "/v1/subscriptions/{id}"
_WARNINGS = "/v1/radar/early_fraud_warnings"
_HOOKS = "/v1/webhook_endpoints"
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
    Endpoint("GET", _CUSTOMER, "CustomerRetrieveParams", customers.retrieve),
    Endpoint("POST", _CUSTOMER, "CustomerUpdateParams", customers.update, customers.UNSERVED),
    Endpoint("DELETE", _CUSTOMER, "CustomerDeleteParams", customers.delete),
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
    Endpoint("GET", "/v1/payment_methods", "PaymentMethodListParams", attachment.list_all, attachment.UNSERVED),
    Endpoint("GET", _METHOD, "PaymentMethodRetrieveParams", payment_methods.retrieve),
    Endpoint("POST", _METHOD, "PaymentMethodUpdateParams", attachment.update, attachment.UNSERVED),
    Endpoint("POST", f"{_METHOD}/attach", "PaymentMethodAttachParams", attachment.attach, attachment.UNSERVED),
    Endpoint("POST", f"{_METHOD}/detach", "PaymentMethodDetachParams", attachment.detach),
    Endpoint("GET", f"{_CUSTOMER}/payment_methods", "CustomerPaymentMethodListParams", attachment.list_of_customer),
    Endpoint("POST", "/v1/setup_intents", "SetupIntentCreateParams", setup_intents.create, setup_intents.UNSERVED),
    Endpoint("GET", "/v1/setup_intents", "SetupIntentListParams", setup_intents.list_all, setup_intents.UNSERVED),
    Endpoint("GET", _SETUP, "SetupIntentRetrieveParams", setup_intents.retrieve, is_publishable=True),
    Endpoint("POST", _SETUP, "SetupIntentUpdateParams", setup_intents.update, setup_intents.UNSERVED),
    Endpoint(
        "POST", f"{_SETUP}/confirm", "SetupIntentConfirmParams", setup_intents.confirm, setup_intents.UNSERVED, True
    ),
    Endpoint("POST", f"{_SETUP}/cancel", "SetupIntentCancelParams", setup_intents.cancel),
    Endpoint("GET", "/v1/setup_attempts", "SetupAttemptListParams", setup_attempts.list_all),
    Endpoint("POST", "/v1/products", "ProductCreateParams", products.create, products.UNSERVED),
    Endpoint("GET", "/v1/products", "ProductListParams", products.list_all, products.UNSERVED),
    Endpoint("GET", "/v1/products/{id}", "ProductRetrieveParams", products.retrieve),
    Endpoint("POST", "/v1/products/{id}", "ProductUpdateParams", products.update, products.UNSERVED),
    Endpoint("POST", "/v1/prices", "PriceCreateParams", prices.create, prices.UNSERVED),
    Endpoint("GET", "/v1/prices", "PriceListParams", prices.list_all),
    Endpoint("GET", "/v1/prices/{id}", "PriceRetrieveParams", prices.retrieve),
    Endpoint("POST", "/v1/prices/{id}", "PriceUpdateParams", prices.update, prices.UNSERVED),
    Endpoint("POST", "/v1/subscriptions", "SubscriptionCreateParams", subscriptions.create, subscriptions.UNSERVED),
    Endpoint("GET", "/v1/subscriptions", "SubscriptionListParams", subscriptions.list_all, subscriptions.UNSERVED),
    Endpoint("GET", _SUBSCRIPTION, "SubscriptionRetrieveParams", subscriptions.retrieve),
    Endpoint("POST", _SUBSCRIPTION, "SubscriptionUpdateParams", subscriptions.update, subscriptions.UNSERVED),
    Endpoint("DELETE", _SUBSCRIPTION, "SubscriptionCancelParams", subscriptions.cancel, subscriptions.UNSERVED),
    Endpoint(
        "POST",
        f"{_SUBSCRIPTION}/pause",
        "SubscriptionPauseParams",
        subscription_pauses.pause,
        subscription_pauses.UNSERVED,
    ),
    Endpoint(
        "POST",
        f"{_SUBSCRIPTION}/resume",
        "SubscriptionResumeParams",
        subscription_pauses.resume,
        subscription_pauses.UNSERVED,
    ),
    Endpoint(
        "POST",
        "/v1/invoices/create_preview",
        "InvoiceCreatePreviewParams",
        invoices.preview,
        invoices.UNSERVED_OF_PREVIEW,
    ),
    Endpoint("GET", "/v1/invoices", "InvoiceListParams", invoices.list_all, invoices.UNSERVED),
    Endpoint("GET", _INVOICE, "InvoiceRetrieveParams", invoices.retrieve),
    Endpoint("GET", f"{_INVOICE}/lines", "InvoiceLineItemListParams", invoices.list_lines),
    Endpoint("POST", f"{_INVOICE}/finalize", "InvoiceFinalizeInvoiceParams", invoices.finalize, invoices.UNSERVED),
    Endpoint("POST", f"{_INVOICE}/pay", "InvoicePayParams", invoices.pay, invoices.UNSERVED),
    Endpoint("POST", f"{_INVOICE}/void", "InvoiceVoidInvoiceParams", invoices.void),
    Endpoint("GET", "/v1/invoice_payments", "InvoicePaymentListParams", invoices.list_payments),
    Endpoint("GET", "/v1/invoice_payments/{id}", "InvoicePaymentRetrieveParams", invoices.retrieve_payment),
    Endpoint("GET", "/v1/events", "EventListParams", events.list_all),
    Endpoint("GET", "/v1/events/{id}", "EventRetrieveParams", events.retrieve),
    Endpoint("POST", _HOOKS, "WebhookEndpointCreateParams", webhook_endpoints.create, webhook_endpoints.UNSERVED),
    Endpoint("GET", _HOOKS, "WebhookEndpointListParams", webhook_endpoints.list_all),
    Endpoint("GET", f"{_HOOKS}/{{id}}", "WebhookEndpointRetrieveParams", webhook_endpoints.retrieve),
    Endpoint("POST", f"{_HOOKS}/{{id}}", "WebhookEndpointUpdateParams", webhook_endpoints.update),
    Endpoint("DELETE", f"{_HOOKS}/{{id}}", "WebhookEndpointDeleteParams", webhook_endpoints.delete),
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
