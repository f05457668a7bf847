"""How the service does: figures of now and of the last day for staff, and the page that shows them.

The page asks at addresses of its own, below that of the admin, to which browsers send the admin's cookie: there whoever
has signed in needs no token. These two figures are all that a cookie opens outside of the admin's own pages.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from datetime import timedelta
from functools import partial

from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, request_response

from billing.clock import utc_now
from billing.expiry.preview import Preview, preview
from billing.expiry.sweep import cutoff
from billing.messages import StartNightlySweep
from billing.reads.last_day import last_day
from billing.reads.metrics import Measured, measure
from billing.ticks import TICKS
from web.admin.sessions import OpenSessions, Sessions
from web.answers import Json
from web.brakes import BrakeFigures
from web.door import Door
from web.operations.answers import expiry_body, health_body, history_body, stripe_body
from web.operations.page import OperationsPage
from web.paths import PREFIXES
from web.staff.acts import staff_member

NIGHT = TICKS[StartNightlySweep]
DAY = timedelta(days=1)

FOR_PAGE = "/admin/system/"
OWN_PAGES = ("same-origin", "none")
"""Who may ask with a cookie: a page of ours, or somebody who wrote the address (Fetch Metadata, `Sec-Fetch-Site`)."""

LetIn = Callable[[Request], Awaitable[object]]
"""Raises HttpError 401 or 403."""


def operations_routes(door: Door) -> Iterator[Route]:
    brakes, page = BrakeFigures(door.settings), OperationsPage()
    system = SystemRoutes(door, brakes, partial(staff_member, door))
    for prefix in reversed(PREFIXES):
        yield Route(f"{prefix}admin/system/health/", system.health)
        yield Route(f"{prefix}admin/system/history/", system.history)
    signed_in = SystemRoutes(door, brakes, SignedIn(door).let_in)
    for name, figures in (("health", signed_in.health), ("history", signed_in.history)):
        yield Route(f"{FOR_PAGE}{name}/", Sessions(request_response(figures), door.settings), methods=["GET"])
    yield Route("/operations/", page.page)
    yield Route("/operations/{file}", page.asset)


class SignedIn:
    """Staff by their token, or by the session of the admin where no token is sent."""

    def __init__(self, door: Door) -> None:
        self._door = door
        self._sessions = OpenSessions(door)

    async def let_in(self, request: Request) -> None:
        """Raises HttpError 401 or 403."""
        if "authorization" in request.headers or not await self._is_open(request):
            await staff_member(self._door, request)

    async def _is_open(self, request: Request) -> bool:
        is_of_ours = request.headers.get("sec-fetch-site", OWN_PAGES[0]) in OWN_PAGES
        return is_of_ours and await self._sessions.find(request) is not None


class SystemRoutes:
    def __init__(self, door: Door, brakes: BrakeFigures, let_in: LetIn) -> None:
        self._door = door
        self._brakes = brakes
        self._let_in = let_in

    async def health(self, request: Request) -> Response:
        """What of it nobody can know now, because Valkey is away, is null."""
        await self._let_in(request)
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
        await self._let_in(request)
        now = utc_now()
        return Json(history_body(await self._door.ask(lambda connection: last_day(connection, now=now))))
