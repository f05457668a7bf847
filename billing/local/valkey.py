"""An embedded Valkey: its data in the state folder, its password in no list of processes."""

import os
import re
import shutil
import signal
import socket
from collections.abc import Mapping
from pathlib import Path

from billing.local.binaries import find_valkey
from billing.local.child import Program
from billing.local.leftovers import stop_leftover
from billing.local.ports import LOOPBACK
from billing.local.secret_file import kept_password
from billing.local.service import Service

Options = Mapping[str, str]
KEPT: Options = {"appendonly": "yes", "appendfsync": "everysec"}
"""What is acknowledged survives a kill of the server, and all but a second of it a power cut."""


class Valkey(Service):
    def __init__(self, state: Path, port: int, options: Options = KEPT) -> None:
        self._executable = find_valkey()
        self._data = state.resolve() / "valkey"
        self._pid_file = state.resolve() / "valkey.pid"
        self._password = kept_password(state / "valkey.password")
        self._options = options
        self.port = port

    def url(self, database: int = 0) -> str:
        return f"redis://:{self._password}@{LOOPBACK}:{self.port}/{database}"

    def wipe(self) -> None:
        self._stop_leftover()
        if self._data.exists():
            shutil.rmtree(self._data)

    def prepare(self) -> None:
        self._data.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._stop_leftover()

    @property
    def program(self) -> Program:
        return Program(
            name="valkey",
            argv=(self._executable, "-"),
            environment={"LC_ALL": "C"},
            stdin=self._configuration().encode(),
            stop_signal=signal.SIGTERM,
            grace_seconds=10,
        )

    def is_ready(self, pid: int) -> bool:
        del pid  # the password tells it from any other server on this port
        try:
            with socket.create_connection((LOOPBACK, self.port), timeout=2) as connection:
                connection.sendall(f"AUTH {self._password}\r\nPING\r\nQUIT\r\n".encode())
                return b"+PONG" in b"".join(iter(lambda: connection.recv(1024), b""))
        except OSError:
            return False

    def _stop_leftover(self) -> None:
        stop_leftover(self._pid_file, mark=Path(self._executable).name)

    def _configuration(self) -> str:
        lines = {
            "port": str(self.port),
            "bind": LOOPBACK,
            "dir": _quoted(self._data),
            "pidfile": _quoted(self._pid_file),
            "requirepass": self._password,
            "save": '""',
            "maxmemory-policy": "noeviction",
            "loglevel": "warning",
            **self._options,
        }
        return "".join(f"{name} {value}\n" for name, value in lines.items())


def _quoted(path: Path) -> str:
    return '"' + re.sub(r'(["\\])', r"\\\1", os.fspath(path)) + '"'
