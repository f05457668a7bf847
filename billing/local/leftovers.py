"""A server of an earlier run that is still there: two of them on one folder would ruin it."""

import os
import signal
import subprocess
import time
from pathlib import Path

from billing.errors import ConfigurationError

PATIENCE_SECONDS = 10.0


def stop_leftover(pid_file: Path, mark: str) -> None:
    """Stop the server that wrote the file; a number that meanwhile belongs to another program is left alone."""
    pid = _pid_in(pid_file)
    if pid is not None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while mark in command_of(pid):
            if time.monotonic() > deadline:
                raise ConfigurationError([f"STATE_DIR: process {pid} of an earlier run does not end; end it by hand"])
            _ask_to_stop(pid)
            time.sleep(0.05)
    pid_file.unlink(missing_ok=True)


def command_of(pid: int) -> str:
    """Empty where there is no such process, or only its exit status is left."""
    if Path("/proc/self/cmdline").exists():
        try:
            return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            return ""
    return subprocess.run(["ps", "-o", "command=", "-p", str(pid)], capture_output=True, text=True).stdout


def _ask_to_stop(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGINT)
    except ProcessLookupError:
        return
    except PermissionError:
        raise ConfigurationError([f"STATE_DIR: process {pid} of an earlier run belongs to another user"]) from None


def _pid_in(file: Path) -> int | None:
    try:
        return int(file.read_text().split(maxsplit=1)[0])
    except (OSError, ValueError, IndexError):
        return None
