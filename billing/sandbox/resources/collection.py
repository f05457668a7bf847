"""An invoice is made final and collected, by the method that its subscription or its customer has for that.

Pages: "Invoicing integration" and "Automate payment retries" of Stripe's documentation.
"""

from billing.sandbox.call import Call
from billing.sandbox.errors import CardDeclined
from billing.sandbox.objects import Body, Stored
from billing.sandbox.resources import changes, invoice_outcomes, invoice_shapes, payment_intents
from billing.sandbox.resources.payment_attempts import attempt

RETRY = "retry_invoice"
_DAY_SECONDS = 86_400
_FIRST = "subscription_create"


def finalize(call: Call, invoice: Stored, subscription: Body) -> None:
    """Events: `invoice.finalized`, then `payment_intent.created`; an invoice of nothing is paid with that."""
    now = call.account.clock.now()
    change = {
        "status": "open",
        "automatically_finalizes_at": None,
        "effective_at": now,
        "ending_balance": 0,
        "next_payment_attempt": None,
        "number": _next_number(call, invoice.body["customer"]),
        "status_transitions": {**invoice.body["status_transitions"], "finalized_at": now},
    }
    changes.keep(call, invoice, change)
    call.record("invoice.finalized", invoice.body)
    if invoice.body["amount_due"] == 0:
        invoice_outcomes.mark_paid(call, invoice, None)
    else:
        _ask_for_payment(call, invoice, subscription)


def collect(call: Call, invoice: Stored, subscription: Body) -> None:
    """One try of the sandbox's own, and the appointment for the next; a refusal is kept, and not raised."""
    tries: int = invoice.body["attempt_count"]
    next_at = None
    if subscription["status"] != "incomplete" and tries < len(invoice_outcomes.RETRY_DAYS):
        next_at = call.account.clock.now() + invoice_outcomes.RETRY_DAYS[tries] * _DAY_SECONDS
        call.account.schedule.add_at(RETRY, invoice.id, next_at)
    change = {"attempt_count": tries + 1, "attempted": True, "next_payment_attempt": next_at}
    changes.keep(call, invoice, change, "invoice.updated")
    method = method_for(call, invoice.body, subscription)
    if method is None:
        invoice_outcomes.note_failure(call, invoice)
        return
    try:
        pay_with(call, invoice, method, is_off_session=True)
    except CardDeclined:
        return


def pay_with(call: Call, invoice: Stored, method: Stored, *, is_off_session: bool) -> None:
    """Raises CardDeclined where the bank said no; what came of it is kept all the same."""
    intent = call.account.objects.need("payment_intent", invoice.behaviour or "")
    attempt(Call(call.account, call.origin, {"off_session": is_off_session}), intent, method)


def method_for(call: Call, invoice: Body, subscription: Body) -> Stored | None:
    """The invoice's own, else the subscription's, else the customer's."""
    customer = call.account.objects.need("customer", subscription["customer"]).body
    default = customer.get("invoice_settings", {}).get("default_payment_method")
    for method_id in (invoice["default_payment_method"], subscription["default_payment_method"], default):
        method = call.account.objects.get("payment_method", method_id or "")
        if method is not None and method.body["customer"] == customer["id"]:
            return method
    return None


def _ask_for_payment(call: Call, invoice: Stored, subscription: Body) -> None:
    method = method_for(call, invoice.body, subscription)
    is_first = invoice.body["billing_reason"] == _FIRST
    types = subscription["payment_settings"]["payment_method_types"]
    terms = {
        "description": "Subscription creation" if is_first else "Subscription update",
        "payment_method": method.id if method else None,
        "setup_future_usage": "off_session" if is_first else None,
        "status": "requires_confirmation" if method else "requires_payment_method",
        **({"payment_method_types": types} if types else {}),
    }
    intent = payment_intents.add_for_invoice(call, invoice.body, terms)
    invoice.behaviour = intent.id
    call.account.objects.save(invoice)
    payment = Stored(invoice_shapes.payment(invoice.body, intent.body, call.account.clock.now()))
    call.account.objects.add(payment, payment.body["created"])


def _next_number(call: Call, customer_id: str) -> str:
    """Numbers run on per customer, as Stripe's do unless an account wants it otherwise."""
    customer = call.account.objects.need("customer", customer_id)
    number = customer.body["next_invoice_sequence"]
    changes.keep(call, customer, {"next_invoice_sequence": number + 1})
    return f"{customer.body['invoice_prefix']}-{number:04}"
