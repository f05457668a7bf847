"""`billing chaos`: the fault campaign."""

import json
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import chdir, contextmanager
from enum import StrEnum
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer

from billing import clock
from billing.chaos.campaign import Surroundings, Wish, hold
from billing.chaos.clients import Sign
from billing.chaos.place import make_place, temporary_folder
from billing.chaos.plan import FaultKind, draw_seed
from billing.chaos.report import Report
from billing.cli.reading import table
from billing.cli.token import sign
from billing.clock import utc_now
from billing.config import AppEnv, Settings
from billing.errors import ConfigurationError


class Format(StrEnum):
    TABLE = "table"
    JSON = "json"


def kinds_of(names: str) -> tuple[FaultKind, ...]:
    wanted = [name.strip() for name in names.split(",") if name.strip()]
    if unknown := set(wanted) - set(FaultKind):
        raise typer.BadParameter(f"no such fault: {', '.join(sorted(unknown))}; there are {', '.join(FaultKind)}")
    return tuple(FaultKind(name) for name in wanted)


def chaos(
    purchases: Annotated[int, typer.Option(min=1, max=100_000, help="Of guests and users, at an even pace.")] = 1000,
    seconds: Annotated[float, typer.Option(min=5, max=86_400, help="How long load and faults last.")] = 120,
    seed: Annotated[int | None, typer.Option(help="Repeats a campaign's plan; drawn where it is not given.")] = None,
    faults: Annotated[str, typer.Option(help=f"Separated by commas: {', '.join(FaultKind)}.")] = ",".join(FaultKind),
    drop_share: Annotated[float, typer.Option(min=0, max=1, help="Of Stripe's events, which never arrive.")] = 0.2,
    wipe_broker: Annotated[bool, typer.Option("--wipe-broker", help="Each second, beside everything else.")] = False,
    report: Annotated[Format, typer.Option(help="For people, or for programs.")] = Format.TABLE,
    as_json: Annotated[bool, typer.Option("--json", help="As --report json.")] = False,
    keep: Annotated[bool, typer.Option("--keep", help="Leave logs and data where they are.")] = False,
) -> None:
    """Break everything under load, on a pipeline of its own; exit status 1 where something was lost or doubled."""
    if os.environ.get("APP_ENV") not in (None, "", AppEnv.DEVELOPMENT):
        raise ConfigurationError(["APP_ENV: the fault campaign is for development; unset it"])
    drawn = draw_seed() if seed is None else seed
    _tell(f"seed {drawn}")
    wish = Wish(drawn, purchases, seconds, kinds_of(faults), drop_share, wipe_broker)
    with _stopped_by_signals():
        found = _held(wish, keep=keep)
    if as_json or report is Format.JSON:
        typer.echo(json.dumps(found.as_json()))
    else:
        table(found.rows())
    if not found.passed:
        raise typer.Exit(1)


def _held(wish: Wish, *, keep: bool) -> Report:
    with temporary_folder(keep=keep) as folder:
        if keep:
            _tell(f"logs and data: {folder}")
        place = make_place(folder, Path.cwd(), os.environ.get("PATH", os.defpath))
        with chdir(folder):  # where no `.env` is
            settings = Settings.load(place.environment)
        clock.Offset(clock.path_of(settings))  # made before anybody looks for it
        clock.follow(settings)
        return hold(wish, place, Surroundings(settings, _sign(settings), utc_now, _tell))


def _sign(settings: Settings) -> Sign:
    return lambda sub, email, role: sign(settings, sub=sub, email=email, name="Ana", roles=[role])


def _tell(line: str) -> None:
    print(f"chaos: {line}", file=sys.stderr, flush=True)


@contextmanager
def _stopped_by_signals() -> Iterator[None]:
    """A terminal that closes, and whoever ends a job, let us end what we have started, as Ctrl-C does."""

    def stop(number: int, _frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
