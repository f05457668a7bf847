"""A subscription pauses as a whole: no periods and no invoices, until it is resumed.

Pages: "Pause a subscription" and "Resume a subscription" of Stripe's API reference. Only the collection pauses where
`pause_collection` is set; that is no state of the subscription.
"""

from billing.sandbox.call import Call
from billing.sandbox.errors import ApiError
from billing.sandbox.objects import Body, Stored
from billing.sandbox.resources import changes, collection, found, invoice_shapes, periods, renewals

UNSERVED = frozenset({"invoicing_behavior", "proration_date"})


def pause(call: Call) -> Body:
    """What is left of the period is not paid back. Events: `customer.subscription.updated`, then `.paused`."""
    subscription = found.in_address(call, "subscription")
    if subscription.body["status"] not in {"active", "past_due"}:
        raise ApiError("Only a subscription that is active or past due can be paused.")
    if call.params.get("bill_for", {}).get("unused_time_from", {}).get("type") != "none":
        raise ApiError("The sandbox serves bill_for[unused_time_from][type]=none only.", param="bill_for")
    why = {"subscription": {"type": "pause_requested"}, "transitioned_at": call.account.clock.now()}
    change = {"status": "paused", "status_details": {"paused": {**why, "type": "subscription"}}}
    changes.keep(call, subscription, change, "customer.subscription.updated")
    call.record("customer.subscription.paused", subscription.body)
    return subscription.body


def resume(call: Call) -> Body:
    """A new period begins now, and is charged now. Events: `customer.subscription.updated`, `.resumed`, its invoice."""
    subscription = found.in_address(call, "subscription")
    if subscription.body["status"] != "paused":
        raise ApiError("You can only resume a subscription that is paused.")
    _check_modes(call)
    subscription.body.update(billing_cycle_anchor=call.account.clock.now())
    items = [_from_now(call, item) for item in subscription.body["items"]["data"]]
    invoice = Stored(invoice_shapes.invoice(call, subscription.body, items, "subscription_update"))
    call.account.objects.add(invoice, invoice.body["created"])
    change = {
        "status": "active",
        "status_details": None,
        "items": {**subscription.body["items"], "data": items},
        "latest_invoice": invoice.id,
    }
    changes.keep(call, subscription, change, "customer.subscription.updated")
    call.record("customer.subscription.resumed", subscription.body)
    call.record("invoice.created", invoice.body)
    renewals.plan(call, subscription.body)
    collection.finalize(call, invoice, subscription.body)
    if invoice.body["status"] == "open":
        collection.collect(call, invoice, subscription.body)
    return found.in_address(call, "subscription").body


def _check_modes(call: Call) -> None:
    if call.params.get("billing_cycle_anchor", {}).get("type", "now") != "now":
        raise ApiError("The sandbox serves billing_cycle_anchor[type]=now only.", param="billing_cycle_anchor")
    served = "resume_on_payment_attempt"
    if call.params.get("payment_behavior", served) != served:
        raise ApiError(f"The sandbox serves payment_behavior={served} only.", param="payment_behavior")


def _from_now(call: Call, item: Body) -> Body:
    now = call.account.clock.now()
    return {
        **item,
        "current_period_start": now,
        "current_period_end": periods.end_after(now, item["price"]["recurring"], now),
    }
