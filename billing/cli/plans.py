"""`billing plans`."""

import json
from typing import Annotated

import typer

from billing import plans
from billing.cli.database import connected
from billing.cli.reading import ask, table
from billing.clock import machine_now
from billing.config import Settings
from billing.plans import PlanOnSale
from billing.reads.plans import plans_on_sale
from billing.reads.written import euros, hours

app = typer.Typer(help="What is for sale.", no_args_is_help=True)


@app.callback()
def nouns() -> None:
    """What is for sale."""


@app.command("list")
def list_plans(as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False) -> None:
    """What is on sale now, in the order in which it is shown."""
    found = ask(Settings.load(), plans_on_sale)
    if as_json:
        typer.echo(json.dumps([_as_json(plan) for plan in found]))
    elif found:
        table([_line(plan) for plan in found])
    else:
        typer.echo("nothing is on sale; `billing plans load-defaults` adds the default plans")


@app.command("load-defaults")
def load_defaults(
    force: Annotated[
        bool, typer.Option(help="Add the missing ones to a table that has plans; edited ones stay.")
    ] = False,
) -> None:
    """Put the default plans into an empty table."""
    with connected(Settings.load()) as begin:
        # The database's clock says what is on sale: a plan of a moved clock would wait for it.
        added = plans.load_defaults(begin, force=force, now=machine_now())
    typer.echo(f"{len(added)} plans added" + (f": {', '.join(added)}" if added else ""))


def _as_json(plan: PlanOnSale) -> dict[str, object]:
    return {
        "id": plan.plan_id,
        "name": plan.name,
        "plan_type": plan.plan_type,
        "hours_included": hours(plan.minutes),
        "price_eur": euros(plan.price_cents),
        "validity_days": plan.validity_days,
        "is_featured": plan.is_featured,
        "display_order": plan.display_order,
    }


def _line(plan: PlanOnSale) -> tuple[str, ...]:
    lasts = f"{plan.validity_days} days" if plan.validity_days else "monthly"
    featured = "featured" if plan.is_featured else ""
    return str(plan.plan_id), plan.name, f"{hours(plan.minutes)} h", f"{euros(plan.price_cents)} €", lasts, featured
