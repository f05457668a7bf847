"""Runs a stack: servers, then the release, then the processes; and ends it in the other direction."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import Iterable, Sequence
from functools import partial

from billing.local.child import Program
from billing.local.greeting import greeting
from billing.local.kept import Kept
from billing.local.life import Life, StartFailedError, ending_of
from billing.local.output import OURS, Output
from billing.local.service import Service
from billing.local.stack import Stack
from billing.local.watch import Watch

READY_WITHIN_SECONDS = 120.0
STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
SAME_WISH_SECONDS = 0.5
"""A terminal and `make` may both pass on one Ctrl-C; only a later signal means that somebody is in a hurry."""


def supervise(stack: Stack) -> None:
    """Returns after a clean stop; raises what else ended the run, once nothing is left of it."""
    watch = Watch.start(stack.state.lock)
    try:
        stack.state.publish(stack.published)
        asyncio.run(Supervisor(stack, watch).run())
    finally:
        stack.state.unpublish()
        watch.end()


class Supervisor:
    def __init__(self, stack: Stack, watch: Watch) -> None:
        embedded = stack.servers
        self._stack = stack
        self._watch = watch
        self._output = Output(sys.stdout, _names(stack), on_closed=self._on_closed_output)
        self._servers = [self._keep(server) for server in (embedded.postgres, embedded.valkey) if server]
        self._sandbox = [self._keep(embedded.sandbox)] if embedded.sandbox else []
        self._apps = [self._keep(app) for app in stack.apps]
        self._release: Life | None = None
        self._stopping = asyncio.Event()
        self._failure: BaseException | None = None
        self._asked_at: float | None = None
        self._is_killed = False

    async def run(self) -> None:
        for number in STOPPING:
            asyncio.get_running_loop().add_signal_handler(number, self._on_signal)
        starting = asyncio.create_task(self._start())
        asked = asyncio.create_task(self._stopping.wait())
        await asyncio.wait({starting, asked}, return_when=asyncio.FIRST_COMPLETED)
        if starting.done() and (error := starting.exception()):
            self._fail(error)
        await asked
        await self._stop(starting)
        if self._failure:
            raise self._failure
        if self._is_killed:
            raise StartFailedError("killed before everything had ended by itself")
        self._output.line(OURS, "stopped")

    async def _start(self) -> None:
        begun = time.monotonic()
        self._output.line(OURS, f"starting {', '.join(_names(self._stack))}")
        try:
            async with asyncio.timeout(READY_WITHIN_SECONDS):
                await self._bring_up()
        except TimeoutError:
            late = [kept.name for kept in self._everything if not kept.ready.is_set()]
            told = f"not ready within {READY_WITHIN_SECONDS:.0f} s: {', '.join(late)}"
            raise StartFailedError(told) from None
        for kept in self._everything:
            kept.may_give_up = False
        self._output.text(greeting(self._stack, time.monotonic() - begun))

    async def _bring_up(self) -> None:
        for kept in (*self._servers, *self._sandbox):
            kept.start()
        await _all_ready(self._servers)
        for program in self._stack.releases:
            await self._run_to_its_end(program)
        for kept in self._apps:
            kept.start()
        await _all_ready(self._everything)

    async def _run_to_its_end(self, program: Program) -> None:
        if self._stopping.is_set():
            return
        self._release = await Life.begin(program, self._watch, partial(self._output.line, program.name))
        try:
            status = await self._release.wait()
        finally:
            self._release = None
        if status != 0:
            raise StartFailedError(f"{program.name} failed ({ending_of(status)}); its own words are above")

    async def _stop(self, starting: asyncio.Task[None]) -> None:
        self._output.line(OURS, "stopping; Ctrl-C once more kills what is left")
        if self._release:
            await self._release.stop()
        starting.cancel()
        await asyncio.gather(starting, return_exceptions=True)
        for together in (self._apps, self._sandbox, self._servers):
            await asyncio.gather(*(kept.stop() for kept in together))

    @property
    def _everything(self) -> Sequence[Kept]:
        return [*self._servers, *self._sandbox, *self._apps]

    def _keep(self, service: Service) -> Kept:
        return Kept(service, self._output, self._watch, self._fail)

    def _fail(self, error: BaseException) -> None:
        self._failure = self._failure or error
        self._ask_to_stop()

    def _ask_to_stop(self) -> None:
        self._stopping.set()

    def _on_closed_output(self) -> None:
        """Whoever read us went away: what is left in the buffer must not fail once more at our own end."""
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        self._ask_to_stop()

    def _on_signal(self) -> None:
        now = time.monotonic()
        if self._asked_at is None:
            self._asked_at = now
            self._ask_to_stop()
        elif now - self._asked_at > SAME_WISH_SECONDS:
            self._is_killed = True
            self._kill()

    def _kill(self) -> None:
        for kept in self._everything:
            kept.kill()
        if self._release:
            self._release.kill()


async def _all_ready(several: Iterable[Kept]) -> None:
    for kept in several:
        await kept.ready.wait()


def _names(stack: Stack) -> list[str]:
    embedded = [stack.servers.postgres, stack.servers.valkey, stack.servers.sandbox]
    programs = [server.program for server in embedded if server] + stack.releases + [app.program for app in stack.apps]
    return [program.name for program in programs]
