"""`billing clock`: let time pass for the sandbox, the door and the workers together.

Time passes in steps of a business day at most, and never past an appointment of the sandbox: a renewal happens at its
own instant. In each step the clock's file is moved first and the sandbox last, for its move makes events happen, and
whoever hears of them must already live in the new time. Then what happened is waited for: the sandbox has nothing to do
and no row is due. Beat itself stays with the machine: what it would have done by now is done here, see `PASSING`.
"""

import fcntl
import json
import math
import re
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from datetime import time as day_time
from pathlib import Path
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import typer

from billing import clock as business
from billing.cli.database import connected
from billing.cli.passing import PASSING, Daily, hint_at_once
from billing.cli.sandbox import Sandbox
from billing.clock import FURTHEST, Offset, machine_now
from billing.config import Settings
from billing.db import Begin
from billing.errors import ConfigurationError, TransientError
from billing.reads.written import instant
from billing.work.waiting import due_by_kind

NIGHTLY = day_time(2, 30)
"""When beat sweeps, in business time: steps end there."""
PATIENCE_SECONDS = 30.0
LOOK_EVERY_SECONDS = 0.02
SECONDS = {"d": 86_400, "h": 3600, "m": 60, "s": 1}
SPAN = re.compile("".join(f"(?:([0-9]{{1,9}}){unit})?" for unit in SECONDS))

AsJson = Annotated[bool, typer.Option("--json", help="For programs.")]

app = typer.Typer(help="Let time pass, in the sandbox.", no_args_is_help=True)


class TimeStandsStillError(TransientError):
    """What happened in a step is not worked off; the sentence says where the clock stands."""


@app.callback()
def nouns() -> None:
    """Let time pass, in the sandbox."""


def seconds_of(span: str) -> int:
    found = SPAN.fullmatch(span.strip())
    if found is None or not any(found.groups()):
        raise typer.BadParameter(f"{span!r} is no span of time; write one like 40d, 12h, 30m, 90s or 1d12h")
    return sum(int(number or 0) * length for number, length in zip(found.groups(), SECONDS.values(), strict=True))


@app.command()
def advance(
    by: Annotated[int, typer.Argument(metavar="SPAN", parser=seconds_of, help="Like 40d, 12h, 30m, 90s or 1d12h.")],
    as_json: AsJson = False,
) -> None:
    """Let so much time pass, with all that happens in it; at most five years in all."""
    settings = Settings.load()
    with _held(settings) as moved, connected(settings) as begin:
        goal = moved.offset.seconds + by
        if goal > FURTHEST.total_seconds():
            raise typer.BadParameter(f"the clock goes {FURTHEST.days} days ahead at most", param_hint="SPAN")
        journey = Journey(moved, begin, settings.zone, [make(begin, settings) for make in PASSING])
        journey.settle()
        with typer.progressbar(length=by, label=f"{_written(by)} pass", file=sys.stderr) as bar:
            steps = 0
            for seconds in journey.steps(goal):
                bar.update(seconds)
                steps += 1
        _say(moved, as_json=as_json, steps=steps)


@app.command()
def reset(as_json: AsJson = False) -> None:
    """Go back to the machine's time; what happened in the time between stays as it is."""
    with _held(Settings.load()) as moved:
        moved.asked()  # a sandbox that does not answer would stay behind
        moved.move_to(0)
        _say(moved, as_json=as_json)


@app.command()
def show(as_json: AsJson = False) -> None:
    """What time it is, and how far that is ahead of this machine."""
    _say(_moved(Settings.load()), as_json=as_json)


@dataclass(frozen=True, slots=True)
class Moved:
    """The two clocks that are moved as one."""

    offset: Offset
    sandbox: Sandbox

    @property
    def now(self) -> datetime:
        return machine_now() + self.offset.ahead

    def move_to(self, seconds: int) -> None:
        """Absolute, so that a move that broke off half way is mended by the next one."""
        self.offset.move_to(seconds)
        self.sandbox.control("clock", {"offset_seconds": seconds})

    def asked(self) -> dict[str, Any]:
        answer: dict[str, Any] = self.sandbox.control("clock")
        return answer


@dataclass(frozen=True, slots=True)
class Journey:
    moved: Moved
    begin: Begin
    zone: ZoneInfo
    passing: Sequence[Daily]

    def steps(self, goal: int) -> Iterator[int]:
        """From a settled present on until the clock is `goal` seconds ahead; gives the seconds of each step."""
        self.moved.move_to(self.moved.offset.seconds)  # the sandbox may have been left behind
        while (here := self.moved.offset.seconds) < goal:
            there = min(goal, here + self._seconds_to_next_stop())
            self.moved.move_to(there)
            self.settle()
            self.pass_here()
            yield there - here

    def pass_here(self) -> None:
        """What beat would have done by now, and what workers make of it."""
        for daily in self.passing:
            daily(self.moved.now)
        hint_at_once(self.begin)
        self.settle()

    def _seconds_to_next_stop(self) -> int:
        now, next_at = self.moved.now, self.moved.asked()["next_at"]
        stops = [next_night(now, self.zone), *([datetime.fromtimestamp(next_at, UTC)] if next_at else [])]
        return max(1, math.ceil((min(stops) - now).total_seconds()))

    def settle(self) -> None:
        """Wait until nothing is due: at the sandbox, on its way to the door, or in the rows of the workers."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while what := self._unfinished():
            if time.monotonic() > deadline:
                told = f"it is {instant(self.moved.now)} and goes no further: {what} for {PATIENCE_SECONDS:.0f} s"
                raise TimeStandsStillError(f"{told}; is everything running?")
            time.sleep(LOOK_EVERY_SECONDS)

    def _unfinished(self) -> str | None:
        """The sandbox is asked again at last: work may have brought it news to tell."""
        if self.moved.asked()["has_work"]:
            return "the sandbox has had something to do"
        if due := due_by_kind(self.begin):
            return f"workers have had something to do ({', '.join(f'{number} {kind}' for kind, number in due.items())})"
        return "the sandbox has had something to do" if self.moved.asked()["has_work"] else None


def next_night(after: datetime, zone: ZoneInfo) -> datetime:
    """The next half past two of a business day, a day away at most (an hour more where clocks go back)."""
    today = after.astimezone(zone).date()
    nights = (datetime.combine(today + timedelta(days=days), NIGHTLY, zone).astimezone(UTC) for days in (0, 1, 2))
    return next(night for night in nights if night > after)


@contextmanager
def _held(settings: Settings) -> Iterator[Moved]:
    """Two commands that move one clock would each wait for what the other does."""
    moved = _moved(settings)
    with Path(business.path_of(settings)).open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise TimeStandsStillError("another `billing clock` is moving the clock; wait for it") from None
        yield moved


def _moved(settings: Settings) -> Moved:
    sandbox = Sandbox(settings)
    if not business.can_be_moved(settings):
        raise ConfigurationError(["APP_ENV: the clock is moved in development only; unset it"])
    path = business.path_of(settings)
    try:
        return Moved(Offset(path), sandbox)
    except OSError as error:
        told = f"{path} cannot be used: {error.strerror}; start everything with `make run`"
        raise ConfigurationError([f"STATE_DIR: {told}"]) from None


def _say(moved: Moved, *, as_json: bool, **more: int) -> None:
    seconds, theirs = moved.offset.seconds, moved.asked()["offset_seconds"]
    facts = {"now": instant(moved.now), "offset_seconds": seconds, "sandbox_offset_seconds": theirs, **more}
    if as_json:
        typer.echo(json.dumps(facts))
        return
    ahead = f"{_written(seconds)} ahead of this machine" if seconds else "as this machine has it"
    typer.echo(f"it is {facts['now']}, {ahead}" + (f"; {more['steps']} steps" if "steps" in more else ""))
    if theirs != seconds:
        typer.echo(f"the sandbox is {_written(theirs)} ahead; `billing clock advance 0s` brings both together")


def _written(seconds: int) -> str:
    """As it would be typed: 1d12h."""
    parts = []
    for unit, length in SECONDS.items():
        number, seconds = divmod(seconds, length)
        parts += [f"{number}{unit}"] if number else []
    return "".join(parts) or "0s"
