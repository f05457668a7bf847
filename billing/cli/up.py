"""`billing up`: everything, on this machine."""

import os
from pathlib import Path
from typing import Annotated

import typer

from billing.local.stack import describe
from billing.local.state import StateFolder
from billing.local.supervisor import supervise


def up(
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Drop the data of the embedded database, queue and sandbox first.")
    ] = False,
    also: Annotated[
        list[str] | None, typer.Option("--with", help="An optional process of the Procfile, such as flower.")
    ] = None,
) -> None:
    """Start servers, migrations and every process of the Procfile; keep them running until Ctrl-C.

    A service is embedded only where its address is not set: DATABASE_URL, REDIS_URL, STRIPE_SECRET_KEY.
    """
    state = StateFolder.take(Path(os.environ.get("STATE_DIR") or ".billing"))
    stack = describe(os.environ, state, also or ())
    if fresh:
        stack.servers.wipe()
    supervise(stack)
