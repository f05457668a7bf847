"""Money that goes back: staff read, the role `admin` moves it."""

from collections.abc import Sequence
from typing import Any

from billing.states import DisputeState, RefundOrigin
from web.openapi import parameters as given
from web.openapi import staff_money_answers as shapes
from web.openapi.operation import REPEATED, USER, Answer, Operation, Operations
from web.openapi.parameters import Parameter, told
from web.openapi.staff import ACCEPTED, ADMIN, ASKED, FOR_STAFF, LATER, WITH_KEY
from web.staff.bodies import LARGEST_ID, InvoiceBody, RefundPurchaseBody

REFUNDS, DISPUTES = f"{ADMIN}payments/refunds/", f"{ADMIN}payments/disputes/"
NOT_REFUNDED = ("invalid_transaction_state", "no_refundable_hours", "refund_exceeds_refundable")
THERE = {"type": "integer", "minimum": 1, "maximum": LARGEST_ID}


def _asked(name: str, description: str, schema: dict[str, Any], **more: Any) -> Parameter:
    return {"name": name, "in": "query", "description": description, "schema": schema, **more}


def _id(name: str, description: str) -> Parameter:
    schema = {"type": "string", "format": "uuid"}
    return {"name": name, "in": "path", "description": description, "schema": schema, "required": True}


OF_TRANSACTION = _asked("transaction_id", "Only of this purchase.", THERE, example=41)
STATUSES: Sequence[str] = shapes.RefundStatus.__args__  # type: ignore[attr-defined]
WITH_STATUS = _asked("status", "Only these; an unknown one fits nothing.", {"type": "string", "enum": [*STATUSES]})
WITH_ORIGIN = _asked("origin", "Only these; an unknown one fits nothing.", {"type": "string", "enum": [*RefundOrigin]})
WITH_STATE = _asked("state", "Only these; an unknown one fits nothing.", {"type": "string", "enum": [*DisputeState]})

DECIDED = told("Location", Location=given.WHERE_IT_STANDS, **REPEATED)

STAFF_MONEY: Operations = {
    ("GET", f"{REFUNDS}quote/"): Operation(
        "quoteRefund",
        "What could be given back",
        "The value of the unused hours by minutes, less the fee, and never more than was paid.",
        {200: Answer("The quote.", shapes.RefundQuote)},
        (*FOR_STAFF, "not_found", "validation_error"),
        "staff",
        USER,
        (_asked("transaction_id", "Of a purchase.", THERE, required=True, example=41),),
    ),
    ("POST", REFUNDS): Operation(
        "refundPurchase",
        "Give money back",
        "For unused hours, which are held until Stripe has decided. Without a key, the same wish of the same caller "
        "is the one that is on its way already. With `Prefer` Stripe's decision is waited for.",
        {
            201: Answer("Decided in the time that `Prefer` grants, one way or the other.", shapes.Refund, DECIDED),
            202: Answer("Accepted; workers do it.", shapes.RefundAccepted, LATER),
        },
        (*ASKED, "not_found", *NOT_REFUNDED),
        "staff",
        USER,
        WITH_KEY,
        RefundPurchaseBody,
    ),
    ("GET", REFUNDS): Operation(
        "listRefunds",
        "Money that went back, or is to",
        "The newest first, also what was made at Stripe.",
        {200: Answer("A page.", shapes.RefundPage)},
        (*FOR_STAFF, "not_found"),
        "staff",
        USER,
        (*given.LIST_PAGES, OF_TRANSACTION, WITH_STATUS, WITH_ORIGIN),
    ),
    ("GET", f"{REFUNDS}{{refund_id}}/"): Operation(
        "readRefund",
        "What became of a refund",
        "The same from the wish to Stripe's last word.",
        {200: Answer("The refund.", shapes.Refund)},
        (*FOR_STAFF, "not_found"),
        "staff",
        USER,
        (_id("refund_id", "The `id` of the 202 answer."),),
    ),
    ("GET", DISPUTES): Operation(
        "listDisputes",
        "Payments that a bank disputes",
        "The newest first.",
        {200: Answer("A page.", shapes.DisputePage)},
        (*FOR_STAFF, "not_found"),
        "staff",
        USER,
        (
            *given.LIST_PAGES,
            OF_TRANSACTION,
            _asked("status", "Only these, in Stripe's words.", given.TEXT, example="needs_response"),
            WITH_STATE,
        ),
    ),
    ("GET", f"{DISPUTES}{{dispute_id}}/"): Operation(
        "readDispute",
        "A dispute, and which lessons it endangers",
        "With the lessons that are booked on hours of its purchase.",
        {200: Answer("The dispute.", shapes.Dispute)},
        (*FOR_STAFF, "not_found"),
        "staff",
        USER,
        (_id("dispute_id", "The `id` of a dispute."),),
    ),
    ("POST", f"{ADMIN}receipts/{{receipt_id}}/invoice/"): Operation(
        "nameInvoice",
        "Name a payment's invoice on its receipt",
        "For the role `service` too. The receipt keeps its number and is printed anew.",
        {200: Answer("Done in the time that `Prefer` grants.", shapes.NamedInvoice, told(**REPEATED)), 202: ACCEPTED},
        (*ASKED, "not_found"),
        "staff",
        USER,
        (_id("receipt_id", "The `id` of a receipt."), *WITH_KEY),
        InvoiceBody,
    ),
}
