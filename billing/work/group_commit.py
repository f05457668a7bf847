"""Group commit: requests that arrive while a flush runs share the next one.

No timer decides how long to wait: a lone request is flushed at once, a crowd shares one transaction. A flush is a task
of its own, so a client that goes away takes nothing with it.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from billing.errors import BillingError, DatabaseUnavailableError

Request = TypeVar("Request")
Answer = TypeVar("Answer")


@dataclass(slots=True)
class _Waiting(Generic[Request, Answer]):
    request: Request
    answer: asyncio.Future[Answer]


class GroupCommit(Generic[Request, Answer]):
    """Turns many `submit` calls into few calls of `flush`, which commits and gives an answer for each request.

    `after` hears the answers of a commit. At most `most` requests share a flush; a caller waits `patience_seconds`.
    """

    def __init__(
        self,
        flush: Callable[[Sequence[Request]], Awaitable[Sequence[Answer | BillingError]]],
        *,
        after: Callable[[Sequence[Answer]], None],
        most: int = 256,
        patience_seconds: float = 2.0,
    ) -> None:
        self._flush = flush
        self._after = after
        self._most = most
        self._patience_seconds = patience_seconds
        self._waiting: deque[_Waiting[Request, Answer]] = deque()
        self._flushing: asyncio.Task[None] | None = None

    async def submit(self, request: Request) -> Answer:
        """The committed answer for this request.

        Raises the BillingError that answers it, or DatabaseUnavailableError where nothing was confirmed in time.
        """
        waiting = _Waiting[Request, Answer](request, asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        if self._flushing is None:
            self._flushing = asyncio.create_task(self._flush_all())
        try:
            async with asyncio.timeout(self._patience_seconds):
                return await waiting.answer
        except TimeoutError:
            raise DatabaseUnavailableError("the database did not confirm in time") from None
        finally:
            self._forget_those_who_left()

    async def close(self) -> None:
        """Wait for what is on its way to the database."""
        if self._flushing is not None:
            await asyncio.wait([self._flushing], timeout=self._patience_seconds)

    async def _flush_all(self) -> None:
        try:
            while batch := self._next_batch():
                await self._flush_together(batch)
        finally:
            self._flushing = None

    def _forget_those_who_left(self) -> None:
        """A flush may hang for as long as the server is frozen; what waits behind it must not pile up until then."""
        while self._waiting and self._waiting[0].answer.done():
            self._waiting.popleft()

    def _next_batch(self) -> list[_Waiting[Request, Answer]]:
        batch: list[_Waiting[Request, Answer]] = []
        while self._waiting and len(batch) < self._most:
            waiting = self._waiting.popleft()
            if not waiting.answer.done():  # its caller gave up before anything was sent
                batch.append(waiting)
        return batch

    async def _flush_together(self, batch: Sequence[_Waiting[Request, Answer]]) -> None:
        try:
            answers = await self._flush_bounded([waiting.request for waiting in batch])
        except DatabaseUnavailableError as error:
            self._answer(batch, [DatabaseUnavailableError(*error.args) for _ in batch])
        except Exception as error:  # one bad row must not fail its neighbours: each is tried alone
            await self._flush_alone(batch, error)
        else:
            self._answer(batch, answers)

    async def _flush_alone(self, batch: Sequence[_Waiting[Request, Answer]], error: Exception) -> None:
        if len(batch) == 1:
            self._fail(batch[0], error)
            return
        for waiting in batch:
            if not waiting.answer.done():  # its caller may have given up while others were tried
                await self._flush_together([waiting])

    async def _flush_bounded(self, requests: Sequence[Request]) -> Sequence[Answer | BillingError]:
        try:
            async with asyncio.timeout(self._patience_seconds):
                return await self._flush(requests)
        except TimeoutError:
            raise DatabaseUnavailableError("the database did not answer in time") from None

    def _answer(self, batch: Sequence[_Waiting[Request, Answer]], answers: Sequence[Answer | BillingError]) -> None:
        good: list[Answer] = []
        for waiting, answer in zip(batch, answers, strict=True):
            if isinstance(answer, BillingError):
                self._fail(waiting, answer)
                continue
            good.append(answer)
            if not waiting.answer.done():
                waiting.answer.set_result(answer)
        if good:
            self._after(good)

    def _fail(self, waiting: _Waiting[Request, Answer], error: Exception) -> None:
        if not waiting.answer.done():
            waiting.answer.set_exception(error)
