"""`billing plans`."""

from typing import Annotated

import typer

from billing import plans
from billing.cli.database import connected
from billing.clock import utc_now
from billing.config import Settings

app = typer.Typer(help="What is for sale.", no_args_is_help=True)


@app.callback()
def nouns() -> None:
    """What is for sale."""


@app.command("load-defaults")
def load_defaults(
    force: Annotated[
        bool, typer.Option(help="Add the missing ones to a table that has plans; edited ones stay.")
    ] = False,
) -> None:
    """Put the default plans into an empty table."""
    with connected(Settings.load()) as begin:
        added = plans.load_defaults(begin, force=force, now=utc_now())
    typer.echo(f"{len(added)} plans added" + (f": {', '.join(added)}" if added else ""))
