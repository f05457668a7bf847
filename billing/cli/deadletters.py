"""`billing deadletters`: what gave up, listed, shown, worked anew, put aside, done with."""

import json
import threading
from dataclasses import dataclass, replace
from typing import Annotated, Any

import typer

from billing import clock
from billing.cli import acts, replays
from billing.cli.acts import reason_of
from billing.cli.bulk import Act, Progress, each, pace_of, stoppable
from billing.cli.letters import (
    MOST,
    RATE,
    All,
    AsJson,
    Before,
    Class,
    Digest,
    DryRun,
    Kind,
    Letter,
    Most,
    OneLetter,
    Rate,
    Reason,
    State,
)
from billing.cli.reading import NothingFoundError, ask, table
from billing.config import Settings
from billing.deadletters.names import UNREADABLE, LetterName
from billing.reads.deadletters import (
    DeadLetterView,
    LetterFilter,
    find_dead_letter,
    list_dead_letters,
)
from billing.reads.staff_acts import ActView
from billing.reads.written import instant
from billing.staff.wishes import Discard, Park

app = typer.Typer(help="What gave up.", no_args_is_help=True)


@app.callback()
def nouns() -> None:
    """What gave up."""


@app.command("list")
def list_(
    kind: Kind = None,
    error_class: Class = None,
    digest: Digest = None,
    before: Before = None,
    state: State = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="The newest ones.")] = 20,
    as_json: AsJson = False,
) -> None:
    """The newest of what gave up and wants a person, with the reason; what was discarded only where it is asked for."""
    only = LetterFilter(kind, error_class, digest, state, before, is_open=True if state is None else None)
    found = ask(Settings.load(), lambda connection: list_dead_letters(connection, most=limit, only=only))
    if as_json:
        typer.echo(json.dumps([_as_json(letter) for letter in found]))
    elif found:
        table([_line(letter) for letter in found])
    else:
        typer.echo("nothing gave up")


@app.command()
def show(letter: OneLetter, as_json: AsJson = False) -> None:
    """One of them, with the row that it is about."""
    found = ask(Settings.load(), lambda connection: find_dead_letter(connection, letter))
    if found is None:
        raise NothingFoundError(f"{letter} has not given up; `billing deadletters list` shows what has")
    view, row = found
    if as_json:
        typer.echo(json.dumps({**_as_json(view), "row": row}))
    else:
        table([(name, str(value)) for name, value in _as_json(view).items()])
        table([(name, str(value)) for name, value in row.items() if value is not None], indent="  ")


@dataclass(frozen=True, slots=True)
class Many:
    """Which are meant, how many at most, and how many seconds are between two."""

    only: LetterFilter
    limit: int
    gap_seconds: float


@app.command()
def replay(
    letter: Letter = None,
    everything: All = False,
    kind: Kind = None,
    error_class: Class = None,
    digest: Digest = None,
    before: Before = None,
    state: State = "dead",
    limit: Most = MOST,
    rate: Rate = RATE,  # type: ignore[assignment]  # as it is written, until it is parsed
    reason: Reason = None,
    is_dry: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Work one anew, or many at a capped rate, and say what became of it; Ctrl-C stops after the one in hand."""
    many = _many(letter, LetterFilter(kind, error_class, digest, state, before), limit, rate, is_all=everything)
    settings = _begun()
    if is_dry:
        for name in [letter] if letter else [one.name for one in _found(settings, many)]:
            replays.say_preview(settings, name, as_json=as_json)
    elif letter is not None:
        replays.replay(settings, letter, _needed(reason), as_json=as_json)
    else:
        _replay_many(settings, many, _needed(reason), as_json=as_json)


@app.command()
def park(
    letter: Letter = None,
    everything: All = False,
    kind: Kind = None,
    error_class: Class = None,
    digest: Digest = None,
    before: Before = None,
    limit: Most = MOST,
    rate: Rate = RATE,  # type: ignore[assignment]  # as it is written, until it is parsed
    reason: Reason = None,
    as_json: AsJson = False,
) -> None:
    """Put one aside, or many, to be seen to later."""
    many = _many(letter, LetterFilter(kind, error_class, digest, "dead", before), limit, rate, is_all=everything)
    _mark(Park, letter, many, _needed(reason), as_json=as_json)


@app.command()
def discard(
    letter: Letter = None,
    everything: All = False,
    kind: Kind = None,
    error_class: Class = None,
    digest: Digest = None,
    before: Before = None,
    state: State = "dead",
    limit: Most = MOST,
    rate: Rate = RATE,  # type: ignore[assignment]  # as it is written, until it is parsed
    reason: Reason = None,
    as_json: AsJson = False,
) -> None:
    """Be done with one, or with many, without working them."""
    many = _many(letter, LetterFilter(kind, error_class, digest, state, before), limit, rate, is_all=everything)
    _mark(Discard, letter, many, _needed(reason), as_json=as_json)


def _many(letter: LetterName | None, only: LetterFilter, limit: int, gap_seconds: float, *, is_all: bool) -> Many:
    """Raises BadParameter where neither one nor a filter is named, or both are."""
    is_narrowed = replace(only, state=None).values != {}
    if letter is None and not is_narrowed and not is_all:
        raise typer.BadParameter("name one as KIND:ID, or --all, --kind, --class, --digest or --before")
    if letter is not None and (is_narrowed or is_all):
        raise typer.BadParameter("either one as KIND:ID or a filter, not both")
    return Many(only, limit, gap_seconds)


def _needed(reason: str | None) -> str:
    if reason is None:
        raise typer.BadParameter("why? it stays in the audit log", param_hint="--reason")
    return reason_of(reason)


def _begun() -> Settings:
    settings = Settings.load()
    clock.follow(settings)
    return settings


def _found(settings: Settings, many: Many) -> list[DeadLetterView]:
    """The oldest first."""
    found = ask(
        settings,
        lambda connection: list_dead_letters(connection, most=many.limit, only=many.only, is_oldest_first=True),
    )
    return list(found)


def _replay_many(settings: Settings, many: Many, reason: str, *, as_json: bool) -> None:
    """All are opened first, and then looked after: a slow one keeps no other waiting."""
    found = [letter for letter in _found(settings, many) if letter.kind != UNREADABLE]
    opened: list[tuple[LetterName, ActView]] = []

    def act(letter: DeadLetterView) -> None:
        opened.append((letter.name, replays.opened(settings, letter.name, reason)))

    with stoppable() as stopped:
        progress = _each(found, act, many, stopped)
        replayed = replays.all_followed(settings, opened, stopped.is_set)
    failed = [one for one in replayed if not one.is_done]
    if as_json:
        typer.echo(json.dumps({**_sums(progress), "replayed": [one.as_json() for one in replayed]}))
    else:
        for one in failed:
            typer.echo(replays.told(one))
        typer.echo(f"{_how_far(progress, 'opened anew')}: {len(replayed) - len(failed)} done, {len(failed)} not")
    _end(progress, is_well=not failed)


def _mark(kind: type[Park | Discard], letter: LetterName | None, many: Many, reason: str, *, as_json: bool) -> None:
    settings, word = _begun(), "parked" if kind is Park else "discarded"

    def act(name: LetterName) -> ActView:
        return acts.perform(settings, kind(kind=name.kind, subject=name.subject), reason)

    if letter is not None:
        done = act(letter)
        typer.echo(json.dumps(acts.as_json(done)) if as_json else f"{letter}: {word}")
        return
    with stoppable() as stopped:
        progress = _each(_found(settings, many), lambda one: act(one.name), many, stopped)
    typer.echo(json.dumps(_sums(progress)) if as_json else _how_far(progress, word))
    _end(progress, is_well=True)


def _each(letters: list[DeadLetterView], act: Act, many: Many, stopped: threading.Event) -> Progress:
    return each(letters, act, pace_of(many.gap_seconds, stopped), stopped.is_set)


def _how_far(progress: Progress, word: str) -> str:
    line = f"{progress.done} of {progress.asked} {word}"
    return f"stopped: {line}" if progress.is_cut_short else line


def _sums(progress: Progress) -> dict[str, Any]:
    troubles = [{"id": name, "reason": reason} for name, reason in progress.troubles]
    stopped = {"is_stopped": progress.is_cut_short, "troubles": troubles}
    return {"asked": progress.asked, "done": progress.done, **stopped}


def _end(progress: Progress, *, is_well: bool) -> None:
    """Raises Exit with 1 where not all was done."""
    for name, reason in progress.troubles:
        typer.echo(f"billing: {name}: {reason}", err=True)
    if not (is_well and progress.is_well):
        raise typer.Exit(1)


def _line(letter: DeadLetterView) -> tuple[str, ...]:
    return (
        str(letter.name),
        letter.state,
        instant(letter.at),
        f"{letter.attempts} tries",
        letter.digest[:8],
        letter.reason or "",
    )


def _as_json(letter: DeadLetterView) -> dict[str, Any]:
    return {
        "id": str(letter.name),
        "kind": letter.kind,
        "state": letter.state,
        "reason": letter.reason,
        "error_class": letter.error_class,
        "digest": letter.digest,
        "attempts": letter.attempts,
        "first_at": instant(letter.first_at),
        "at": instant(letter.at),
    }
