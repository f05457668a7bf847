"""One run of a program, from its start until nothing of it is left."""

import asyncio
import os
import signal
from asyncio.subprocess import DEVNULL, Process
from collections.abc import Callable
from contextlib import suppress
from typing import Self

from billing.errors import BillingError
from billing.local.child import Program, spawn_arguments
from billing.local.output import Lines
from billing.local.watch import Watch

CHUNK = 64 * 1024
LAST_WORDS_SECONDS = 1.0


class StartFailedError(BillingError):
    """Something did not come up; what it said itself is in the output above."""


class Life:
    """Ended by `stop` or `kill`, or by itself; `wait` returns its status after the last line of its output."""

    def __init__(self, program: Program, process: Process, watch: Watch, output: asyncio.Task[None]) -> None:
        self.pid = process.pid
        self._program = program
        self._process = process
        self._watch = watch
        self._output = output

    @classmethod
    async def begin(cls, program: Program, watch: Watch, hear: Callable[[str], None]) -> Self:
        reading, writing = os.pipe()
        stdin = _pipe_with(program.stdin) if program.stdin else DEVNULL
        try:
            process = await asyncio.create_subprocess_exec(
                *program.argv, stdin=stdin, stdout=writing, stderr=writing, **spawn_arguments(program)
            )
        except OSError as error:
            os.close(reading)
            raise StartFailedError(f"{program.name} cannot be started: {error.strerror}") from None
        finally:
            os.close(writing)
            if program.stdin:
                os.close(stdin)
        watch.begins(process.pid, program.stop_signal)
        return cls(program, process, watch, asyncio.create_task(_pump(reading, hear)))

    async def wait(self) -> int:
        status = await self._process.wait()
        self._signal_group(signal.SIGKILL)  # children that it left behind
        self._watch.is_over(self.pid)
        with suppress(TimeoutError):
            await asyncio.wait_for(self._output, LAST_WORDS_SECONDS)
        return status

    async def stop(self) -> None:
        with suppress(ProcessLookupError):
            self._process.send_signal(self._program.stop_signal)
        try:
            await asyncio.wait_for(self._process.wait(), self._program.grace_seconds)
        except TimeoutError:
            self.kill()

    def kill(self) -> None:
        self._signal_group(signal.SIGKILL)

    def _signal_group(self, signal_number: int) -> None:
        with suppress(ProcessLookupError, PermissionError):  # the latter is macOS's word for a group of zombies
            os.killpg(self.pid, signal_number)


def ending_of(status: int) -> str:
    return f"exit status {status}" if status >= 0 else f"killed by {signal.Signals(-status).name}"


def _pipe_with(content: bytes) -> int:
    """A configuration fits into a pipe's buffer, so nobody has to wait for it to be read."""
    reading, writing = os.pipe()
    with os.fdopen(writing, "wb") as file:
        file.write(content)
    return reading


async def _pump(descriptor: int, hear: Callable[[str], None]) -> None:
    reader = asyncio.StreamReader()
    pipe = os.fdopen(descriptor, "rb", buffering=0)
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), pipe
    )
    lines = Lines()
    try:
        while chunk := await reader.read(CHUNK):
            for line in lines.feed(chunk):
                hear(line)
    finally:
        for line in lines.end():
            hear(line)
        transport.close()
