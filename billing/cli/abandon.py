"""`billing abandon`."""

import json
from typing import Annotated

import typer

from billing import clock
from billing.cli.database import connected
from billing.clock import utc_now
from billing.config import Settings
from billing.purchases.abandon import close_abandoned


def abandon(as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False) -> None:
    """Have unpaid purchases older than a day cancelled at Stripe and closed, as beat does each hour."""
    settings = Settings.load()
    clock.follow(settings)
    with connected(settings) as begin:
        found = close_abandoned(begin, now=utc_now())
    typer.echo(json.dumps({"purchases": len(found)}) if as_json else f"{len(found)} unpaid purchases will be ended.")
