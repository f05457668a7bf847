"""`billing events`: what Stripe told us, listed, shown, worked anew."""

import json
from typing import Annotated, Any

import typer

from billing import clock
from billing.cli import replays
from billing.cli.acts import reason_of
from billing.cli.letters import Before, DryRun, Since
from billing.cli.reading import NothingFoundError, ask, table
from billing.config import Settings
from billing.deadletters.names import LetterName
from billing.reads.events import EventFilter, EventView, find_event, list_events
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
    since: Since = None,
    before: Before = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="The newest ones.")] = 20,
    as_json: AsJson = False,
) -> None:
    """The newest events, and what became of them."""
    found = ask(
        Settings.load(),
        lambda connection: list_events(connection, most=limit, only=EventFilter(state, event_type, since, before)),
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


@app.command()
def replay(
    event: Annotated[str, typer.Argument(metavar="ID", help="Stripe's id (evt_…) or ours.")],
    reason: Annotated[str | None, typer.Option(help="Why; it stays in the audit log.")] = None,
    is_dry: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Work an event anew, and say what became of it. One that is applied already has no effect."""
    if reason is None and not is_dry:
        raise typer.BadParameter("why? it stays in the audit log", param_hint="--reason")
    why = reason_of(reason) if reason is not None else ""
    settings = Settings.load()
    clock.follow(settings)
    found = ask(settings, lambda connection: find_event(connection, event))
    if found is None:
        raise NothingFoundError(f"no event has the id {event}; `billing events list` shows the newest")
    name = LetterName("webhook_event", str(found[0].id))
    if is_dry:
        replays.say_preview(settings, name, as_json=as_json)
    else:
        replays.replay(settings, name, why, as_json=as_json)


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
