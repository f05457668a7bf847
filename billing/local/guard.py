"""Ends what a supervisor started once the supervisor is gone, however it went.

A script of its own, standard library only. The supervisor holds the other end of its standard input and writes
`+PID SIGNAL` for each process group that it starts and `-PID` for each that is over; the kernel closes that end when
the supervisor dies. Direct children get the kernel's notice on Linux; this one also reaches their children, the
frozen ones, and works on other systems.
"""

import os
import signal
import sys
import time

PATIENCE_SECONDS = 2.0


def watched(lines: "list[str]") -> dict[int, int]:
    groups: dict[int, int] = {}
    for line in lines:
        word, _, signal_number = line.partition(" ")
        if word.startswith("+"):
            groups[int(word)] = int(signal_number)
        else:
            groups.pop(-int(word), None)
    return groups


def send(group: int, signal_number: int) -> bool:
    """False where nobody is left."""
    try:
        os.killpg(group, signal_number)
    except ProcessLookupError:
        return False
    except PermissionError:  # macOS says so of a group of zombies
        return False
    return True


def end(groups: dict[int, int]) -> None:
    left = [group for group, signal_number in groups.items() if send(group, signal_number)]
    deadline = time.monotonic() + PATIENCE_SECONDS
    while left and time.monotonic() < deadline:
        time.sleep(0.05)
        left = [group for group in left if send(group, 0)]
    for group in left:
        send(group, signal.SIGKILL)


def main() -> None:
    for deadly in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(deadly, signal.SIG_IGN)
    end(watched(sys.stdin.readlines()))


if __name__ == "__main__":
    main()
