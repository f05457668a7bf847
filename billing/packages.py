"""When hours of a package end."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo


def expires_at(paid_at: datetime, validity_days: int, zone: ZoneInfo) -> datetime:
    """The first instant that is too late, in UTC: the local day after `validity_days` whole days begins.

    A day that a clock change starts at 01:00 begins there; one with two midnights begins at the first.
    """
    day = paid_at.astimezone(zone).date() + timedelta(days=validity_days + 1)
    return datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC)


def end_of_day(instant: datetime, zone: ZoneInfo) -> datetime:
    """The first beginning of a local day that is not before `instant`, in UTC."""
    return expires_at(instant - timedelta.resolution, 0, zone)
