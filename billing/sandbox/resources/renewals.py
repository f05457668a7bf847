"""A subscription goes on from period to period, as its appointments come: announced, renewed, billed, tried again.

Pages: "Using webhooks with subscriptions" and "Subscription invoices" of Stripe's documentation.
"""

from billing.sandbox.account import Account
from billing.sandbox.call import Call
from billing.sandbox.objects import Body, Stored
from billing.sandbox.origins import NOBODY
from billing.sandbox.resources import changes, collection, invoice_shapes, invoice_standing, periods, subscription_ends

UPCOMING = "announce_invoice"
RENEW = "renew_subscription"
FINALIZE = "finalize_invoice"
RETRY = collection.RETRY
UNPAUSE = "unpause_collection"
ANNOUNCED_SECONDS = 7 * 86_400
DRAFT_SECONDS = 3600
"""So long whoever is told of a draft has to add to it."""
_GOES_ON = frozenset({"active", "past_due"})


def period_end(subscription: Body) -> int:
    ends: list[int] = [item["current_period_end"] for item in subscription["items"]["data"]]
    return min(ends)


def plan(call: Call, subscription: Body) -> None:
    """What the present period ends with; the sandbox finds out when it comes to it whether that still holds."""
    end = period_end(subscription)
    if end - ANNOUNCED_SECONDS > call.account.clock.now():
        call.account.schedule.add_at(UPCOMING, subscription["id"], end - ANNOUNCED_SECONDS)
    call.account.schedule.add_at(RENEW, subscription["id"], end)


def change(call: Call, subscription: Stored, terms: Body) -> None:
    """New terms, and the appointments that they make."""
    changes.keep(call, subscription, terms, "customer.subscription.updated")
    if terms.get("cancel_at") is not None:
        call.account.schedule.add_at(subscription_ends.END, subscription.id, terms["cancel_at"])
    resumes_at = (terms.get("pause_collection") or {}).get("resumes_at")
    if resumes_at is not None:
        call.account.schedule.add_at(UNPAUSE, subscription.id, resumes_at)


def announce(account: Account, subscription_id: str) -> None:
    subscription = account.objects.need("subscription", subscription_id).body
    is_due = account.clock.now() >= period_end(subscription) - ANNOUNCED_SECONDS
    if subscription["status"] in _GOES_ON and is_due and not _ends_with_period(subscription):
        call = Call(account, NOBODY, {})
        call.record("invoice.upcoming", preview(call, subscription))


def preview(call: Call, subscription: Body) -> Body:
    """The invoice of the next period, which is not there yet: it cannot be asked for by its id."""
    items = [_next_period(item, subscription) for item in subscription["items"]["data"]]
    invoice = invoice_shapes.invoice(call, subscription, items, "upcoming")
    end = period_end(subscription)
    start = min(item["current_period_start"] for item in subscription["items"]["data"])
    return {
        **invoice,
        "created": end,
        "period_start": start,
        "period_end": end,
        "next_payment_attempt": end + DRAFT_SECONDS,
    }


def renew(account: Account, subscription_id: str) -> None:
    """Events: `customer.subscription.updated`, then `invoice.created`."""
    subscription = account.objects.need("subscription", subscription_id)
    if subscription.body["status"] not in _GOES_ON or period_end(subscription.body) > account.clock.now():
        return
    if _ends_with_period(subscription.body):
        subscription_ends.end_as_planned(account, subscription_id)
        return
    call = Call(account, NOBODY, {})
    invoice = _draft(call, subscription.body)
    items = {**subscription.body["items"], "data": _advanced(subscription.body)}
    change = {"items": items, "latest_invoice": invoice.id}
    changes.keep(call, subscription, change, "customer.subscription.updated")
    call.record("invoice.created", invoice.body)
    plan(call, subscription.body)


def finalize(account: Account, invoice_id: str) -> None:
    """An hour after the draft; a pause of the collection decides what comes of it."""
    invoice = account.objects.need("invoice", invoice_id)
    if invoice.body["status"] != "draft" or not invoice.body["auto_advance"]:
        return
    call = Call(account, NOBODY, {})
    subscription = _subscription(account, invoice)
    collection.finalize(call, invoice, subscription)
    if invoice.body["status"] == "open":
        _collect(call, invoice, subscription)


def retry(account: Account, invoice_id: str) -> None:
    invoice = account.objects.need("invoice", invoice_id)
    next_at = invoice.body["next_payment_attempt"]
    if invoice.body["status"] != "open" or next_at is None or next_at > account.clock.now():
        return
    _collect(Call(account, NOBODY, {}), invoice, _subscription(account, invoice))


def unpause(account: Account, subscription_id: str) -> None:
    """At `resumes_at`, unless that was changed in the meantime."""
    subscription = account.objects.need("subscription", subscription_id)
    pause = subscription.body["pause_collection"]
    if pause and pause["resumes_at"] is not None and pause["resumes_at"] <= account.clock.now():
        change = {"pause_collection": None}
        changes.keep(Call(account, NOBODY, {}), subscription, change, "customer.subscription.updated")


def _collect(call: Call, invoice: Stored, subscription: Body) -> None:
    match subscription["pause_collection"]:
        case None:
            collection.collect(call, invoice, subscription)
        case {"behavior": "void"}:
            invoice_standing.void(call, invoice)
        case {"behavior": "mark_uncollectible"}:
            invoice_standing.write_off(call, invoice)


def _draft(call: Call, subscription: Body) -> Stored:
    invoice = Stored(invoice_shapes.invoice(call, subscription, _advanced(subscription), "subscription_cycle"))
    start = min(item["current_period_start"] for item in subscription["items"]["data"])
    invoice.body.update(period_start=start, period_end=period_end(subscription))
    pause = subscription["pause_collection"] or {}
    if pause.get("behavior") == "keep_as_draft":
        invoice.body["auto_advance"] = False
    else:
        finalizes_at = call.account.clock.now() + DRAFT_SECONDS
        invoice.body.update(automatically_finalizes_at=finalizes_at, next_payment_attempt=finalizes_at)
        call.account.schedule.add_at(FINALIZE, invoice.id, finalizes_at)
    call.account.objects.add(invoice, invoice.body["created"])
    return invoice


def _advanced(subscription: Body) -> list[Body]:
    return [_next_period(item, subscription) for item in subscription["items"]["data"]]


def _next_period(item: Body, subscription: Body) -> Body:
    start = item["current_period_end"]
    end = periods.end_after(subscription["billing_cycle_anchor"], item["price"]["recurring"], start)
    return {**item, "current_period_start": start, "current_period_end": end}


def _ends_with_period(subscription: Body) -> bool:
    return subscription["cancel_at"] is not None and subscription["cancel_at"] <= period_end(subscription)


def _subscription(account: Account, invoice: Stored) -> Body:
    named = invoice.body["parent"]["subscription_details"]["subscription"]
    return account.objects.need("subscription", named).body
