"""How a subscription ends: at once, when it was planned, because nobody pays, or before it began.

Pages: "Cancel subscriptions" and "How subscriptions work" of Stripe's documentation.
"""

from billing.sandbox.account import Account
from billing.sandbox.call import Call
from billing.sandbox.objects import Body, Stored
from billing.sandbox.origins import NOBODY
from billing.sandbox.resources import changes, invoice_standing

END = "end_subscription"
EXPIRE = "expire_subscription"
EXPIRES_AFTER_SECONDS = 23 * 3600
"""So long the buyer has for the first payment."""
ENDED = frozenset({"canceled", "incomplete_expired"})


def end(call: Call, subscription: Stored, details: Body) -> None:
    """One that never began has expired then, and was not deleted."""
    now = call.account.clock.now()
    was_incomplete = subscription.body["status"] == "incomplete"
    change = {
        "status": "incomplete_expired" if was_incomplete else "canceled",
        "canceled_at": subscription.body["canceled_at"] or now,
        "ended_at": now,
        "cancellation_details": {**subscription.body["cancellation_details"], **details},
        "pause_collection": None,
    }
    if was_incomplete:
        changes.keep(call, subscription, change, "customer.subscription.updated")
        _void_first(call, subscription.body)
        return
    changes.keep(call, subscription, change)
    call.record("customer.subscription.deleted", subscription.body)
    invoice_standing.stop_collecting(call, subscription.body)


def end_as_planned(account: Account, subscription_id: str) -> None:
    """At `cancel_at`, unless that was changed in the meantime."""
    subscription = account.objects.need("subscription", subscription_id)
    cancel_at = subscription.body["cancel_at"]
    if cancel_at is None or cancel_at > account.clock.now() or subscription.body["status"] in ENDED:
        return
    end(Call(account, NOBODY, {}), subscription, {"reason": "cancellation_requested"})


def expire(account: Account, subscription_id: str) -> None:
    """The first payment was not made in time."""
    subscription = account.objects.need("subscription", subscription_id)
    if subscription.body["status"] != "incomplete":
        return
    call = Call(account, NOBODY, {})
    change = {"status": "incomplete_expired", "ended_at": account.clock.now()}
    changes.keep(call, subscription, change, "customer.subscription.updated")
    _void_first(call, subscription.body)


def _void_first(call: Call, subscription: Body) -> None:
    invoice = call.account.objects.need("invoice", subscription["latest_invoice"])
    if invoice.body["status"] == "open":
        invoice_standing.void(call, invoice)
