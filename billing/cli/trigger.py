"""`billing trigger`: make the sandbox send an event for a purchase, as often and in whatever order one likes."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated, Any

import typer

from billing.cli.happenings import ACTS, CLOSED, PARTIAL, Outcome, Wish
from billing.cli.reading import NothingFoundError, ask
from billing.cli.sandbox import Sandbox, SandboxRefusedError
from billing.config import Settings
from billing.errors import PermanentError
from billing.reads.payments import PaymentView, find_payment

PAGE, PAGES = 100, 20
MOST_TIMES = 1000


class NoIntentError(PermanentError):
    """Nothing was made at the sandbox for this purchase yet."""


@dataclass(frozen=True, slots=True)
class Delivered:
    """`statuses` are the webhook's answers to what was sent beside the sandbox's own delivery; 0 is none."""

    event_id: str
    event_type: str
    statuses: Sequence[int]
    is_new: bool


def trigger(
    event_type: Annotated[str, typer.Argument(metavar="TYPE", help=", ".join(ACTS))],
    purchase: Annotated[str, typer.Option(help="A purchase's task id or transaction id.")],
    times: Annotated[int, typer.Option(min=1, max=MOST_TIMES, help="How often it is delivered.")] = 1,
    twice: Annotated[bool, typer.Option("--twice", help="The same as --times 2.")] = False,
    reorder: Annotated[
        bool, typer.Option("--reorder", help="All events of this payment, the newest first, before their usual order.")
    ] = False,
    amount: Annotated[
        int | None, typer.Option(min=1, help="Cents that are refunded or disputed: it happens anew. All, unless given.")
    ] = None,
    outcome: Annotated[
        Outcome | None, typer.Option(help=f"How the dispute of {CLOSED} ends; lost, unless given.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Make the sandbox send an event for a purchase; one that happened already is delivered again."""
    _check(event_type, amount, outcome)
    settings = Settings.load()
    sandbox = Sandbox(settings)
    payment = ask(settings, lambda connection: find_payment(connection, purchase))
    copies = max(times, 2) if twice else times
    wish = Wish(event_type, _intent(payment, purchase), amount, outcome)
    delivered = fulfil(sandbox, wish, copies, reorder=reorder)
    if as_json:
        typer.echo(json.dumps([_as_json(one) for one in delivered]))
    else:
        for one in delivered:
            typer.echo(_line(one))


def _check(event_type: str, amount: int | None, outcome: Outcome | None) -> None:
    if event_type not in ACTS:
        raise typer.BadParameter(f"the sandbox makes {', '.join(ACTS)}", param_hint="TYPE")
    if amount is not None and event_type not in PARTIAL:
        raise typer.BadParameter(f"it is for {', '.join(sorted(PARTIAL))}", param_hint="--amount")
    if outcome is not None and event_type != CLOSED:
        raise typer.BadParameter(f"it is for {CLOSED}", param_hint="--outcome")


def _intent(payment: PaymentView | None, given: str) -> str:
    if payment is None:
        raise NothingFoundError(f"no purchase has the task id or transaction id {given}")
    if payment.payment_intent_id is None:
        told = (
            "a worker makes its payment intent in a moment" if payment.state == "queued" else "it never had an intent"
        )
        raise NoIntentError(f"purchase {payment.transaction_id} is {payment.state}; {told}")
    return payment.payment_intent_id


def fulfil(sandbox: Sandbox, wish: Wish, times: int, *, reorder: bool) -> list[Delivered]:
    with _held_back(sandbox, is_wanted=reorder):
        event, is_new = _happened(sandbox, wish)
        if reorder:
            events = _events(sandbox, wish.intent)
            return [_deliver(sandbox, one, times, is_new=one == event and is_new) for one in events]
        return [_deliver(sandbox, event, times - is_new, is_new=is_new)]


@contextmanager
def _held_back(sandbox: Sandbox, *, is_wanted: bool) -> Iterator[None]:
    """What happens meanwhile is delivered afterwards."""
    plan = sandbox.control("delivery")
    if is_wanted:
        sandbox.control("delivery", {**plan, "paused": True})
    try:
        yield
    finally:
        if is_wanted:
            sandbox.control("delivery", plan)


def _happened(sandbox: Sandbox, wish: Wish) -> tuple[Mapping[str, Any], bool]:
    """The newest event of this type, and whether it was only just made to happen."""
    known = _events(sandbox, wish.intent, wish.event_type)
    if found := next(filter(wish.is_met_by, known), None):
        return found, False
    act = ACTS[wish.event_type]
    answer = act(sandbox, wish) if act else {}
    ids = {event["id"] for event in known}
    if made := [event for event in _events(sandbox, wish.intent, wish.event_type) if event["id"] not in ids]:
        return made[0], True
    status = answer.get("status") or answer.get("error", {}).get("message") or "as it was"
    raise SandboxRefusedError(f"that made no {wish.event_type}: the payment is {status}")


def _events(sandbox: Sandbox, intent: str, event_type: str | None = None) -> list[Mapping[str, Any]]:
    """Of this payment intent and its charges, the newest first."""
    query: dict[str, Any] = {"limit": PAGE, **({"type": event_type} if event_type else {})}
    found: list[Mapping[str, Any]] = []
    for _ in range(PAGES):
        page = sandbox.get("/v1/events", **query)
        found += [event for event in page["data"] if _is_about(event["data"]["object"], intent)]
        if not page["has_more"]:
            break
        query["starting_after"] = page["data"][-1]["id"]
    return found


def _is_about(subject: Mapping[str, Any], intent: str) -> bool:
    return intent in (subject["id"], subject.get("payment_intent"))


def _deliver(sandbox: Sandbox, event: Mapping[str, Any], times: int, *, is_new: bool) -> Delivered:
    sent = sandbox.control(f"events/{event['id']}/deliver?times={times}", {}) if times else {"statuses": []}
    return Delivered(event["id"], event["type"], [status or 0 for status in sent["statuses"]], is_new)


def _as_json(one: Delivered) -> dict[str, Any]:
    return {"id": one.event_id, "type": one.event_type, "is_new": one.is_new, "statuses": list(one.statuses)}


def _line(one: Delivered) -> str:
    happened = "happened, and the sandbox delivers it" if one.is_new else "happened before"
    again = f"; delivered {len(one.statuses)} times: {', '.join(map(str, one.statuses))}" if one.statuses else ""
    return f"{one.event_type} {one.event_id} {happened}{again}"
