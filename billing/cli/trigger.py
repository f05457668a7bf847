"""`billing trigger`: make the sandbox send an event for a purchase, as often and in whatever order one likes."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated, Any

import typer

from billing.cli.reading import NothingFoundError, ask
from billing.cli.sandbox import Sandbox, SandboxRefusedError
from billing.config import Settings
from billing.errors import PermanentError
from billing.reads.payments import PaymentView, find_payment

CONFIRM, CANCEL = "confirm", "cancel"
PAGE, PAGES = 100, 20
MOST_TIMES = 1000

Act = tuple[str, Mapping[str, str]]
ACTS: Mapping[str, Act | None] = {
    "payment_intent.succeeded": (CONFIRM, {"payment_method": "pm_card_visa"}),
    "payment_intent.payment_failed": (CONFIRM, {"payment_method": "pm_card_chargeDeclined"}),
    "payment_intent.processing": (CONFIRM, {"payment_method": "pm_success_de"}),
    "payment_intent.requires_action": (CONFIRM, {"payment_method": "pm_card_authenticationRequired"}),
    "payment_intent.canceled": (CANCEL, {}),
    "charge.succeeded": (CONFIRM, {"payment_method": "pm_card_visa"}),
    "charge.failed": (CONFIRM, {"payment_method": "pm_card_chargeDeclined"}),
    "charge.pending": (CONFIRM, {"payment_method": "pm_success_de"}),
    "payment_intent.created": None,
}
"""What a buyer does, that Stripe tells of by an event of this type; None: it happened with the purchase."""


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
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Make the sandbox send an event for a purchase; one that happened already is delivered again."""
    if event_type not in ACTS:
        raise typer.BadParameter(f"the sandbox makes {', '.join(ACTS)}", param_hint="TYPE")
    settings = Settings.load()
    sandbox = Sandbox(settings)
    payment = ask(settings, lambda connection: find_payment(connection, purchase))
    copies = max(times, 2) if twice else times
    delivered = _trigger(sandbox, event_type, _intent(payment, purchase), copies, reorder=reorder)
    if as_json:
        typer.echo(json.dumps([_as_json(one) for one in delivered]))
    else:
        for one in delivered:
            typer.echo(_line(one))


def _intent(payment: PaymentView | None, given: str) -> str:
    if payment is None:
        raise NothingFoundError(f"no purchase has the task id or transaction id {given}")
    if payment.payment_intent_id is None:
        told = (
            "a worker makes its payment intent in a moment" if payment.state == "queued" else "it never had an intent"
        )
        raise NoIntentError(f"purchase {payment.transaction_id} is {payment.state}; {told}")
    return payment.payment_intent_id


def _trigger(sandbox: Sandbox, event_type: str, intent: str, times: int, *, reorder: bool) -> list[Delivered]:
    with _held_back(sandbox, is_wanted=reorder):
        event, is_new = _happened(sandbox, event_type, intent)
        if reorder:
            return [_deliver(sandbox, one, times, is_new=one == event and is_new) for one in _events(sandbox, intent)]
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


def _happened(sandbox: Sandbox, event_type: str, intent: str) -> tuple[Mapping[str, Any], bool]:
    """The newest event of this type, and whether it was only just made to happen."""
    if found := _events(sandbox, intent, event_type):
        return found[0], False
    act = ACTS[event_type]
    answer = sandbox.act(f"/v1/payment_intents/{intent}/{act[0]}", **act[1]) if act else {}
    if found := _events(sandbox, intent, event_type):
        return found[0], True
    status = answer.get("status") or answer.get("error", {}).get("message") or "as it was"
    raise SandboxRefusedError(f"that made no {event_type}: the payment is {status}")


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
