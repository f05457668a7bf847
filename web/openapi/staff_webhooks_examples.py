"""One answer of each kind about what failed, or differs."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from web.openapi import staff_webhooks_answers as shapes
from web.staff.bodies import NoteBody, ReasonBody

ACT_ID = "5a0f8f5c-64f5-4d0c-8f0b-3b2d5c1c9e78"
FINDING_ID = "0193d5a1-c5f0-7b6b-9a4c-4d5e6f708192"
AT, LATER = "2026-04-20T09:30:00.000Z", "2026-04-20T09:30:01.250Z"
REASON = "Its handler is mended."
NOTE = "The office refunded it in cash; see the accounts of April."

EVENT = {
    "stripe_event_id": "evt_1Q",
    "event_type": "payment_intent.succeeded",
    "status": "dead",
    "outcome": None,
    "attempts": 11,
    "error_message": "KeyError: 'plan'",
    "received_at": AT,
    "processed_at": None,
}
ENTRY = {"id": 97, "kind": "credit", "minutes": 600, "student_id": 7, "source": "purchase:41"}
LETTER = {
    "kind": "webhook_event",
    "subject": "12",
    "state": "dead",
    "reason": "KeyError: 'plan'",
    "error_class": "KeyError",
    "digest": "0f343b0931126a20f133d67c2b018a3b",
    "attempts": 11,
    "first_at": AT,
    "at": LATER,
}
OPEN = {"state": "open", "opened_at": AT, "closed_at": None, "closed_by": None, "note": None}
FINDING = {
    "id": FINDING_ID,
    "kind": "refund_missing",
    "source": "re_3Q",
    "transaction_id": 41,
    "detail": "given back at Stripe and unknown here",
    "ours": None,
    "theirs": "70.00",
    "owner": "finance",
    "seen_at": LATER,
    **OPEN,
}
CASE = {
    "id": 3,
    "reason": "amount_differs",
    "source": "evt_1Q",
    "transaction_id": 41,
    "detail": "paid 130.00, and the price is 140.00",
    **OPEN,
}
NAMED = {"kind": "webhook_event", "subject": "12"}


def _page(row: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    return {"count": 1, "next": None, "previous": None, "results": [row], **more}


STAFF_WEBHOOKS_EXAMPLES: Mapping[type[BaseModel], Mapping[str, Any]] = {
    ReasonBody: {"reason": REASON},
    NoteBody: {"note": NOTE},
    shapes.EventPage: _page(
        EVENT,
        counts={"received": 2, "asking": 0, "applied": 411, "ignored": 38, "parked": 0, "dead": 1},
        lag_seconds={"p50": 0.021, "p95": 0.18},
    ),
    shapes.Replayed: {
        "success": True,
        "id": ACT_ID,
        **NAMED,
        "result": "reopened",
        "became": "done",
        "state": "applied",
        "detail": "applied",
        "reason": None,
        "due_at": None,
        "ledger_entries": [ENTRY],
    },
    shapes.ReplayPreview: {
        "success": True,
        "dry_run": True,
        **NAMED,
        "result": "reopened",
        "says": "applied: 1 purchases, 1 entries, 1 lots",
        "outcome": "applied",
        "error": None,
        "effects": {
            "purchases": [{"transaction_id": 41, "state_before": "pending", "state": "completed"}],
            "entries": [{"kind": "credit", "minutes": 600, "student_id": 7, "source": "purchase:41"}],
        },
    },
    shapes.LetterPage: _page(LETTER),
    shapes.MarkedLetter: {"success": True, "id": ACT_ID, **NAMED, "state": "parked"},
    shapes.FindingPage: _page(FINDING),
    shapes.CasePage: _page(CASE),
    shapes.Closed: {"success": True, "id": ACT_ID, "target": "case:3", "state": "closed", "note": NOTE},
}
