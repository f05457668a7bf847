"""The plan list, kept in memory: read again after a second, and served on while the database is away."""

import asyncio
import time
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response

from billing.errors import TransientError
from billing.plans import PlanOnSale
from billing.reads.plans import plans_on_sale
from billing.states import PlanType
from web.answers import Json, euros, hours, price_per_hour, with_etag
from web.door import Door
from web.errors import unavailable

FRESH_SECONDS = 1.0
SLOW_SECONDS = 0.5
STALE_SECONDS = 3600.0

DISPLAY_NAMES = {PlanType.PACKAGE: "Package", PlanType.SUBSCRIPTION: "Subscription"}


def plan_details(plan: PlanOnSale) -> dict[str, Any]:
    return {
        "id": plan.plan_id,
        "name": plan.name,
        "description": plan.description,
        "plan_type": plan.plan_type,
        "hours_included": hours(plan.minutes),
        "price_eur": euros(plan.price_cents),
        "validity_days": plan.validity_days,
        "price_per_hour": price_per_hour(plan.price_cents, plan.minutes),
    }


def plan_listed(plan: PlanOnSale) -> dict[str, Any]:
    return {
        **plan_details(plan),
        "plan_type_display": DISPLAY_NAMES[plan.plan_type],
        "display_order": plan.display_order,
        "is_featured": plan.is_featured,
        "currency": plan.currency,
    }


class PlanRoutes:
    def __init__(self, door: Door) -> None:
        self._door = door
        self._body = b""
        self._read_at = -STALE_SECONDS
        self._reading: asyncio.Task[None] | None = None

    async def pricing_plans(self, request: Request) -> Response:
        """Browsers may keep it, but ask each time: a changed price shows everywhere within two seconds."""
        await self._door.callers.optional(request)
        return with_etag(request, Json(await self._current(), headers={"Cache-Control": "public, no-cache"}))

    async def _current(self) -> bytes:
        if self._age() > FRESH_SECONDS:
            await self._refresh()
        if self._age() > STALE_SECONDS:
            raise unavailable()
        return self._body

    async def _refresh(self) -> None:
        """One read for all who wait; a slow one is not waited for where there is a list to show meanwhile."""
        if self._reading is None:
            self._reading = asyncio.create_task(self._read())
        done, _ = await asyncio.wait([self._reading], timeout=None if self._age() > STALE_SECONDS else SLOW_SECONDS)
        for reading in done:
            reading.result()

    async def _read(self) -> None:
        began = time.monotonic()
        try:
            plans = await self._door.ask(plans_on_sale)
            self._body, self._read_at = orjson.dumps([plan_listed(plan) for plan in plans]), began
        except TransientError:
            return
        finally:
            self._reading = None

    def _age(self) -> float:
        return time.monotonic() - self._read_at
