"""How the service does: figures of now and of the last day for staff, and the page that shows them."""

import asyncio
from collections.abc import Iterator
from datetime import timedelta

from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from billing.clock import utc_now
from billing.expiry.preview import Preview, preview
from billing.expiry.sweep import cutoff
from billing.messages import StartNightlySweep
from billing.reads.last_day import last_day
from billing.reads.metrics import Measured, measure
from billing.ticks import TICKS
from web.answers import Json
from web.brakes import BrakeFigures
from web.door import Door
from web.operations.answers import expiry_body, health_body, history_body, stripe_body
from web.operations.page import OperationsPage
from web.paths import PREFIXES
from web.staff.acts import staff_member

NIGHT = TICKS[StartNightlySweep]
DAY = timedelta(days=1)


def operations_routes(door: Door) -> Iterator[Route]:
    system, page = SystemRoutes(door), OperationsPage()
    for prefix in reversed(PREFIXES):
        yield Route(f"{prefix}admin/system/health/", system.health)
        yield Route(f"{prefix}admin/system/history/", system.history)
    yield Route("/operations/", page.page)
    yield Route("/operations/{file}", page.asset)


class SystemRoutes:
    def __init__(self, door: Door) -> None:
        self._door = door
        self._brakes = BrakeFigures(door.settings)

    async def health(self, request: Request) -> Response:
        """What of it nobody can know now, because Valkey is away, is null."""
        await staff_member(self._door, request)
        now = utc_now()
        tonight = NIGHT.following(now, self._door.settings.zone)
        until = cutoff(tonight, self._door.settings.expiry_grace_hours)

        async def read(connection: AsyncConnection) -> tuple[Measured, Preview]:
            measured = await measure(connection, self._door.settings.zone, now=now, events_of=DAY)
            return measured, await preview(connection, cutoff=until, most=0)

        (measured, expiry), stripe = await asyncio.gather(self._door.ask(read), self._brakes.view())
        return Json(
            {
                **health_body(measured, now=now),
                "stripe": stripe and stripe_body(stripe, self._brakes.calls_per_second(stripe)),
                "tonight": expiry_body(expiry, at=tonight, cutoff=until),
            }
        )

    async def history(self, request: Request) -> Response:
        """The last day in quarters of an hour."""
        await staff_member(self._door, request)
        now = utc_now()
        return Json(history_body(await self._door.ask(lambda connection: last_day(connection, now=now))))
