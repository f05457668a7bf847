"""The state folder: one supervisor at a time, and what other commands must know of the one that runs."""

import fcntl
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from billing.config import SERVICES_FILE
from billing.errors import ConfigurationError
from billing.local.secret_file import write_private

ENTERABLE = 0o711
"""As root: PostgreSQL's account passes through to its own folder, and reads nothing on the way."""
PRIVATE = 0o700
LAST_RUN_ENDS_WITHIN_SECONDS = 10.0


class StateFolder:
    """Held for as long as the lock is: by us, and by the guard until all that we started is gone."""

    def __init__(self, path: Path, lock: int) -> None:
        self.path = path
        self.lock = lock

    @classmethod
    def take(cls, path: Path) -> Self:
        try:
            _make(path)
            lock = os.open(path / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise ConfigurationError([f"STATE_DIR: {path} cannot be used: {error.strerror}"]) from None
        _lock(lock)
        os.ftruncate(lock, 0)
        os.pwrite(lock, str(os.getpid()).encode(), 0)
        return cls(path.resolve(), lock)

    def publish(self, services: Mapping[str, str]) -> None:
        """For commands in another shell; see `billing.config.read_environment`."""
        write_private(self.path / SERVICES_FILE, "".join(f"{name}={value}\n" for name, value in services.items()))

    def unpublish(self) -> None:
        (self.path / SERVICES_FILE).unlink(missing_ok=True)


def _make(path: Path) -> None:
    if not path.is_dir():
        path.mkdir(parents=True)
        path.chmod(ENTERABLE if os.geteuid() == 0 else PRIVATE)


def _lock(lock: int) -> None:
    deadline = time.monotonic() + LAST_RUN_ENDS_WITHIN_SECONDS
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(lock, 20, 0).decode()
            if _is_alive(holder) or time.monotonic() > deadline:
                told = f"`billing up` already runs here (process {holder})"
                raise ConfigurationError([f"STATE_DIR: {told}; stop it, or set another STATE_DIR and PORT"]) from None
            time.sleep(0.1)
        else:
            return


def _is_alive(pid: str) -> bool:
    try:
        os.kill(int(pid), 0)
    except (ValueError, ProcessLookupError):
        return False
    except PermissionError:
        return True
    return True
