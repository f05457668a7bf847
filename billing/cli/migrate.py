"""`billing migrate`."""

import json
from typing import Annotated

import typer

from billing import migrate as migrations
from billing.config import Settings


def migrate(
    to: Annotated[str, typer.Option(help="A revision, when going back; its data goes with it.")] = "head",
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Bring the database's schema to this version of the code."""
    settings = Settings.load()
    moved = migrations.upgrade(settings) if to == "head" else migrations.downgrade(settings, to)
    if as_json:
        typer.echo(json.dumps({"from": moved.was, "to": moved.now}))
    else:
        typer.echo(f"schema is at {moved.now or to}")
