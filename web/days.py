"""Days and instants as callers write them."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from web.errors import HttpError, invalid


def end_of(given: str, zone: ZoneInfo) -> datetime:
    """The last instant that counts: of a date the end of that day in business time, of an instant that instant.

    Raises HttpError 400 where it is neither, or an instant without a zone.
    """
    try:
        return _end_of_day(date.fromisoformat(given), zone)
    except (ValueError, OverflowError):
        return _instant(given)


def _end_of_day(day: date, zone: ZoneInfo) -> datetime:
    midnight = datetime.combine(day + timedelta(days=1), time(), zone)
    return midnight.astimezone(UTC) - timedelta.resolution


def _instant(given: str) -> datetime:
    """The plus of an offset arrives as a space where nobody has quoted it."""
    try:
        at = datetime.fromisoformat(given.replace(" ", "+") if "T" in given else given)
        if at.tzinfo is not None:
            return at.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise _no_date()


def _no_date() -> HttpError:
    return invalid("at", "must be a date such as 2026-03-01, or an instant with its zone such as 2026-03-01T12:00:00Z")
