"""How many hours a student has, from which packages, and until when."""

from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from starlette.requests import Request
from starlette.responses import Response

from billing.clock import utc_now
from billing.reads.balances import BalanceView, balance_of, written_sums
from web.accounts.shapes import subscription_info
from web.answers import Json
from web.door import Door
from web.packages import package_row
from web.whose import found_or_404, whose_records

SOON = timedelta(days=7)


class BalanceRoutes:
    def __init__(self, door: Door) -> None:
        self._door = door

    async def summary(self, request: Request) -> Response:
        identity = await self._door.student(request)
        whose, now = whose_records(request, identity), utc_now()
        balance = await self._door.ask(lambda connection: balance_of(connection, whose, now=now))
        found_or_404(balance.student_id if balance else None, whose)
        shown = balance or BalanceView(name=identity.name, email=identity.email)
        return Json(_summary(shown, now, self._door.settings.zone))


def _summary(balance: BalanceView, now: datetime, zone: ZoneInfo) -> dict[str, Any]:
    shown = [(package, package_row(package, now, zone)) for package in balance.packages]
    return {
        "student_info": {"id": balance.student_id, "name": balance.name, "email": balance.email},
        "balance_summary": written_sums(balance),
        "package_status": {
            "active_packages": [content for package, content in shown if not package.is_expired],
            "expired_packages": [content for package, content in shown if package.is_expired],
        },
        "upcoming_expirations": [content for package, content in shown if package.expires_within(SOON, now=now)],
        "subscription_info": subscription_info(balance.subscription),
    }
