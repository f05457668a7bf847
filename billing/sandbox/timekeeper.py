"""Keeps the account's appointments when their time, by the sandbox's clock, has come."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from billing.sandbox.account import Account
from billing.sandbox.courier import Courier
from billing.sandbox.resources import dispute_stages, payment_attempts, refund_outcomes, renewals, subscription_ends

ACTIONS: Mapping[str, Callable[[Account, str], None]] = {
    payment_attempts.SETTLE: payment_attempts.settle,
    refund_outcomes.SETTLE: refund_outcomes.settle,
    dispute_stages.JUDGE: dispute_stages.judge,
    dispute_stages.EXPIRE: dispute_stages.expire,
    subscription_ends.EXPIRE: subscription_ends.expire,
    subscription_ends.END: subscription_ends.end_as_planned,
    renewals.UPCOMING: renewals.announce,
    renewals.RENEW: renewals.renew,
    renewals.FINALIZE: renewals.finalize,
    renewals.RETRY: renewals.retry,
    renewals.UNPAUSE: renewals.unpause,
}
DURATIONS = (payment_attempts.SETTLE, refund_outcomes.SETTLE, dispute_stages.JUDGE)
"""Those that are kept so and so long after they were made; the others name a date."""
IDLE_SECONDS = 1.0


@dataclass
class Timekeeper:
    account: Account
    courier: Courier
    _wake: asyncio.Event = field(default_factory=asyncio.Event)

    def wake(self) -> None:
        """The clock was moved, or there is a new appointment."""
        self._wake.set()

    @property
    def has_work(self) -> bool:
        return self.account.schedule.next_due() is not None

    def move_to(self, offset_seconds: int) -> None:
        """Back in time a bank that has begun to decide needs no longer for that than it would have."""
        clock, schedule = self.account.clock, self.account.schedule
        back = clock.offset_seconds - offset_seconds
        with self.account.database.transaction():
            clock.move_to(offset_seconds)
            if back > 0:
                schedule.bring_forward(DURATIONS, back)

    async def run(self) -> None:
        while True:
            self._wake.clear()
            while self._keep_next():
                self.courier.wake()
                await asyncio.sleep(0)
            await self._rest()

    def _keep_next(self) -> bool:
        appointment = self.account.schedule.next_due()
        if appointment is None:
            return False
        with self.account.database.transaction(), self.account.clock.at(appointment.due):
            ACTIONS[appointment.action](self.account, appointment.subject)
            self.account.schedule.done(appointment)
        return True

    async def _rest(self) -> None:
        next_seconds = self.account.schedule.seconds_until_next()
        try:
            async with asyncio.timeout(
                IDLE_SECONDS if next_seconds is None else min(IDLE_SECONDS, next_seconds + 0.001)
            ):
                await self._wake.wait()
        except TimeoutError:
            return
