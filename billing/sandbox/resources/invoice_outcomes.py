"""What the payment of an invoice means for it and for its subscription.

Pages: "How subscriptions work" and "Using webhooks with subscriptions" of Stripe's documentation.
"""

from billing.sandbox.call import Call
from billing.sandbox.objects import Body, Stored
from billing.sandbox.resources import changes, subscription_ends

RETRY_DAYS = (1, 3, 5)
"""After each failed try, how long until the next; after the last one the subscription is cancelled."""
_UPDATED = "customer.subscription.updated"


def paid(call: Call, intent: Stored) -> None:
    """Does nothing for an intent without an invoice, as all of these do."""
    if intent.behaviour is None:
        return
    for payment in call.account.objects.of_invoice(intent.behaviour):
        now = call.account.clock.now()
        payment.body.update(status="paid", amount_paid=payment.body["amount_requested"])
        payment.body["status_transitions"] = {"canceled_at": None, "paid_at": now}
        call.account.objects.save(payment)
        call.record("invoice_payment.paid", payment.body)
    mark_paid(call, call.account.objects.need("invoice", intent.behaviour), intent.body["payment_method"])


def mark_paid(call: Call, invoice: Stored, payment_method: str | None) -> None:
    """Events: `invoice.updated`, `invoice.paid`, `invoice.payment_succeeded`, `customer.subscription.updated`."""
    change = {
        "status": "paid",
        "amount_paid": invoice.body["amount_due"],
        "amount_remaining": 0,
        "attempt_count": max(1, invoice.body["attempt_count"]),
        "attempted": True,
        "auto_advance": False,
        "next_payment_attempt": None,
        "status_transitions": {**invoice.body["status_transitions"], "paid_at": call.account.clock.now()},
    }
    changes.keep(call, invoice, change, "invoice.updated")
    call.record("invoice.paid", invoice.body)
    call.record("invoice.payment_succeeded", invoice.body)
    subscription = _subscription(call, invoice)
    if subscription.body["latest_invoice"] == invoice.id:
        changes.keep(call, subscription, _after_payment(subscription.body, payment_method), _UPDATED)


def failed(call: Call, intent: Stored) -> None:
    """Of the tries that the sandbox makes by itself the last one ends the subscription."""
    if intent.behaviour is not None:
        note_failure(call, call.account.objects.need("invoice", intent.behaviour))


def note_failure(call: Call, invoice: Stored) -> None:
    """Of a payment that failed, or that there was no method for."""
    changes.keep(call, invoice, {"attempted": True, "attempt_count": max(1, invoice.body["attempt_count"])})
    call.record("invoice.payment_failed", invoice.body)
    subscription = _subscription(call, invoice)
    if subscription.body["status"] == "active":
        changes.keep(call, subscription, {"status": "past_due"}, _UPDATED)
    is_last = invoice.body["attempt_count"] > len(RETRY_DAYS) and invoice.body["next_payment_attempt"] is None
    if is_last and subscription.body["status"] == "past_due":
        subscription_ends.end(call, subscription, {"reason": "payment_failed"})


def action_required(call: Call, intent: Stored) -> None:
    """Where the buyer is not there to answer his bank, the payment has failed for now."""
    if intent.behaviour is None:
        return
    call.record("invoice.payment_action_required", call.account.objects.need("invoice", intent.behaviour).body)
    if call.params.get("off_session"):
        failed(call, intent)


def processing(call: Call, intent: Stored) -> None:
    """A bank debit that is under way counts as paid until the bank says otherwise."""
    if intent.behaviour is None:
        return
    subscription = _subscription(call, call.account.objects.need("invoice", intent.behaviour))
    if subscription.body["status"] == "incomplete":
        changes.keep(call, subscription, {"status": "active"}, _UPDATED)


def _subscription(call: Call, invoice: Stored) -> Stored:
    named = invoice.body["parent"]["subscription_details"]["subscription"]
    return call.account.objects.need("subscription", named)


def _after_payment(subscription: Body, payment_method: str | None) -> Body:
    change: Body = {}
    if subscription["status"] in {"incomplete", "past_due"}:
        change["status"] = "active"
    if payment_method and subscription["payment_settings"]["save_default_payment_method"] == "on_subscription":
        change["default_payment_method"] = payment_method
    return change
