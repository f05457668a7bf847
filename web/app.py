"""The door put together: routes under both prefixes, and what lives as long as the process."""

import asyncio
import gc
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

from starlette.routing import Mount, Route, Router
from starlette.types import ASGIApp

from billing.config import Settings
from web.accounts.routes import account_routes
from web.admin.shell import ADDRESS, NAME
from web.admin.site import AdminSite
from web.balances import BalanceRoutes
from web.bookings import BookingRoutes
from web.door import Door
from web.edge import Edge
from web.health import HealthRoutes
from web.histories import HistoryRoutes
from web.hour_consumptions import HourRoutes
from web.metrics import MetricsRoutes
from web.openapi.routes import DocumentRoutes
from web.operations.routes import operations_routes
from web.paths import PREFIXES
from web.plans import PlanRoutes
from web.purchases import PurchaseRoutes
from web.receipts import receipt_routes
from web.shutdown import told_of_the_end
from web.site.routes import site_routes
from web.staff.routes import staff_routes
from web.streams import PurchaseEvents
from web.stripe_config import StripeConfigRoutes
from web.webhooks import StripeWebhook

RARELY = (10_000, 50, 1_000)
"""Full collections stop everything for as long as the heap is large, and find next to nothing here."""


def create_app(settings: Settings) -> ASGIApp:
    door = Door(settings)
    admin = AdminSite(door)

    @asynccontextmanager
    async def lifespan(app: Any) -> AsyncIterator[None]:
        door.open()
        await door.counts.open()
        gc.collect()
        gc.freeze()
        gc.set_threshold(*RARELY)
        with told_of_the_end(door.end):
            yield
        await door.close()
        await asyncio.to_thread(admin.close)

    others = Router([Mount(ADDRESS, admin.app, name=NAME)])
    return Edge(Router(list(_routes(door)), redirect_slashes=False, default=others, lifespan=lifespan), settings)


def _routes(door: Door) -> Iterator[Route]:
    """Those that come in crowds stand first."""
    webhook = StripeWebhook(door, door.settings.stripe_webhook_secret)
    purchases, plans, balances = PurchaseRoutes(door), PlanRoutes(door), BalanceRoutes(door)
    histories, bookings = HistoryRoutes(door), BookingRoutes(door)
    events, stripe_config, health = PurchaseEvents(door), StripeConfigRoutes(door), HealthRoutes(door)
    document, hours = DocumentRoutes(door), HourRoutes(door)
    for prefix in reversed(PREFIXES):
        yield Route(f"{prefix}webhooks/stripe/", webhook, methods=["POST"])
        yield Route(f"{prefix}purchase/initiate/", purchases.initiate, methods=["POST"])
        yield Route(f"{prefix}purchase/{{task_id:uuid}}/", purchases.status)
        yield Route(f"{prefix}purchase/{{task_id:uuid}}/events/", events, methods=["GET"])
        yield Route(f"{prefix}purchase/{{task_id:uuid}}/cancel/", purchases.cancel, methods=["POST"])
        booking = f"{prefix}hour-consumptions/{{booking_id:uuid}}/"
        yield Route(f"{prefix}hour-consumptions/", hours.book, methods=["POST"])
        yield Route(booking, hours.shown)
        yield Route(f"{booking}acts/{{act_id:uuid}}/", hours.act)
        yield Route(f"{booking}capture/", hours.capture, methods=["POST"])
        yield Route(f"{booking}release/", hours.release, methods=["POST"])
        yield Route(f"{booking}refund/", hours.refund, methods=["POST"])
        yield Route(f"{prefix}pricing-plans/", plans.pricing_plans)
        yield Route(f"{prefix}student-balance/", balances.summary)
        yield Route(f"{prefix}student-balance/history/", histories.history)
        yield Route(f"{prefix}student-balance/purchases/", histories.purchases)
        yield Route(f"{prefix}student-balance/ledger/", histories.ledger)
        yield Route(f"{prefix}student-balance/check-booking/", bookings.check)
        yield Route(f"{prefix}stripe/config/", stripe_config.config)
    yield from staff_routes(door)
    yield from operations_routes(door)
    yield from receipt_routes(door)
    yield from account_routes(door, purchases)
    yield Route("/api/finances/openapi.json", document.document)
    yield Route("/api/finances/docs", document.page)
    yield Route("/healthz", health.live)
    yield Route("/readyz", health.ready)
    yield Route("/metrics", MetricsRoutes(door).metrics)
    yield from site_routes(door)
