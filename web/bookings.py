"""Whether the hours for a lesson are there, asked before it is booked; nothing is taken."""

import re
from decimal import Decimal

from starlette.requests import Request
from starlette.responses import Response

from billing.clock import utc_now
from billing.reads.bookings import spendable_by
from web.answers import Json, hours
from web.door import Door
from web.errors import invalid
from web.whose import found_or_404, whose_records

NAME = "duration_hours"
LONGEST_HOURS = 1_000
DECIMAL = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?", re.ASCII)


class BookingRoutes:
    def __init__(self, door: Door) -> None:
        self._door = door

    async def check(self, request: Request) -> Response:
        identity = await self._door.student(request)
        whose, minutes, now = whose_records(request, identity), _minutes(request), utc_now()
        spendable = await self._door.ask(lambda connection: spendable_by(connection, whose, now=now))
        found_or_404(spendable.student_id, whose)
        reason = spendable.refusal_of(minutes)
        content = {
            "can_book": reason is None,
            "hours_required": hours(minutes),
            "hours_available": hours(spendable.minutes),
            "hours_remaining_after": hours(spendable.minutes - (minutes if reason is None else 0)),
        }
        return Json(content if reason is None else {**content, "reason": reason})


def _minutes(request: Request) -> int:
    given = request.query_params.get(NAME)
    if given is None:
        raise invalid(NAME, "is required")
    if not DECIMAL.fullmatch(given):
        raise invalid(NAME, "must be a number of hours such as 1.50")
    minutes = Decimal(given) * 60
    if not 0 < minutes <= LONGEST_HOURS * 60:
        raise invalid(NAME, f"must be more than 0 and at most {LONGEST_HOURS}")
    if minutes != int(minutes):
        raise invalid(NAME, "must be a whole number of minutes")
    return int(minutes)
