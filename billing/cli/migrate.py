"""`billing migrate`."""

from typing import Annotated

import typer

from billing import migrate as migrations
from billing.config import Settings


def migrate(
    to: Annotated[str, typer.Option(help="A revision, when going back; its data goes with it.")] = "head",
) -> None:
    """Bring the database's schema to this version of the code."""
    settings = Settings.load()
    if to == "head":
        migrations.upgrade(settings)
    else:
        migrations.downgrade(settings, to)
    typer.echo(f"schema is at {migrations.newest_revision() if to == 'head' else to}")
