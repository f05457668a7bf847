"""Who is running: to freeze a server with all of its processes, and to prove that nothing stays behind."""

import subprocess
import time
from collections.abc import Iterable

from billing.local.leftovers import command_of


def parents() -> dict[int, int]:
    """Each process's parent, of the whole machine."""
    listed = subprocess.run(["ps", "-A", "-o", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
    return {int(pid): int(parent) for pid, parent in (line.split() for line in listed.splitlines())}


def family_of(pid: int) -> list[int]:
    """The process, then all that descend from it."""
    known = parents()
    family = [pid]
    for member in family:
        family += [child for child, parent in known.items() if parent == member]
    return family


def living(pids: Iterable[int]) -> list[int]:
    """Those that still run; one that ended and waits to be asked for its status does not."""
    return [pid for pid in pids if command_of(pid)]


def assert_gone(pids: Iterable[int], within: float = 10) -> None:
    deadline = time.monotonic() + within
    left = living(pids)
    while left and time.monotonic() < deadline:
        time.sleep(0.02)
        left = living(left)
    assert not left, f"left behind: {[command_of(pid) for pid in left]}"
