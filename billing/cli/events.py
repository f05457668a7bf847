"""`billing events`."""

import json
from typing import Annotated, Any

import typer

from billing.cli.reading import NothingFoundError, ask, table
from billing.config import Settings
from billing.reads.events import EventView, find_event, list_events
from billing.reads.written import instant
from billing.redaction import redacted
from billing.states import EventState

app = typer.Typer(help="What Stripe told us.", no_args_is_help=True)

AsJson = Annotated[bool, typer.Option("--json", help="For programs.")]


@app.callback()
def nouns() -> None:
    """What Stripe told us."""


@app.command("list")
def list_(
    state: Annotated[EventState | None, typer.Option(help="Only those.")] = None,
    event_type: Annotated[str | None, typer.Option("--type", help="Only those, as payment_intent.succeeded.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="The newest ones.")] = 20,
    as_json: AsJson = False,
) -> None:
    """The newest events, and what became of them."""
    found = ask(
        Settings.load(),
        lambda connection: list_events(connection, most=limit, state=state, event_type=event_type),
    )
    if as_json:
        typer.echo(json.dumps([_as_json(event) for event in found]))
    elif found:
        table([_line(event) for event in found])
    else:
        typer.echo("no events")


@app.command()
def show(
    event: Annotated[str, typer.Argument(metavar="ID", help="Stripe's id (evt_…) or ours.")], as_json: AsJson = False
) -> None:
    """One event with its body, in which secrets and addresses are masked."""
    found = ask(Settings.load(), lambda connection: find_event(connection, event))
    if found is None:
        raise NothingFoundError(f"no event has the id {event}; `billing events list` shows the newest")
    view, body = found
    facts = _as_json(view)
    if as_json:
        typer.echo(json.dumps({**facts, "body": _masked(body)}))
    else:
        table([(name.replace("_", " "), str(value)) for name, value in facts.items() if value is not None])
        typer.echo(json.dumps(_masked(body), indent=2))


def _masked(body: bytes) -> Any:
    try:
        return redacted(json.loads(body))
    except ValueError:
        return f"{len(body)} bytes that are no JSON"


def _as_json(event: EventView) -> dict[str, Any]:
    return {
        "id": event.id,
        "stripe_event_id": event.stripe_event_id,
        "type": event.type,
        "state": event.state,
        "outcome": event.outcome,
        "attempts": event.attempts,
        "last_error": event.last_error,
        "request_id": event.request_id,
        "received_at": instant(event.received_at),
        "processed_at": event.processed_at and instant(event.processed_at),
    }


def _line(event: EventView) -> tuple[str, ...]:
    became = event.outcome or event.last_error or ""
    return str(event.id), instant(event.received_at), event.state, event.type, event.stripe_event_id, became
