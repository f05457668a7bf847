"""`billing deadletters`."""

import json
from typing import Annotated, Any

import typer

from billing.cli.reading import NothingFoundError, ask, table
from billing.config import Settings
from billing.reads.deadletters import TABLES, DeadLetterView, find_dead_letter, list_dead_letters
from billing.reads.written import instant

app = typer.Typer(help="What gave up.", no_args_is_help=True)

AsJson = Annotated[bool, typer.Option("--json", help="For programs.")]
KINDS = ", ".join(TABLES)


@app.callback()
def nouns() -> None:
    """What gave up."""


@app.command("list")
def list_(
    kind: Annotated[str | None, typer.Option(help=f"Only those: {KINDS}.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="The newest ones.")] = 20,
    as_json: AsJson = False,
) -> None:
    """The newest of what gave up, with the reason."""
    if kind is not None and kind not in TABLES:
        raise typer.BadParameter(f"one of {KINDS}", param_hint="--kind")
    found = ask(Settings.load(), lambda connection: list_dead_letters(connection, most=limit, kind=kind))
    if as_json:
        typer.echo(json.dumps([_as_json(letter) for letter in found]))
    elif found:
        table([(letter.name, instant(letter.at), f"{letter.attempts} tries", letter.reason or "") for letter in found])
    else:
        typer.echo("nothing gave up")


@app.command()
def show(
    letter: Annotated[str, typer.Argument(metavar="KIND:ID", help="As the list names it.")], as_json: AsJson = False
) -> None:
    """One of them, with the row that it is about."""
    kind, _, subject = letter.partition(":")
    if kind not in TABLES or not subject:
        raise typer.BadParameter(f"written as {' or '.join(f'{kind}:ID' for kind in TABLES)}", param_hint="KIND:ID")
    found = ask(Settings.load(), lambda connection: find_dead_letter(connection, kind, subject))
    if found is None:
        raise NothingFoundError(f"{letter} has not given up; `billing deadletters list` shows what has")
    view, row = found
    if as_json:
        typer.echo(json.dumps({**_as_json(view), "row": row}))
    else:
        table([(name, str(value)) for name, value in _as_json(view).items()])
        table([(name, str(value)) for name, value in row.items() if value is not None], indent="  ")


def _as_json(letter: DeadLetterView) -> dict[str, Any]:
    return {
        "id": letter.name,
        "kind": letter.kind,
        "reason": letter.reason,
        "attempts": letter.attempts,
        "at": instant(letter.at),
    }
