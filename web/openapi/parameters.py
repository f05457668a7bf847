"""Headers and query parameters, in and out."""

from collections.abc import Mapping
from typing import Any

from billing.states import PlanType, PurchaseState, StaffAction
from web.bookings import DECIMAL, LONGEST_HOURS
from web.emails import EMAIL_LENGTH
from web.pages import LARGEST_SIZE, SIZE
from web.prefer import LONGEST_SECONDS

Parameter = Mapping[str, Any]


def _in(place: str, name: str, description: str, schema: Mapping[str, Any], **more: Any) -> Parameter:
    return {"name": name, "in": place, "description": description, "schema": schema, **more}


TEXT = {"type": "string"}

TASK_ID = _in(
    "path", "task_id", "The `task_id` of the 202 answer.", {"type": "string", "format": "uuid"}, required=True
)

BOOKING_ID = _in(
    "path",
    "booking_id",
    "Of one student's hours, or of a group's.",
    {"type": "string", "format": "uuid"},
    required=True,
)
ACT_ID = _in("path", "act_id", "The `id` of the 202 answer.", {"type": "string", "format": "uuid"}, required=True)

TRANSACTION_ID = _in(
    "path", "transaction_id", "The number of a package.", {"type": "integer", "minimum": 1}, required=True, example=41
)

IDEMPOTENCY_KEY = _in(
    "header",
    "Idempotency-Key",
    "With the same key the same request is done once, for 24 hours at least. Raw or as a quoted string.",
    {"type": "string", "pattern": "^[!-~]{1,255}$"},
    example="order-2026-0001",
)
PREFER = _in(
    "header",
    "Prefer",
    f"`wait=N` waits up to N seconds, {LONGEST_SECONDS} at most, for the outcome; what is no such wish is ignored.",
    {"type": "string", "pattern": "^wait=[0-9]{1,2}$"},
    example="wait=10",
)
IF_NONE_MATCH = _in(
    "header", "If-None-Match", "The `ETag` of an earlier answer: 304 where it is still the present one.", TEXT
)
LAST_EVENT_ID = _in(
    "header", "Last-Event-ID", "The id of the last event that was received: the stream goes on behind it.", TEXT
)
STRIPE_SIGNATURE = _in(
    "header",
    "Stripe-Signature",
    "Stripe's signature of the raw body, at most five minutes old.",
    TEXT,
    required=True,
    example="t=1767225600,v1=5257a869e7ecebeda32affa62cdca3fa51cad7e77a0e56ff536d0ce8e108d8bd",
)
REQUEST_ID = _in(
    "header",
    "X-Request-Id",
    "An id for this request, of 1 to 64 letters, digits and `._~:/+=-`; any other is replaced by one of ours.",
    TEXT,
)

EMAIL = _in(
    "query",
    "email",
    "Whose records; for staff only.",
    {"type": "string", "maxLength": EMAIL_LENGTH},
    example="ana@example.com",
)
PAGE = _in("query", "page", "From 1. Past the end, or no number: 404.", {"type": "integer", "minimum": 1, "default": 1})
PAGE_SIZE = _in(
    "query",
    "page_size",
    "Out of range: the nearest bound; no number: the default.",
    {"type": "integer", "minimum": 1, "maximum": LARGEST_SIZE, "default": SIZE},
)
PAYMENT_STATUS = _in(
    "query", "payment_status", "Only these; an unknown one fits nothing.", {"type": "string", "enum": [*PurchaseState]}
)
TRANSACTION_TYPE = _in(
    "query", "transaction_type", "Only these; an unknown one fits nothing.", {"type": "string", "enum": [*PlanType]}
)
PAGES = (EMAIL, PAGE, PAGE_SIZE, PAYMENT_STATUS, TRANSACTION_TYPE)

ACTIVE_ONLY = _in("query", "active_only", "Only what can still be spent.", {"type": "boolean", "default": False})
INCLUDE_CONSUMPTION = _in(
    "query", "include_consumption", "With what was taken from each package.", {"type": "boolean", "default": False}
)
AT = _in(
    "query",
    "at",
    "The ledger as it was, with an `explanation` of the balance: at the end of a day in business time, or at an "
    "instant with its zone.",
    {"anyOf": [{"type": "string", "format": "date"}, {"type": "string", "format": "date-time"}]},
    example="2026-03-01",
)
DURATION_HOURS = _in(
    "query",
    "duration_hours",
    f"How long the lesson is to be, {LONGEST_HOURS} hours at most; a whole number of minutes.",
    {"type": "string", "pattern": f"^{DECIMAL.pattern}$"},
    required=True,
    example="1.50",
)

LIST_PAGES = (PAGE, PAGE_SIZE)
WITHIN_DAYS = _in(
    "query",
    "days",
    "Of those whose hours end in so many days.",
    {"type": "integer", "minimum": 1, "maximum": 365, "default": 7},
)
DAY_OR_INSTANT = {"anyOf": [{"type": "string", "format": "date"}, {"type": "string", "format": "date-time"}]}
ACTS = (
    *LIST_PAGES,
    _in("query", "action", "Only these; an unknown one fits nothing.", {"type": "string", "enum": [*StaffAction]}),
    _in("query", "actor", "Only what this one asked for, by the `sub` of the token.", TEXT),
    _in("query", "target", "Only what is about this.", TEXT, example="purchase:41"),
    _in("query", "success", "Only what was done, or only what was refused.", {"type": "boolean"}),
    _in("query", "date_from", "From this instant, or this day in business time, on.", DAY_OR_INSTANT),
    _in("query", "date_to", "Up to this instant, or to the end of this day in business time.", DAY_OR_INSTANT),
)

RETRY_AFTER = {"description": "In so many seconds it is worth asking again.", "schema": {"type": "integer"}}
LOCATION = {"description": "Where the purchase is.", "schema": {"type": "string", "format": "uri-reference"}}
WHERE_IT_STANDS = {
    "description": "Where to see how it stands.",
    "schema": {"type": "string", "format": "uri-reference"},
}
ETAG = {"description": "Names this answer, for `If-None-Match`.", "schema": TEXT}
REPLAYED = {
    "description": "`true` where this request was accepted before, under the same key.",
    "schema": {"const": "true"},
}
PREFERENCE_APPLIED = {
    "description": "The wait that was granted, where one was asked for.",
    "schema": {"type": "string", "pattern": "^wait=[0-9]{1,2}$"},
}
ACCESS_TOKEN = {"description": "As `access_token` in the 202 answer.", "schema": TEXT}
ALLOWED_CACHE = {"description": "It may be kept, and is to be asked for each time.", "schema": TEXT}


def told(*required: str, **headers: Mapping[str, Any]) -> dict[str, Any]:
    """The headers of an answer: every one has a request id."""
    given = {name.replace("_", "-"): header for name, header in headers.items()}
    marked = {name: {**header, "required": name in required} for name, header in given.items()}
    return {"X-Request-Id": {"$ref": "#/components/headers/X-Request-Id"}, **marked}
