"""How a process is started so that it cannot outlive the one that started it."""

import ctypes
import os
import signal
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from billing.local.account import Account

PR_SET_PDEATHSIG = 1


@dataclass(frozen=True, slots=True)
class Program:
    """What is run, as whom, and how it is asked to stop."""

    name: str
    argv: tuple[str, ...]
    environment: Mapping[str, str]
    folder: Path = Path("/")
    account: Account | None = None
    stdin: bytes = b""
    stop_signal: signal.Signals = signal.SIGTERM
    kill_signal: signal.Signals = signal.SIGKILL
    grace_seconds: float = 10


def spawn_arguments(program: Program) -> dict[str, Any]:
    """Arguments of `subprocess.Popen`, and of asyncio's twin, beside the command.

    Call it, and start the process, in a thread that lives as long as the process shall: on Linux the kernel sends the
    stop signal when that *thread* ends. The session of its own keeps a terminal's Ctrl-C away and makes a group.
    """
    return {
        "cwd": program.folder,
        "env": dict(program.environment),
        "start_new_session": True,
        "preexec_fn": _death_notice(program.stop_signal),
        **(program.account.spawn_arguments if program.account else {}),
    }


def _death_notice(signal_number: int) -> Callable[[], None] | None:
    """Runs between fork and exec, after the change of user, which would wipe the request."""
    if sys.platform != "linux":
        return None
    prctl, parent, getppid, leave = ctypes.CDLL(None).prctl, os.getpid(), os.getppid, os._exit

    def request() -> None:
        prctl(PR_SET_PDEATHSIG, signal_number, 0, 0, 0)
        if getppid() != parent:
            leave(1)

    return request
