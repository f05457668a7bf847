"""From when to when staff want to see something."""

from datetime import UTC, date, datetime, time
from zoneinfo import ZoneInfo

from starlette.requests import Request

from web.days import end_of
from web.errors import HttpError
from web.staff.filters import NothingFitsError


def start_asked_for(request: Request, zone: ZoneInfo) -> datetime | None:
    """The first instant of `date_from`: of a date the beginning of that day in business time, of an instant that one.

    Raises NothingFitsError where it is neither.
    """
    given = request.query_params.get("date_from")
    if not given:
        return None
    try:
        return datetime.combine(date.fromisoformat(given), time(), zone).astimezone(UTC)
    except ValueError:
        return _end_of(given, zone)
    except OverflowError:
        raise NothingFitsError from None


def end_asked_for(request: Request, zone: ZoneInfo) -> datetime | None:
    """The last instant of `date_to`. Raises NothingFitsError."""
    given = request.query_params.get("date_to")
    return _end_of(given, zone) if given else None


def _end_of(given: str, zone: ZoneInfo) -> datetime:
    try:
        return end_of(given, zone)
    except HttpError:
        raise NothingFitsError from None
