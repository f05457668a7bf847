"""How the service does, for staff."""

from web.openapi import staff_system_answers as shapes
from web.openapi.operation import USER, Answer, Operation, Operations
from web.openapi.staff import ADMIN, FOR_STAFF

STAFF_SYSTEM: Operations = {
    ("GET", f"{ADMIN}system/health/"): Operation(
        "readHealth",
        "How the service does",
        "Open work, workers, events, purchases, calls to Stripe, scheduled jobs, proofs, and what waits for a person.",
        {200: Answer("The figures of now.", shapes.Health)},
        FOR_STAFF,
        "staff",
        USER,
    ),
    ("GET", f"{ADMIN}system/history/"): Operation(
        "readHistory",
        "How the service did in the last day",
        "In quarters of an hour, the oldest first; the last one is not over yet.",
        {200: Answer("The quarters.", shapes.History)},
        FOR_STAFF,
        "staff",
        USER,
    ),
}
