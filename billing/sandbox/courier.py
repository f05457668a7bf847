"""Carries due events to the webhook in the background: signed anew each time, some at once, again until they are taken.

Page: "Receive Stripe events in your webhook endpoint" of Stripe's documentation.
"""

import asyncio
import logging
from dataclasses import dataclass, field

from stripe import WebhookSignature

from billing.sandbox.clock import Clock
from billing.sandbox.deliveries import Deliveries, Delivery
from billing.sandbox.webhook_line import LineError, WebhookLine

_LOG = logging.getLogger(__name__)
IDLE_SECONDS = 1.0


@dataclass
class Courier:
    deliveries: Deliveries
    clock: Clock
    webhook_url: str
    secret: str
    _flying: dict[int, asyncio.Task[None]] = field(default_factory=dict)
    _lines: list[WebhookLine] = field(default_factory=list)
    _wake: asyncio.Event = field(default_factory=asyncio.Event)

    def wake(self) -> None:
        """There may be something to carry."""
        self._wake.set()

    @property
    def has_work(self) -> bool:
        """What was refused and waits for its next time is none, nor is anything while deliveries are paused."""
        return bool(self._flying) or (not self.deliveries.plan.paused and bool(self.deliveries.due(1, set())))

    async def run(self) -> None:
        try:
            while True:
                self._wake.clear()
                self._start_due()
                await self._rest()
        finally:
            await self.land(0)
            for line in self._lines:
                line.close()

    async def land(self, within_seconds: float) -> None:
        """Nothing is on its way any more; what was not there in time is given up, and stays due."""
        if self._flying:
            _, late = await asyncio.wait(self._flying.values(), timeout=within_seconds)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    async def send(self, payload: str) -> int | None:
        """The status of the answer, None where there was none."""
        line = self._lines.pop() if self._lines else WebhookLine(self.webhook_url)
        header = WebhookSignature.generate_signature_header(payload, self.secret, self.clock.now())
        headers = {"Content-Type": "application/json; charset=utf-8", "Stripe-Signature": header, **_USER_AGENT}
        try:
            return await line.post(payload.encode(), headers)
        except LineError as error:
            _LOG.info("no answer from %s: %s", self.webhook_url, error)
            return None
        finally:
            self._lines.append(line)

    def _start_due(self) -> None:
        free = self.deliveries.plan.parallel - len(self._flying)
        if self.deliveries.plan.paused or free <= 0:
            return
        for delivery in self.deliveries.due(free, set(self._flying)):
            task = asyncio.create_task(self._carry(delivery))
            self._flying[delivery.seq] = task

    async def _rest(self) -> None:
        """Until something is due, a line is free, or someone says that things have changed."""
        next_seconds = self.deliveries.seconds_until_next()
        try:
            async with asyncio.timeout(
                IDLE_SECONDS if next_seconds is None else min(IDLE_SECONDS, next_seconds + 0.001)
            ):
                await self._wake.wait()
        except TimeoutError:
            return

    async def _carry(self, delivery: Delivery) -> None:
        try:
            statuses = [await self.send(delivery.body) for _ in range(delivery.copies)]
            if any(status is not None and 200 <= status < 300 for status in statuses):
                self.deliveries.delivered(delivery)
            else:
                self.deliveries.put_off(delivery)
        finally:
            del self._flying[delivery.seq]
            self.wake()


_USER_AGENT = {"User-Agent": "Stripe/1.0 (+https://stripe.com/docs/webhooks)"}
