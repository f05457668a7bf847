"""The `billing` command: one file a noun. It calls use cases; it holds no rules."""

import sys

import typer

from billing.cli import audit, demo, migrate, plans, token, up
from billing.errors import BillingError, ConfigurationError

app = typer.Typer(
    name="billing",
    help="Prepaid tutoring hours: purchases, Stripe webhooks and an hour ledger on a worker queue.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command()(up.up)
app.command()(migrate.migrate)
app.add_typer(plans.app, name="plans")
app.command()(token.token)
app.command()(demo.demo)
app.command()(audit.audit)


def main() -> None:
    """Exit status: 0 done, 1 failed with one line a problem, 2 wrong usage."""
    try:
        app()
    except ConfigurationError as error:
        fail(*error.lines)
    except BillingError as error:
        fail(str(error))


def fail(*lines: str) -> None:
    for line in lines:
        print(f"billing: {line}", file=sys.stderr)
    raise SystemExit(1)
