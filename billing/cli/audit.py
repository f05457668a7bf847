"""`billing audit`."""

import json
from dataclasses import asdict
from typing import Annotated

import typer

from billing import ledger
from billing.cli.database import connected
from billing.config import Settings


def audit(as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False) -> None:
    """Prove every balance from the ledger; exit status 1 where something does not hold."""
    with connected(Settings.load()) as begin:
        found = ledger.violations(begin)
    if as_json:
        typer.echo(json.dumps({"violations": [asdict(violation) for violation in found]}))
    else:
        for violation in found:
            typer.echo(f"{violation.rule}: {violation.subject}")
        typer.echo("every balance is the sum of its entries" if not found else f"{len(found)} violations")
    if found:
        raise typer.Exit(1)
