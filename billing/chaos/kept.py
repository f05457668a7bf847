"""Processes that are kept running, as a supervisor does: what dies is started again a second later.

All of it happens in the main thread, for on Linux a child gets its notice when the thread that started it ends.
"""

import os
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

from billing.errors import TransientError
from billing.local.child import spawn_arguments
from billing.local.leftovers import command_of
from billing.local.service import Service
from billing.local.watch import Watch

AGAIN_AFTER_SECONDS = 1.0
READY_WITHIN_SECONDS = 60.0
LAST_WORDS = 2000


class NotReadyError(TransientError):
    """Something did not come up; the sentence ends with its own last words."""


class Kept:
    def __init__(self, name: str, service: Service, log: Path, watch: Watch) -> None:
        self.name = name
        self._service = service
        self._log = log
        self._watch = watch
        self._process: subprocess.Popen[bytes] | None = None
        self._start_at: float | None = None
        self._heard = 0
        self.deaths = 0

    @property
    def pid(self) -> int | None:
        """None while it is dead."""
        return self._process.pid if self._process else None

    def start(self) -> None:
        """Returns before it is ready."""
        self._start_at = None
        self._service.prepare()
        program = self._service.program
        self._heard = self._log.stat().st_size if self._log.exists() else 0
        with self._log.open("ab") as log, os.fdopen(_pipe_with(program.stdin), "rb") as stdin:
            self._process = subprocess.Popen(
                program.argv, stdin=stdin, stdout=log, stderr=log, **spawn_arguments(program)
            )
        self._watch.begins(self._process.pid, program.stop_signal)

    def look(self, now: float) -> None:
        """Bury what died, and start what is to live."""
        if self._process and self._process.poll() is not None:
            self._bury(self._process)
            self.deaths += 1
            self._start_at = now + AGAIN_AFTER_SECONDS
        if self._start_at is not None and now >= self._start_at:
            self.start()

    def is_ready(self) -> bool:
        if self._process is None:
            return False
        with self._log.open("rb") as log:
            log.seek(self._heard)
            for line in log.read().decode(errors="replace").splitlines():
                self._service.hear(line)
        return self._service.is_ready(self._process.pid)

    def signal(self, number: int) -> None:
        """To the process that we started, not to its children."""
        if self._process:
            with suppress(ProcessLookupError):
                os.kill(self._process.pid, number)

    def signal_group(self, number: int) -> None:
        if self._process:
            with suppress(ProcessLookupError, PermissionError):  # the latter is macOS's word for a group of zombies
                os.killpg(self._process.pid, number)

    def end(self) -> None:
        """At once, and for good."""
        self._start_at = None
        if self._process is None:
            return
        self.signal_group(signal.SIGCONT)
        self.signal(self._service.program.kill_signal)
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=10)
        self._bury(self._process)

    def last_words(self) -> str:
        return self._log.read_text(errors="replace")[-LAST_WORDS:] if self._log.exists() else ""

    def _bury(self, process: subprocess.Popen[bytes]) -> None:
        """With the children that it left behind."""
        self.signal_group(signal.SIGKILL)
        process.wait()
        self._watch.is_over(process.pid)
        self._process = None


class Keeper:
    def __init__(self, services: dict[str, Service], folder: Path, watch: Watch) -> None:
        self._kept = {name: Kept(name, service, folder / f"{name}.log", watch) for name, service in services.items()}

    def __getitem__(self, name: str) -> Kept:
        return self._kept[name]

    def look(self) -> None:
        for kept in self._kept.values():
            kept.look(time.monotonic())

    def deaths(self) -> dict[str, int]:
        return {name: kept.deaths for name, kept in self._kept.items() if kept.deaths}

    def bring_up(self, *names: str) -> None:
        """Raises NotReadyError where one of them does not come."""
        for name in names:
            self._kept[name].start()
        deadline = time.monotonic() + READY_WITHIN_SECONDS
        while late := [name for name in names if not self._kept[name].is_ready()]:
            if time.monotonic() > deadline:
                kept = self._kept[late[0]]
                raise NotReadyError(f"{kept.name} is not ready: {kept.last_words()}")
            self.look()
            time.sleep(0.05)

    def end(self) -> None:
        """Those that were started last end first."""
        for kept in reversed(self._kept.values()):
            kept.end()


def children_of(pid: int) -> list[int]:
    listed = subprocess.run(["ps", "-A", "-o", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
    pairs = [line.split() for line in listed.splitlines()]
    return [int(child) for child, parent in pairs if int(parent) == pid and command_of(int(child))]


def _pipe_with(content: bytes) -> int:
    """A configuration fits into a pipe's buffer, so nobody has to wait for it to be read."""
    reading, writing = os.pipe()
    with os.fdopen(writing, "wb") as file:
        file.write(content)
    return reading
