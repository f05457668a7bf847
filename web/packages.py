"""A package as every answer writes it."""

from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from billing.reads.packages import PackageView
from web.answers import hours, instant


def package_row(package: PackageView, now: datetime, zone: ZoneInfo) -> dict[str, Any]:
    expires_at = package.expires_at
    return {
        "transaction_id": package.transaction_id,
        "plan_name": package.plan_name,
        "hours_included": hours(package.minutes_included),
        "hours_consumed": hours(package.minutes_consumed),
        "hours_remaining": hours(package.minutes_remaining),
        "expires_at": expires_at and instant(expires_at),
        "days_until_expiry": expires_at and _days_between(now, expires_at, zone),
        "is_expired": package.is_expired,
    }


def _days_between(now: datetime, then: datetime, zone: ZoneInfo) -> int:
    """Days after today on which the hours can still be taken; `then` is the first instant that is too late."""
    last_day = (then - timedelta.resolution).astimezone(zone).date()
    return max(0, (last_day - now.astimezone(zone).date()).days)
