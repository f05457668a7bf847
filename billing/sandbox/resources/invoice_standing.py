"""What becomes of an invoice besides its payment: it is void, written off, or no longer collected.

Page: "Invoice status transitions" of Stripe's documentation.
"""

from billing.sandbox.call import Call
from billing.sandbox.objects import Body, Stored
from billing.sandbox.resources import changes


def void(call: Call, invoice: Stored) -> None:
    _close(call, invoice, {"status": "void"}, "voided_at", "invoice.voided")
    _cancel_intent(call, invoice)


def write_off(call: Call, invoice: Stored) -> None:
    _close(call, invoice, {"status": "uncollectible"}, "marked_uncollectible_at", "invoice.marked_uncollectible")


def stop_collecting(call: Call, subscription: Body) -> None:
    """Of a subscription that has ended: what is open stays so, and nobody is charged any more."""
    for invoice in of_subscription(call, subscription):
        if invoice.body["status"] in {"draft", "open"}:
            change = {"auto_advance": False, "automatically_finalizes_at": None, "next_payment_attempt": None}
            changes.keep(call, invoice, change, "invoice.updated")


def of_subscription(call: Call, subscription: Body) -> list[Stored]:
    rows = call.account.database.rows(
        "SELECT body, behaviour FROM objects WHERE customer = ? AND kind = 'invoice'"
        " AND json_extract(body, '$.parent.subscription_details.subscription') = ? ORDER BY seq",
        subscription["customer"],
        subscription["id"],
    )
    return [Stored.of(row) for row in rows]


def _close(call: Call, invoice: Stored, change: Body, transition: str, event_type: str) -> None:
    transitions = {**invoice.body["status_transitions"], transition: call.account.clock.now()}
    stop = {"auto_advance": False, "automatically_finalizes_at": None, "next_payment_attempt": None}
    changes.keep(call, invoice, {**change, **stop, "status_transitions": transitions}, "invoice.updated")
    call.record(event_type, invoice.body)


def _cancel_intent(call: Call, invoice: Stored) -> None:
    now = call.account.clock.now()
    for payment in call.account.objects.of_invoice(invoice.id):
        intent = call.account.objects.need("payment_intent", payment.body["payment"]["payment_intent"])
        if intent.body["status"] in {"succeeded", "canceled"}:
            continue
        intent.body.update(status="canceled", canceled_at=now, cancellation_reason="void_invoice", next_action=None)
        call.account.objects.save(intent)
        payment.body.update(status="canceled", status_transitions={"canceled_at": now, "paid_at": None})
        call.account.objects.save(payment)
        call.record("payment_intent.canceled", intent.body)
