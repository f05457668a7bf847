"""What every route shares: the database, the group commits, the hints, and who is asking."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import TypeVar

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from starlette.requests import Request

from billing.config import Settings
from billing.db import begin_async, connect_async
from billing.errors import BillingError, DatabaseUnavailableError
from billing.messages import EventsWaiting, PreparePayment
from billing.purchases.accept import AcceptedPurchase, PurchaseRequest
from billing.purchases.accept import accept as accept_purchases
from billing.secrets import Vault
from billing.webhooks.accept import IncomingEvent
from billing.webhooks.accept import accept as accept_events
from billing.work.group_commit import GroupCommit
from web.auth import Authenticator, Identity
from web.counts import Counts
from web.decisions import Decisions
from web.hour_acceptance import HourAcceptance
from web.limits import PurchaseLimits
from web.links import Links
from web.queue import HintQueue
from web.subscription import Subscription
from web.waiting import Waiting

T = TypeVar("T")

PATIENCE_SECONDS = 2.0
"""The longest wait for the database before the answer is 503."""

CONNECTIONS = 6
"""Three for the group commits, the others for reads and acts."""


class Door:
    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.vault = Vault(settings.secret_key)
        self.callers = Authenticator(settings)
        self.hints = HintQueue(settings)
        self._engine = connect_async(settings.database_url, "web", pool_size=CONNECTIONS)
        # A read is one statement: without BEGIN and COMMIT around it, it is one round trip as well.
        self._reads = self._engine.execution_options(isolation_level="AUTOCOMMIT")
        self.waiting = Waiting(self.ask, PATIENCE_SECONDS)
        self.decisions = Decisions(self.ask)
        self._changes = Subscription(settings.redis_url, self.waiting.hear, self.decisions.hear)
        self._give_up_after = timedelta(minutes=settings.purchase_give_up_minutes)
        self.purchases = GroupCommit(
            self._accept_purchases, after=self._hint_purchases, most=256, patience_seconds=PATIENCE_SECONDS
        )
        self.events = GroupCommit(
            self._accept_events, after=self._hint_events, most=256, patience_seconds=PATIENCE_SECONDS
        )
        self.hours = HourAcceptance(self.change, self.hints.send, PATIENCE_SECONDS)
        self.counts = Counts(settings)
        self.limits = PurchaseLimits(settings, self.counts, self.purchases, self.ask)
        self.links = Links(self.ask, self.change, self.hints.send)

    def open(self) -> None:
        self.hints.start()
        self.waiting.open()
        self.decisions.open()
        self._changes.open()

    def end(self) -> None:
        """The process is to end: nobody waits any longer."""
        self.waiting.end()
        self.decisions.end()

    async def close(self) -> None:
        await asyncio.gather(self._changes.close(), self.waiting.close(), self.decisions.close())
        await asyncio.gather(self.purchases.close(), self.events.close(), self.hours.close())
        await self.counts.close()
        await asyncio.to_thread(self.hints.stop)
        await self._engine.dispose()

    async def student(self, request: Request) -> Identity:
        """The caller of a route about a student's own hours: what guests bought for a proven address is theirs."""
        identity = await self.callers.required(request)
        await self.links.greet(identity, request.scope["request_id"])
        return identity

    async def ask(self, query: Callable[[AsyncConnection], Awaitable[T]]) -> T:
        """The answer of a read. Raises DatabaseUnavailableError when it takes too long."""
        return await self._bounded(self._reads, query)

    async def change(self, act: Callable[[AsyncConnection], Awaitable[T]]) -> T:
        """The answer of an act in a transaction; where the connection is lost it is done again, so it must bear that.

        Raises DatabaseUnavailableError when it takes too long.
        """
        return await self._bounded(self._engine, act)

    async def _bounded(self, engine: AsyncEngine, query: Callable[[AsyncConnection], Awaitable[T]]) -> T:
        """As a task of its own: a driver that waits for a frozen server does not give up when it is told to."""
        asking = asyncio.create_task(self._ask(engine, query))
        try:
            done, _ = await asyncio.wait([asking], timeout=PATIENCE_SECONDS)
        finally:
            if not asking.done():
                asking.add_done_callback(_forget)
                asking.cancel()
        if not done:
            raise DatabaseUnavailableError("the database did not answer in time")
        return asking.result()

    async def _ask(self, engine: AsyncEngine, query: Callable[[AsyncConnection], Awaitable[T]]) -> T:
        try:
            return await self._ask_once(engine, query)
        except DatabaseUnavailableError:  # perhaps only this connection: one of the pool that a restart has cut
            return await self._ask_once(engine, query)

    async def _ask_once(self, engine: AsyncEngine, query: Callable[[AsyncConnection], Awaitable[T]]) -> T:
        async with begin_async(engine) as connection:
            return await query(connection)

    async def _accept_purchases(self, requests: Sequence[PurchaseRequest]) -> Sequence[AcceptedPurchase | BillingError]:
        async with begin_async(self._engine) as connection:
            return await accept_purchases(connection, requests, give_up_after=self._give_up_after)

    async def _accept_events(self, events: Sequence[IncomingEvent]) -> Sequence[BillingError | None]:
        async with begin_async(self._engine) as connection:
            return await accept_events(connection, events)

    def _hint_purchases(self, accepted: Sequence[AcceptedPurchase]) -> None:
        for purchase in accepted:
            if not purchase.is_replay:
                self.hints.send(PreparePayment(purchase_id=purchase.id))

    def _hint_events(self, accepted: Sequence[None]) -> None:
        self.hints.send(EventsWaiting())


def _forget(asking: asyncio.Task[T]) -> None:
    """Nobody waits for this answer any more, nor for its error."""
    if not asking.cancelled():
        asking.exception()
