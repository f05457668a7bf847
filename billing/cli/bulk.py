"""The same act for many dead letters: one after the other at a capped rate, each an act of its own, to be stopped."""

import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import typer

from billing.cli.acts import ActRefusedError, ActWaitsError
from billing.deadletters.pace import Pace
from billing.errors import TransientError
from billing.reads.deadletters import DeadLetterView

Act = Callable[[DeadLetterView], object]

SIGNALS = (signal.SIGINT, signal.SIGTERM)


@dataclass(slots=True)
class Progress:
    """How far it came. `troubles` are letters with why they were left as they are."""

    asked: int
    done: int = 0
    troubles: list[tuple[str, str]] = field(default_factory=list)
    is_cut_short: bool = False

    @property
    def is_well(self) -> bool:
        return self.done == self.asked


def each(letters: Sequence[DeadLetterView], act: Act, pace: Pace, is_stopped: Callable[[], bool]) -> Progress:
    """What was done stays done, wherever it is stopped. One that is refused keeps no other from its turn; a database
    that is away ends it."""
    progress = Progress(len(letters))
    with typer.progressbar(letters, label="dead letters", file=sys.stderr) as bar:
        for letter in bar:
            pace.wait()
            if is_stopped() or not _try(letter, act, progress):
                progress.is_cut_short = True
                break
    return progress


def _try(letter: DeadLetterView, act: Act, progress: Progress) -> bool:
    """Whether to go on."""
    try:
        act(letter)
    except (ActRefusedError, ActWaitsError) as error:
        progress.troubles.append((str(letter.name), str(error)))
    except TransientError as error:
        progress.troubles.append((str(letter.name), str(error)))
        return False
    else:
        progress.done += 1
    return True


@contextmanager
def stoppable() -> Iterator[threading.Event]:
    """Set by Ctrl-C and SIGTERM for as long as the block runs: what is in hand is finished first."""
    stopped = threading.Event()
    before = {number: signal.signal(number, lambda *_: stopped.set()) for number in SIGNALS}
    try:
        yield stopped
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def pace_of(gap_seconds: float, stopped: threading.Event) -> Pace:
    """Its waits end at once where it is stopped."""
    return Pace(gap_seconds, time.monotonic, stopped.wait)
