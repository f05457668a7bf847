"""Booked hours and what is asked about them, as the platform is shown them."""

from typing import Any

from billing.reads.consumptions import ActView, BookingView, ConsumptionView
from web.answers import hours, instant

REFUSALS = {
    "insufficient_balance": "There are not enough hours.",
    "package_expired": "The packages that had hours have expired.",
    "no_packages": "There is no package to take hours from.",
    "invalid_state": "What was booked does not allow this any more, or not for so many hours.",
}
REFUSED = "This was refused."


def booking_content(booking: BookingView) -> dict[str, Any]:
    if not booking.is_group:
        return _record(booking.records[0])
    first = booking.records[0]
    return {
        "success": True,
        "id": str(booking.id),
        "session_id": first.session_id,
        "mode": first.mode,
        "status": booking.state,
        "consumptions": [_record(record) for record in booking.records],
    }


def act_content(act: ActView, booking: BookingView) -> dict[str, Any]:
    return {"success": True, **_act(act), "consumption": booking_content(booking)}


def _record(record: ConsumptionView) -> dict[str, Any]:
    parts = {
        "": record.minutes,
        "_held": record.minutes_held,
        "_consumed": record.minutes_consumed,
        "_returned": record.minutes_returned,
    }
    return {
        "success": True,
        "id": str(record.id),
        "session_id": record.session_id,
        "mode": record.mode,
        "status": record.state,
        **{f"minutes{part}": minutes for part, minutes in parts.items()},
        **{f"hours{part}": hours(minutes) for part, minutes in parts.items()},
        "ends_at": record.ends_at and instant(record.ends_at),
        **({"error_type": record.error_type} if record.error_type else {}),
        "student": _student(record),
        "packages": [
            {"transaction_id": part.transaction_id, "minutes": part.minutes, "hours": hours(part.minutes)}
            for part in record.packages
        ],
        "requested_at": instant(record.requested_at),
        "decided_at": record.decided_at and instant(record.decided_at),
        "acts": [_act(act) for act in record.acts],
    }


def _student(record: ConsumptionView) -> dict[str, Any]:
    known = {} if record.external_id is None else {"external_id": record.external_id}
    return {"id": record.student_id, "email": record.email, "name": record.name, **known}


def _act(act: ActView) -> dict[str, Any]:
    return {
        "id": str(act.id),
        "act": act.act,
        "status": act.state,
        **({"error_type": act.error_type} if act.error_type else {}),
        "minutes": act.minutes,
        "hours": None if act.minutes is None else hours(act.minutes),
        **({"reason": act.reason} if act.reason else {}),
        "requested_at": instant(act.requested_at),
        "decided_at": act.decided_at and instant(act.decided_at),
    }
