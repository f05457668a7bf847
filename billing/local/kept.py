"""A service that is kept running: what dies is started again, after a wait that grows."""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress

from billing.local.life import Life, StartFailedError, ending_of
from billing.local.output import OURS, Output
from billing.local.service import Service
from billing.local.watch import Watch

FIRST_WAIT_SECONDS, LONGEST_WAIT_SECONDS = 0.2, 10.0
STEADY_AFTER_SECONDS = 10.0
"""One that lived so long starts again as if it had never died."""
DEATHS_BEFORE_READY = 3
PROBE_EVERY_SECONDS = 0.05


class Kept:
    def __init__(self, service: Service, output: Output, watch: Watch, fail: Callable[[BaseException], None]) -> None:
        self.name = service.program.name
        self.ready = asyncio.Event()
        self.may_give_up = True
        self._service = service
        self._output = output
        self._watch = watch
        self._fail = fail
        self._stopping = asyncio.Event()
        self._life: Life | None = None
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = self._failing_loudly(asyncio.create_task(self._keep()))

    async def stop(self) -> None:
        self._stopping.set()
        if self._life:
            await self._life.stop()
        if self._task:
            await asyncio.wait([self._task])

    def kill(self) -> None:
        self._stopping.set()
        if self._life:
            self._life.kill()

    async def _keep(self) -> None:
        deaths = 0
        while not self._stopping.is_set():
            born = time.monotonic()
            status = await self._live()
            deaths = 1 if time.monotonic() - born > STEADY_AFTER_SECONDS else deaths + 1
            if not self._stopping.is_set():
                await self._mourn(deaths, status)

    async def _live(self) -> int:
        await asyncio.to_thread(self._service.prepare)
        self._life = await Life.begin(self._service.program, self._watch, self._hear)
        if self._stopping.is_set():  # told so while we were starting
            self._life.kill()
        probe = self._failing_loudly(asyncio.create_task(self._probe(self._life.pid)))
        try:
            return await self._life.wait()
        finally:
            self._life = None
            probe.cancel()
            self.ready.clear()

    async def _mourn(self, deaths: int, status: int) -> None:
        if self.may_give_up and deaths >= DEATHS_BEFORE_READY:
            raise StartFailedError(f"{self.name} keeps ending ({ending_of(status)}); its own words are above")
        pause = min(FIRST_WAIT_SECONDS * 2 ** min(deaths - 1, 10), LONGEST_WAIT_SECONDS)
        self._output.line(OURS, f"{self.name} ended ({ending_of(status)}); it starts again in {pause:.1f} s")
        with suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), pause)

    async def _probe(self, pid: int) -> None:
        while not await asyncio.to_thread(self._service.is_ready, pid):
            await asyncio.sleep(PROBE_EVERY_SECONDS)
        self.ready.set()

    def _hear(self, line: str) -> None:
        self._service.hear(line)
        self._output.line(self.name, line)

    def _failing_loudly(self, task: asyncio.Task[None]) -> asyncio.Task[None]:
        def tell(done: asyncio.Task[None]) -> None:
            if not done.cancelled() and (error := done.exception()):
                self._fail(error)

        task.add_done_callback(tell)
        return task
