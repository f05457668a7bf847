"""The `billing` command: one file a noun. It calls use cases; it holds no rules."""

import logging
import sys
from collections.abc import Iterable
from importlib import import_module

import typer

from billing import logs
from billing.errors import BillingError, ConfigurationError

COMMANDS = (
    "up", "migrate", "plans", "students", "events", "deadletters", "token", "demo", "trigger", "audit", "expire",
    "reconcile", "abandon", "clock", "doctor", "bench", "chaos", "webhook",
)  # fmt: skip
"""Each is a module of its name here, with a function of that name or, for a noun with verbs, an `app`."""


def command_line(names: Iterable[str]) -> typer.Typer:
    """Only the modules of these commands are imported: one that starts others must not wait for all of them."""
    app = typer.Typer(
        name="billing",
        help="Prepaid tutoring hours: purchases, Stripe webhooks and an hour ledger on a worker queue.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        callback=lambda: None,
    )
    for name in names:
        module = import_module(f"billing.cli.{name}")
        if hasattr(module, "app"):
            app.add_typer(module.app, name=name)
        else:
            app.command(name)(getattr(module, name))
    return app


def main() -> None:
    """The script: what a use case did is told by the command itself, so that its log has troubles only."""
    logs.configure("command", level=logging.WARNING)
    run()


def run() -> None:
    """Exit status: 0 done, 1 failed with one line a problem, 2 wrong usage."""
    asked = [word for word in sys.argv[1:2] if word in COMMANDS]
    try:
        command_line(asked or COMMANDS)()
    except ConfigurationError as error:
        _fail(error.lines)
    except BillingError as error:
        _fail([str(error)])


def _fail(lines: Iterable[str]) -> None:
    for line in lines:
        print(f"billing: {line}", file=sys.stderr)
    raise SystemExit(1)
