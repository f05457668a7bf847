"""`billing bench`: measurements on data of their own, beside the limits that they are measured by."""

import json
import sys
from collections.abc import Iterator
from dataclasses import asdict
from datetime import datetime
from statistics import median
from typing import Annotated

import typer

from billing.bench.expiry import Measured, fill, measure_bare, measure_sweep
from billing.bench.scratch import Scratch, scratch
from billing.cli.reading import table
from billing.clock import utc_now
from billing.config import Settings

TARGET = 0.8
LONGEST_SECONDS = 1.0

app = typer.Typer(help="How fast it is, beside how fast it could be.", no_args_is_help=True)

Figures = dict[str, list[Measured]]


@app.callback()
def nouns() -> None:
    """How fast it is, beside how fast it could be."""


@app.command()
def expiry(
    lots: Annotated[int, typer.Option(min=100, max=100_000_000, help="Of which every fifth is due.")] = 1_000_000,
    rounds: Annotated[int, typer.Option(min=1, max=20, help="Each measures all once; medians count.")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Sweep with one and with two workers, and by one bare statement, on copies of a scratch database."""
    figures: Figures = {"one bare statement": [], "sweep, one worker": [], "sweep, two workers": []}
    with scratch(Settings.load()) as place, place.filled() as settings:
        now = utc_now()
        with typer.progressbar(length=1 + 3 * rounds, label=f"{lots} lots", file=sys.stderr) as bar:
            fill(settings, lots, now=now)
            bar.update(1)
            for _ in range(rounds):
                for name, measured in _round(place, now):
                    figures[name].append(measured)
                    bar.update(1)
    _say(figures, as_json=as_json)


def _round(place: Scratch, now: datetime) -> Iterator[tuple[str, Measured]]:
    yield "one bare statement", measure_bare(place, now=now)
    yield "sweep, one worker", measure_sweep(place, 1, now=now)
    yield "sweep, two workers", measure_sweep(place, 2, now=now)


def _say(figures: Figures, *, as_json: bool) -> None:
    speeds = {name: median(one.lots_per_second for one in found) for name, found in figures.items()}
    limit = speeds["one bare statement"]
    ratios = {name: speed / limit for name, speed in speeds.items()}
    longest = {name: max(one.longest_seconds for one in found) for name, found in figures.items()}
    if as_json:
        rounds = {name: [asdict(one) for one in found] for name, found in figures.items()}
        typer.echo(json.dumps({"lots_per_second": speeds, "ratios": ratios, "longest": longest, "rounds": rounds}))
        return
    rows: list[tuple[str, ...]] = [("", "lots/s", "of bare", "longest statement")]
    for name, speed in speeds.items():
        rows.append((name, f"{speed:,.0f}", f"{ratios[name]:.2f}", f"{longest[name]:.3f} s"))
    table(rows)
    typer.echo(f"target: two workers {TARGET} of bare, no statement of a sweep over {LONGEST_SECONDS:.0f} s")
