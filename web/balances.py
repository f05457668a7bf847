"""How many hours a student has, from which packages, and until when."""

from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from starlette.requests import Request
from starlette.responses import Response

from billing.clock import utc_now
from billing.reads.balances import BalanceView, PackageView, balance_of_address, balance_of_caller
from web.answers import Json, euros, hours, instant
from web.auth import Identity, Role
from web.door import Door
from web.emails import normalised
from web.errors import HttpError, not_found

SOON = timedelta(days=7)

NO_SUBSCRIPTION = {"is_active": False, "status": None, "plan_name": None, "current_period_end": None}


class BalanceRoutes:
    def __init__(self, door: Door) -> None:
        self._door = door

    async def summary(self, request: Request) -> Response:
        identity = await self._door.callers.required(request)
        now = utc_now()
        if "email" in request.query_params:
            balance = await self._of_somebody(identity, request.query_params["email"], now)
        else:
            balance = await self._of_caller(identity, now)
        return Json(_summary(balance, now, self._door.settings.zone))

    async def _of_caller(self, identity: Identity, now: datetime) -> BalanceView:
        """Who never bought has no student row, and no hours."""
        sub, email = identity.sub, identity.verified_email
        found = await self._door.ask(
            lambda connection: balance_of_caller(connection, sub=sub, verified_email=email, now=now)
        )
        return found or BalanceView(name=identity.name, email=identity.email)

    async def _of_somebody(self, identity: Identity, address: str, now: datetime) -> BalanceView:
        if not identity.is_any_of(Role.STAFF, Role.ADMIN):
            raise HttpError(403, "permission_denied", "Only staff may look at somebody else's balance.")
        try:
            email = normalised(address)
        except ValueError:
            raise not_found() from None
        found = await self._door.ask(lambda connection: balance_of_address(connection, email, now=now))
        if found is None:
            raise not_found()
        return found


def _summary(balance: BalanceView, now: datetime, zone: ZoneInfo) -> dict[str, Any]:
    shown = [(package, _package(package, now, zone)) for package in balance.packages]
    return {
        "student_info": {"id": balance.student_id, "name": balance.name, "email": balance.email},
        "balance_summary": _sums(balance),
        "package_status": {
            "active_packages": [content for package, content in shown if not package.is_expired],
            "expired_packages": [content for package, content in shown if package.is_expired],
        },
        "upcoming_expirations": [content for package, content in shown if package.expires_within(SOON, now=now)],
        "subscription_info": NO_SUBSCRIPTION,
    }


def _sums(balance: BalanceView) -> dict[str, str]:
    return {
        "hours_purchased": hours(balance.minutes_purchased),
        "hours_consumed": hours(balance.minutes_consumed),
        "hours_expired": hours(balance.minutes_expired),
        "hours_held": hours(balance.minutes_held),
        "hours_refunded": hours(balance.minutes_refunded),
        "hours_frozen": hours(balance.minutes_frozen),
        "remaining_hours": hours(balance.minutes_remaining),
        "balance_amount": euros(balance.amount_cents),
    }


def _package(package: PackageView, now: datetime, zone: ZoneInfo) -> dict[str, Any]:
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
