"""Requests that wait for a purchase: woken by the worker that changed it, read from its row.

A notification may be lost, so once a second one statement looks at the versions of all purchases waited for. Nothing
else depends on Valkey here.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TypeVar
from uuid import UUID

import structlog
from starlette.types import Receive

from billing.errors import TransientError
from billing.reads.purchases import PurchaseView, find_versions
from web.errors import ClientGoneError
from web.purchase_reads import Ask, PurchaseReads

T = TypeVar("T")

log: structlog.stdlib.BoundLogger = structlog.get_logger("web.waiting")

LOOK_EVERY_SECONDS = 1.0


class Follower:
    """One request that follows one purchase, and what it has seen of it."""

    def __init__(self, purchase_id: UUID, reads: PurchaseReads) -> None:
        self.purchase_id = purchase_id
        self.seen: PurchaseView | None = None
        self._reads = reads
        self._news = asyncio.Event()

    async def read(self) -> PurchaseView | None:
        """Look at the row; what comes while that takes its time is news again."""
        self._news.clear()
        self.seen = await self._reads.read(self.purchase_id)
        return self.seen

    async def news(self, within_seconds: float | None = None) -> bool:
        """Wait until there may be something new; False where the time was over first."""
        with suppress(TimeoutError):
            async with asyncio.timeout(within_seconds):
                return await self._news.wait()
        return False

    def wake(self) -> None:
        self._news.set()


class Waiting:
    """All requests of this process that wait, by their purchase."""

    def __init__(self, ask: Ask, patience_seconds: float) -> None:
        self._ask = ask
        self._reads = PurchaseReads(ask, patience_seconds)
        self._followers: dict[str, set[Follower]] = {}
        self._looking: asyncio.Task[None] | None = None
        self.is_over = False
        """The process is to end: nobody waits any longer."""

    def open(self) -> None:
        self._looking = asyncio.create_task(self._look_each_second())

    async def close(self) -> None:
        self.end()
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.gather(self._looking, return_exceptions=True)

    def end(self) -> None:
        """Everybody is to answer with what is known, now."""
        self.is_over = True
        for followers in self._followers.values():
            _wake(followers)

    @contextmanager
    def following(self, purchase_id: UUID) -> Iterator[Follower]:
        """From here on no change is missed: follow first, then read."""
        follower = Follower(purchase_id, self._reads)
        others = self._followers.setdefault(str(purchase_id), set())
        others.add(follower)
        try:
            yield follower
        finally:
            others.discard(follower)
            if not others:
                self._followers.pop(str(purchase_id), None)

    async def until(self, follower: Follower, is_awaited: Callable[[PurchaseView], bool], seconds: float) -> bool:
        """Read on until the purchase is as awaited; False where the time was over first, or the process is to end."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while not _is(follower.seen, is_awaited) and not self.is_over:
                    await follower.news()
                    with suppress(TransientError):  # the look finds it changed when the database is back
                        await follower.read()
        return _is(follower.seen, is_awaited)

    def hear(self, ids: Sequence[str]) -> None:
        """What the channel of changes says; it may speak of what nobody waits for."""
        for purchase_id in ids:
            _wake(self._followers.get(purchase_id, ()))

    async def _look_each_second(self) -> None:
        while True:
            await asyncio.sleep(LOOK_EVERY_SECONDS)
            if self._followers:
                await self._try_to_look()

    async def _try_to_look(self) -> None:
        """Whatever goes wrong, the next second has its look."""
        try:
            await self._look()
        except TransientError:
            return
        except Exception:
            log.exception("look_at_purchases_broke")

    async def _look(self) -> None:
        ids = [UUID(purchase_id) for purchase_id in self._followers]
        versions = await self._ask(lambda connection: find_versions(connection, ids))
        for purchase_id, version in versions.items():
            followers = self._followers.get(str(purchase_id), ())
            _wake(one for one in followers if one.seen is None or one.seen.version != version)


def _wake(followers: Iterable[Follower]) -> None:
    for follower in followers:
        follower.wake()


def _is(seen: PurchaseView | None, is_awaited: Callable[[PurchaseView], bool]) -> bool:
    return seen is not None and is_awaited(seen)


async def unless_gone(receive: Receive, awaited: Awaitable[T]) -> T:
    """The result. Raises ClientGoneError where the caller hangs up first: nobody is left to wait for."""
    waiting, gone = asyncio.ensure_future(awaited), asyncio.ensure_future(hung_up(receive))
    try:
        await asyncio.wait({waiting, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not waiting.done():
            raise ClientGoneError
        return waiting.result()
    finally:
        waiting.cancel()
        gone.cancel()


async def hung_up(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        continue
