"""One answer of each kind about booked hours."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from web.hour_schemas import BookingBody, CaptureBody, RefundBody
from web.openapi import hour_answers as shapes

BOOKING_ID = "0b0d6f7a-5a5c-4a0e-8f43-9d1f0e7b6c22"
ACT_ID, CAPTURE_ID = "5c8e52d1-35c5-4d3c-b5f5-6e8f7f0a9b11", "9e2f4a63-70de-4d58-9a0a-0d6f1b8c3e55"
BOOKING = f"/api/finances/api/hour-consumptions/{BOOKING_ID}/"
HELD_AT, TAKEN_AT, ENDS_AT = "2026-03-02T12:00:00.000Z", "2026-03-04T16:35:00.000Z", "2026-03-04T16:30:00.000Z"

BOOKED = {
    "id": ACT_ID,
    "act": "book",
    "status": "done",
    "minutes": None,
    "hours": None,
    "requested_at": HELD_AT,
    "decided_at": HELD_AT,
}
CAPTURED = {
    "id": CAPTURE_ID,
    "act": "capture",
    "status": "done",
    "minutes": 75,
    "hours": "1.25",
    "requested_at": TAKEN_AT,
    "decided_at": TAKEN_AT,
}
CONSUMPTION = {
    "success": True,
    "id": BOOKING_ID,
    "session_id": "session-2026-114",
    "mode": "hold",
    "status": "consumed",
    "minutes": 90,
    "hours": "1.50",
    "minutes_held": 0,
    "hours_held": "0.00",
    "minutes_consumed": 75,
    "hours_consumed": "1.25",
    "minutes_returned": 0,
    "hours_returned": "0.00",
    "ends_at": ENDS_AT,
    "student": {"id": 7, "email": "ana@example.com", "name": "Ana Lúcia", "external_id": "user-7"},
    "packages": [{"transaction_id": 41, "minutes": 75, "hours": "1.25"}],
    "requested_at": HELD_AT,
    "decided_at": HELD_AT,
    "acts": [BOOKED, CAPTURED],
}
WISH = {
    "student": {"external_id": "user-7"},
    "session_id": "session-2026-114",
    "hours": "1.50",
    "mode": "hold",
    "ends_at": "2026-03-04T16:30:00Z",
}

HOUR_EXAMPLES: Mapping[type[BaseModel], Mapping[str, Any]] = {
    BookingBody: WISH,
    CaptureBody: {"hours": "1.25"},
    RefundBody: {"minutes": 30, "reason": "The lesson ended early."},
    shapes.HourBooking: CONSUMPTION,
    shapes.HourActStatus: {"success": True, **CAPTURED, "consumption": CONSUMPTION},
    shapes.BookingAccepted: {"success": True, "id": BOOKING_ID, "status": "requested", "status_url": BOOKING},
    shapes.ActAccepted: {
        "success": True,
        "id": CAPTURE_ID,
        "status": "requested",
        "status_url": f"{BOOKING}acts/{CAPTURE_ID}/",
    },
}
