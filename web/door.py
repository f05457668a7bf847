"""What every route shares: the database, the two group commits, the hints, and who is asking."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import TypeVar

from sqlalchemy.ext.asyncio import AsyncConnection

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
from web.auth import Authenticator
from web.queue import HintQueue

T = TypeVar("T")

PATIENCE_SECONDS = 2.0
"""The longest wait for the database before the answer is 503."""

CONNECTIONS = 6
"""Two for the group commits, the others for reads."""


class Door:
    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.vault = Vault(settings.secret_key)
        self.callers = Authenticator(settings)
        self.hints = HintQueue(settings)
        self._engine = connect_async(settings.database_url, "web", pool_size=CONNECTIONS)
        # A read is one statement: without BEGIN and COMMIT around it, it is one round trip as well.
        self._reads = self._engine.execution_options(isolation_level="AUTOCOMMIT")
        self._give_up_after = timedelta(minutes=settings.purchase_give_up_minutes)
        self.purchases = GroupCommit(
            self._accept_purchases, after=self._hint_purchases, most=256, patience_seconds=PATIENCE_SECONDS
        )
        self.events = GroupCommit(
            self._accept_events, after=self._hint_events, most=256, patience_seconds=PATIENCE_SECONDS
        )

    def open(self) -> None:
        self.hints.start()

    async def close(self) -> None:
        await asyncio.gather(self.purchases.close(), self.events.close())
        await asyncio.to_thread(self.hints.stop)
        await self._engine.dispose()

    async def ask(self, query: Callable[[AsyncConnection], Awaitable[T]]) -> T:
        """The answer of a read. Raises DatabaseUnavailableError when it takes too long.

        It runs as a task of its own: a driver that waits for a frozen server does not give up when it is told to.
        """
        asking = asyncio.create_task(self._ask(query))
        done, _ = await asyncio.wait([asking], timeout=PATIENCE_SECONDS)
        if done:
            return asking.result()
        asking.add_done_callback(_forget)
        asking.cancel()
        raise DatabaseUnavailableError("the database did not answer in time")

    async def _ask(self, query: Callable[[AsyncConnection], Awaitable[T]]) -> T:
        try:
            return await self._ask_once(query)
        except DatabaseUnavailableError:  # perhaps only this connection: one of the pool that a restart has cut
            return await self._ask_once(query)

    async def _ask_once(self, query: Callable[[AsyncConnection], Awaitable[T]]) -> T:
        async with begin_async(self._reads) as connection:
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
