"""Real servers for tests: started once in a temporary folder, gone with the process that started them.

Start them from the main thread: on Linux a server ends with the thread that started it.
"""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from billing.local.child import spawn_arguments
from billing.local.ports import free_port
from billing.local.postgres import Postgres
from billing.local.service import Service
from billing.local.valkey import Valkey
from tests.support.processes import family_of

FAST_POSTGRES = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "log_min_messages": "log",
    # What is known of the tables of one test would make bad plans for the next.
    "autovacuum": "off",
}
FORGETFUL_VALKEY = {"appendonly": "no", "databases": "64"}
READY_WITHIN_SECONDS = 30.0


class RunningServer:
    """A server that a test may stop, start on the same port, kill, freeze and thaw."""

    def __init__(self, description: Service, log: Path) -> None:
        self._description = description
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None, "the server is stopped"
        return self._process.pid

    def poll(self) -> int | None:
        """The status of a server that ended by itself."""
        return self._process.poll() if self._process else None

    @property
    def log(self) -> str:
        return self._log.read_text(errors="replace")

    def start(self) -> None:
        """Returns when the server answers; does nothing where it runs."""
        if self._process is not None:
            return
        self._description.prepare()
        program = self._description.program
        with self._log.open("ab") as log:
            arguments = spawn_arguments(program)
            self._process = subprocess.Popen(
                program.argv, stdin=subprocess.PIPE, stdout=log, stderr=subprocess.STDOUT, **arguments
            )
        assert self._process.stdin is not None
        with self._process.stdin as stdin:
            stdin.write(program.stdin)
        self._wait_until_ready()

    def stop(self) -> None:
        """Cleanly: clients are cut off, what was committed is kept."""
        self._end(self._description.program.stop_signal)

    def kill(self) -> None:
        """At once, as a crash does."""
        self._end(self._description.program.kill_signal)

    def freeze(self) -> None:
        """Connections stay open and nothing answers."""
        for pid in family_of(self.pid):
            _send(pid, signal.SIGSTOP)

    def thaw(self) -> None:
        if self._process is not None:
            for pid in family_of(self.pid):
                _send(pid, signal.SIGCONT)

    def _end(self, signal_number: int) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        family = family_of(process.pid)
        process.send_signal(signal_number)
        for pid in family:
            _send(pid, signal.SIGCONT)
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            for pid in family:
                _send(pid, signal.SIGKILL)
            process.wait()

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + READY_WITHIN_SECONDS
        while not self._description.is_ready(self.pid):
            assert self._process is not None
            assert self._process.poll() is None, f"the server ended at once:\n{self.log}"
            assert time.monotonic() < deadline, f"the server is not ready:\n{self.log}"
            time.sleep(0.01)


class RunningPostgres(RunningServer):
    def __init__(self, description: Postgres, log: Path) -> None:
        super().__init__(description, log)
        self._postgres = description
        self.port = description.port
        self.create_database = description.create_database

    def url(self, database: str = "billing") -> str:
        return self._postgres.url(database)


class RunningValkey(RunningServer):
    def __init__(self, description: Valkey, log: Path) -> None:
        super().__init__(description, log)
        self._valkey = description
        self.port = description.port

    def url(self, database: int = 0) -> str:
        return self._valkey.url(database)


@contextmanager
def running_postgres(**options: str) -> Iterator[RunningPostgres]:
    """Without the care for a power cut that `billing up` takes; a killed server still recovers.

    It may forget its last half second then, unless `synchronous_commit="on"` is among the options.
    """
    with _temporary_folder() as folder:
        server = RunningPostgres(Postgres(folder, free_port(), {**FAST_POSTGRES, **options}), folder / "log")
        with _running(server):
            yield server


@contextmanager
def running_valkey() -> Iterator[RunningValkey]:
    """In memory only: a restarted server is an empty one. It has 64 databases, for tests that run side by side."""
    with _temporary_folder() as folder:
        server = RunningValkey(Valkey(folder, free_port(), FORGETFUL_VALKEY), folder / "log")
        with _running(server):
            yield server


@contextmanager
def _running(server: RunningServer) -> Iterator[None]:
    try:
        server.start()
        yield
    finally:
        server.kill()


@contextmanager
def _temporary_folder() -> Iterator[Path]:
    """PostgreSQL's own account enters it, and reads nothing but its own folder."""
    folder = Path(tempfile.mkdtemp(prefix="billing-tests-"))
    folder.chmod(0o711)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _send(pid: int, signal_number: int) -> None:
    try:
        os.kill(pid, signal_number)
    except ProcessLookupError:
        return
