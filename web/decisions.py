"""Requests that wait for what was asked for to be done or refused: woken by the worker that decided it.

Whoever begins to wait, or is told of, is looked at at once, together with all others; and once a second all are, since
a notification may be lost.
"""

import asyncio
from collections.abc import Collection, Sequence
from contextlib import suppress
from uuid import UUID

import structlog
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.requests import Request

from billing.errors import TransientError
from web.purchase_reads import Ask
from web.waiting import LOOK_EVERY_SECONDS, unless_gone

log: structlog.stdlib.BoundLogger = structlog.get_logger("web.decisions")

DECIDED = text("""
    SELECT id FROM consumption_act WHERE id = ANY(CAST(:ids AS uuid[])) AND state <> 'requested'
    UNION ALL
    SELECT id FROM staff_act WHERE id = ANY(CAST(:ids AS uuid[])) AND state <> 'requested'
    UNION ALL
    SELECT id FROM account_act WHERE id = ANY(CAST(:ids AS uuid[])) AND state <> 'requested'
""")


class Decisions:
    """All requests of this process that wait for an act, by its id."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self._waiting: dict[str, set[asyncio.Future[bool]]] = {}
        self._told: set[str] = set()
        self._news = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._is_over = False

    def open(self) -> None:
        self._task = asyncio.create_task(self._look_forever())

    async def close(self) -> None:
        self.end()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def end(self) -> None:
        """The process is to end: everybody is to answer with what is known, now."""
        self._is_over = True
        self._answer(list(self._waiting), is_decided=False)

    async def until_decided(self, request: Request, act_id: UUID, seconds: float) -> bool:
        """Whether the act was done or refused; False where the time was over first, or the process is to end.

        Raises ClientGoneError where the caller hangs up.
        """
        return await unless_gone(request.receive, self._until(str(act_id), seconds))

    def hear(self, ids: Sequence[str]) -> None:
        """What the channel of changes says; it may speak of what nobody waits for."""
        told = self._waiting.keys() & set(ids)
        if told:
            self._told |= told
            self._news.set()

    async def _until(self, act_id: str, seconds: float) -> bool:
        if self._is_over:
            return False
        awaited = asyncio.get_running_loop().create_future()
        others = self._waiting.setdefault(act_id, set())
        others.add(awaited)
        self.hear([act_id])
        try:
            return await asyncio.wait_for(awaited, seconds)
        except TimeoutError:
            return False
        finally:
            others.discard(awaited)
            if not others:
                self._waiting.pop(act_id, None)

    async def _look_forever(self) -> None:
        """One statement at a time: all who come while it runs share the next."""
        clock = asyncio.get_running_loop().time
        all_at = clock() + LOOK_EVERY_SECONDS
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout_at(all_at):
                    await self._news.wait()
            self._news.clear()
            asked, self._told = self._told, set()
            if clock() >= all_at:
                asked, all_at = set(self._waiting), clock() + LOOK_EVERY_SECONDS
            if asked:
                await self._try_to_look(asked)

    async def _try_to_look(self, asked: Collection[str]) -> None:
        """Whatever goes wrong, the next second has its look."""
        try:
            decided = await self._ask(lambda connection: find_decided(connection, [UUID(act_id) for act_id in asked]))
        except TransientError:
            return
        except Exception:
            log.exception("look_at_acts_broke")
        else:
            self._answer([str(act_id) for act_id in decided], is_decided=True)

    def _answer(self, ids: Collection[str], *, is_decided: bool) -> None:
        for act_id in ids:
            for awaited in self._waiting.get(act_id, ()):
                if not awaited.done():
                    awaited.set_result(is_decided)


async def find_decided(connection: AsyncConnection, ids: Sequence[UUID]) -> Sequence[UUID]:
    """Those of the acts that were done or refused."""
    return (await connection.execute(DECIDED, {"ids": list(ids)})).scalars().all()
