"""Reads of purchases, shared: all that are asked for while one statement runs come with the next."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol, TypeVar
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from billing.reads.purchases import PurchaseView, find_purchases
from billing.work.group_commit import GroupCommit

T = TypeVar("T")

MOST_AT_ONCE = 256


class Ask(Protocol):
    async def __call__(self, query: Callable[[AsyncConnection], Awaitable[T]], /) -> T: ...


class PurchaseReads:
    """A thousand requests that wake for one purchase cost one row of one statement."""

    def __init__(self, ask: Ask, patience_seconds: float) -> None:
        self._ask = ask
        self._group = GroupCommit(
            self._read, after=lambda _: None, most=MOST_AT_ONCE, patience_seconds=patience_seconds
        )
        self._next: dict[UUID, asyncio.Task[PurchaseView | None]] = {}

    async def read(self, purchase_id: UUID) -> PurchaseView | None:
        """The row as it is now, not as a statement found it that was sent before. Raises DatabaseUnavailableError."""
        if purchase_id not in self._next:
            self._next[purchase_id] = task = asyncio.create_task(self._group.submit(purchase_id))
            task.add_done_callback(lambda done: self._ended(purchase_id, done))
        return await asyncio.shield(self._next[purchase_id])

    async def _read(self, ids: Sequence[UUID]) -> Sequence[PurchaseView | None]:
        for purchase_id in ids:
            self._next.pop(purchase_id, None)  # who asks from now on wants a later statement
        found = await self._ask(lambda connection: find_purchases(connection, ids))
        return [found.get(purchase_id) for purchase_id in ids]

    def _ended(self, purchase_id: UUID, done: asyncio.Task[PurchaseView | None]) -> None:
        if self._next.get(purchase_id) is done:
            del self._next[purchase_id]
        if not done.cancelled():
            done.exception()  # all who asked may have gone
