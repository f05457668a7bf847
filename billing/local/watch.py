"""Our end of the guard: see `guard.py`."""

import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Self, TextIO

from billing.local import guard


class Watch:
    def __init__(self, process: subprocess.Popen[bytes], line: TextIO) -> None:
        self._process = process
        self._line = line

    @classmethod
    def start(cls, lock: int) -> Self:
        """The guard holds the state folder's lock too, so that the next run waits until all of this one is gone."""
        words = [sys.executable, "-I", "-S", str(Path(guard.__file__))]
        reading, writing = os.pipe()
        with os.fdopen(reading) as stdin:
            process = subprocess.Popen(words, stdin=stdin, pass_fds=(lock,), start_new_session=True, cwd="/")
        return cls(process, os.fdopen(writing, "w"))

    def begins(self, pid: int, stop_signal: int) -> None:
        self._tell(f"+{pid} {int(stop_signal)}")

    def is_over(self, pid: int) -> None:
        self._tell(f"-{pid}")

    def end(self) -> None:
        with suppress(BrokenPipeError):
            self._line.close()
        self._process.wait()

    def _tell(self, words: str) -> None:
        """A guard that was killed is missed only if we are killed too; that is no reason to stop."""
        with suppress(BrokenPipeError):
            print(words, file=self._line, flush=True)
