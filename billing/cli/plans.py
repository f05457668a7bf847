"""`billing plans`."""

import json
from collections.abc import Sequence
from typing import Annotated

import typer

from billing import plans
from billing.cli import plan_acts
from billing.cli.database import connected
from billing.cli.reading import NothingFoundError, ask, table
from billing.clock import machine_now
from billing.config import Settings
from billing.plans import PlanOnSale
from billing.reads.pages import Slice
from billing.reads.plans import PlanView, VersionView, find_plan, page_plans, plans_on_sale, written_plan
from billing.reads.written import euros, hours, instant

app = typer.Typer(help="What is for sale.", no_args_is_help=True)
for act in plan_acts.ACTS:
    app.command()(act)

MOST = 1000
AsJson = Annotated[bool, typer.Option("--json", help="For programs.")]


@app.callback()
def nouns() -> None:
    """What is for sale."""


@app.command("list")
def list_plans(
    is_all: Annotated[bool, typer.Option("--all", help="Also what is not on sale.")] = False, as_json: AsJson = False
) -> None:
    """What is on sale now, in the order in which it is shown."""
    if is_all:
        _list_all(as_json=as_json)
    else:
        _list_on_sale(as_json=as_json)


@app.command()
def show(plan_id: plan_acts.Number, as_json: AsJson = False) -> None:
    """A plan with all its versions: what it was, what it is, and what it is to be."""
    found = ask(Settings.load(), lambda connection: find_plan(connection, plan_id))
    if found is None:
        raise NothingFoundError(f"there is no plan {plan_id}")
    if as_json:
        typer.echo(json.dumps(written_plan(found)))
        return
    typer.echo(" ".join(_head(found)))
    table([_line_of(version) for version in found.versions], indent="  ")


def _list_all(*, as_json: bool) -> None:
    page = ask(Settings.load(), lambda connection: page_plans(connection, Slice(size=MOST)))
    if as_json:
        typer.echo(json.dumps([written_plan(plan) for plan in page.rows]))
    elif page.rows:
        table([_head(plan) for plan in page.rows])
    else:
        typer.echo("there are no plans; `billing plans load-defaults` adds the default plans")


def _list_on_sale(*, as_json: bool) -> None:
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
    as_json: AsJson = False,
) -> None:
    """Put the default plans into an empty table."""
    settings = Settings.load()
    with connected(settings) as begin:
        # The database's clock says what is on sale: a plan of a moved clock would wait for it.
        added = plans.load_defaults(begin, force=force, now=machine_now())
    if as_json:
        typer.echo(json.dumps(_loaded(settings, added)))
    else:
        typer.echo(f"{len(added)} plans added" + (f": {', '.join(added)}" if added else ""))


def _loaded(settings: Settings, added: Sequence[str]) -> dict[str, object]:
    """What was there already is never changed."""
    page = ask(settings, lambda connection: page_plans(connection, Slice(size=MOST)))
    told = [{"id": plan.id, "code": plan.code, "is_new": plan.code in added} for plan in page.rows]
    return {"added": len(added), "left": page.count - len(added), "plans": told}


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


def _head(plan: PlanView) -> tuple[str, ...]:
    shown = plan.current or plan.newest
    state = "active" if plan.is_active else "archived"
    featured = "featured" if plan.is_featured else ""
    return str(plan.id), shown.terms.name if shown else plan.code, f"place {plan.display_order}", state, featured


def _line_of(version: VersionView) -> tuple[str, ...]:
    terms = version.terms
    lasts = f"{terms.validity_days} days" if terms.validity_days else "monthly"
    kept = f"{hours(terms.rollover_minutes)} h roll over" if terms.rollover_minutes else ""
    facts = (terms.name, f"{hours(terms.minutes)} h", f"{euros(terms.price_cents)} €", lasts, kept)
    return f"version {version.version}", version.status, f"from {instant(version.effective_from)}", *facts
