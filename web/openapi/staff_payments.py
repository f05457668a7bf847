"""Everybody's purchases, and what they brought: staff read."""

from typing import Any

from billing.reads.transactions import Ordering
from web.openapi import parameters as given
from web.openapi import staff_payments_answers as shapes
from web.openapi.operation import USER, Answer, Operation, Operations
from web.openapi.parameters import DAY_OR_INSTANT, Parameter
from web.openapi.staff import ADMIN, FOR_STAFF
from web.staff.payments import HOURS, MOST_DAYS, MOST_HOURS


def _asked(name: str, description: str, schema: dict[str, Any], **more: Any) -> Parameter:
    return {"name": name, "in": "query", "description": description, "schema": schema, **more}


SEARCH = _asked(
    "search",
    "A part of the buyer's or the student's e-mail or name, or the whole of a number of a transaction, of a `task_id` "
    "or of a `payment_intent_id`.",
    given.TEXT,
    example="ana@example.com",
)
PERIOD = (
    _asked("date_from", "Accepted at this instant, or on this day in business time, or later.", DAY_OR_INSTANT),
    _asked("date_to", "Accepted up to this instant, or to the end of this day in business time.", DAY_OR_INSTANT),
)
ORDERING = _asked(
    "ordering",
    "By what, downwards with a minus; those that are alike by `transaction_id` in the same direction. What was never "
    "paid comes last by `paid_at` in both.",
    {"type": "string", "enum": [*Ordering], "default": Ordering.NEWEST},
)
WINDOW = (
    _asked(
        "hours",
        f"How far back from now, instead of `days`; {HOURS} where neither is given.",
        {"type": "integer", "minimum": 1, "maximum": MOST_HOURS},
    ),
    _asked(
        "days",
        "How far back from now, instead of `hours`; a day is 24 hours.",
        {"type": "integer", "minimum": 1, "maximum": MOST_DAYS},
    ),
)

STAFF_PAYMENTS: Operations = {
    ("GET", f"{ADMIN}payments/transactions/"): Operation(
        "listEverybodysTransactions",
        "What was bought by everybody",
        "Paid or not, the newest first unless asked otherwise. `created_at` is when it was accepted, by which the "
        "dates are judged.",
        {200: Answer("A page.", shapes.StaffTransactionPage)},
        (*FOR_STAFF, "not_found", "validation_error"),
        "staff",
        USER,
        (*given.LIST_PAGES, given.PAYMENT_STATUS, given.TRANSACTION_TYPE, SEARCH, *PERIOD, ORDERING),
    ),
    ("GET", f"{ADMIN}payments/metrics/"): Operation(
        "readPaymentMetrics",
        "What purchases brought in a window of time",
        "The window ends now. Each figure is counted by an instant of its own: purchases and their success by when "
        "they were accepted (`accepted_at`), revenue and plans by when they were paid (`paid_at`), hours by the entry "
        "of the ledger (`at`), refunds and verdicts by when they were decided (`decided_at`), webhooks by when they "
        "came (`received_at`). States, open disputes and outstanding hours are those of now.",
        {200: Answer("The figures.", shapes.PaymentMetrics)},
        (*FOR_STAFF, "validation_error"),
        "staff",
        USER,
        WINDOW,
    ),
}
