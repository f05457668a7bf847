"""The only place that asks what time it is.

`utc_now` is business time: what a purchase was accepted at, what has expired, whether a signature is fresh. Beside the
sandbox, and nowhere else, it can be ahead of the machine by an offset that `billing clock` moves and that every process
follows in a file of the state folder. Leases, due times and waits go by the database's clock, and never move.
"""

import mmap
import os
import struct
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from billing.config import AppEnv, Settings
from billing.errors import ConfigurationError

FILE = "clock"
FURTHEST = timedelta(days=5 * 365 + 1)
LAYOUT: Final = "q"
"""Whole seconds, as the machine writes eight bytes: those are read and written in one step."""
BYTES: Final = struct.calcsize(LAYOUT)


class DamagedClockError(ConfigurationError):
    """The file is there and is none of ours."""


class Offset:
    """How far business time is ahead of the machine, in a file that all processes map: a move is seen at once.

    The map is of the file, not of its name, and survives a fork. Nobody makes the file shorter once it is there: who
    has mapped it would be killed by the next look.
    """

    def __init__(self, path: Path) -> None:
        """Made where there is none. Raises DamagedClockError where it holds no offset, OSError without a folder."""
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            if os.fstat(descriptor).st_size == 0:
                os.truncate(descriptor, BYTES)  # longer, and zero: whatever another process wrote meanwhile stays
            if os.fstat(descriptor).st_size != BYTES:
                raise _damaged(path)
            self._seconds = memoryview(mmap.mmap(descriptor, BYTES)).cast(LAYOUT)
        finally:
            os.close(descriptor)
        self._known = (0, timedelta())
        if not _is_possible(self.seconds):
            raise _damaged(path)

    @property
    def seconds(self) -> int:
        return self._seconds[0]

    @property
    def ahead(self) -> timedelta:
        """Nothing where somebody wrote an offset that no command writes."""
        known, seconds = self._known, self._seconds[0]
        if known[0] != seconds:
            known = self._known = (seconds, timedelta(seconds=seconds if _is_possible(seconds) else 0))
        return known[1]

    def move_to(self, seconds: int) -> None:
        self._seconds[0] = seconds


_followed: Offset | None = None


def utc_now() -> datetime:
    """Business time."""
    now = datetime.now(UTC)
    return now if _followed is None else now + _followed.ahead


def machine_now() -> datetime:
    """For what is agreed with others by the real time (tokens, a server's clock), and for ticks of beat."""
    return datetime.now(UTC)


def can_be_moved(settings: Settings) -> bool:
    return settings.is_sandbox and settings.app_env is AppEnv.DEVELOPMENT


def path_of(settings: Settings) -> Path:
    return settings.state_dir / FILE


def follow(settings: Settings) -> None:
    """From now on `utc_now` of this process, and of those it forks, is what `billing clock` says.

    Every entry point calls it; where the clock cannot be moved, whatever lies in the state folder counts for nothing.
    Raises ConfigurationError where the file is there and cannot be read.
    """
    global _followed  # noqa: PLW0603  # a process has one time
    _followed = _offset_of(settings) if can_be_moved(settings) else None


def _offset_of(settings: Settings) -> Offset | None:
    try:
        return Offset(path_of(settings))
    except (FileNotFoundError, NotADirectoryError):  # no state folder: there is none for `billing clock` either
        return None
    except OSError as error:
        raise ConfigurationError([f"STATE_DIR: {path_of(settings)} cannot be used: {error.strerror}"]) from None


def _is_possible(seconds: int) -> bool:
    return 0 <= seconds <= FURTHEST.total_seconds()


def _damaged(path: Path) -> DamagedClockError:
    return DamagedClockError([f"STATE_DIR: {path} holds no offset of a clock; remove it while nothing runs"])
