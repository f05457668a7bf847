"""How calls to Stripe are held back at this moment, as figures for Prometheus."""

import asyncio
from collections.abc import Iterator

from billing.brakes import BrakesAwayError, BrakesView, Limits, SharedBrakes
from billing.config import Settings
from web.exposition import Gauge, gauge, gauge_by


class BrakeFigures:
    def __init__(self, settings: Settings) -> None:
        self._limits = Limits.of(settings)
        self._brakes = SharedBrakes(settings.redis_url, self._limits)

    async def view(self) -> BrakesView | None:
        """None where Valkey is away: then each worker brakes by itself, and nobody knows how all of them do."""
        try:
            return await asyncio.to_thread(self._brakes.view)
        except BrakesAwayError:
            return None

    async def gauges(self) -> list[Gauge]:
        view = await self.view()
        return [] if view is None else [*_gauges_of(view, self.calls_per_second(view))]

    def calls_per_second(self, view: BrakesView) -> float:
        """How fast Stripe may be called now."""
        return self._limits.all_calls.per_second * view.rate_share


def _gauges_of(view: BrakesView, rate: float) -> Iterator[Gauge]:
    """What is recent is of the last twenty seconds."""
    yield gauge(
        "billing_stripe_paused_seconds", "For how long nothing is sent to Stripe; 0: it is.", paused_seconds(view)
    )
    yield gauge("billing_stripe_recent_calls", "Calls to Stripe whose outcome is known.", view.calls)
    yield gauge("billing_stripe_failing_share", "How many of the recent calls Stripe failed.", view.failing_share)
    yield gauge("billing_stripe_calls_per_second", "How fast Stripe may be called now.", rate)
    yield gauge_by("lane", "billing_stripe_recent_waits", "Calls that found no place at once.", view.waits)
    yield gauge_by("lane", "billing_stripe_recent_put_off", "Calls that found none in time.", view.put_off)


def paused_seconds(view: BrakesView) -> float:
    """Never 0 in a pause, however young it is."""
    return max(view.paused_seconds, 0.001) if view.is_paused else 0.0
