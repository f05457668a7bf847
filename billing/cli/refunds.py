"""`billing students refund`: what could go back, by which formula, and then the act."""

import json
from decimal import Decimal, InvalidOperation
from typing import Annotated, Any

import typer

from billing import clock
from billing.cli import acts
from billing.cli.reading import NothingFoundError, ask, table
from billing.clock import utc_now
from billing.config import Settings
from billing.reads.quotes import QuoteView, find_quote, written_quote
from billing.reads.refunds import RefundView, find_refund, written_refund
from billing.staff.accept_refund import accept_refund
from billing.staff.refunds import policy_of
from billing.staff.wishes import RefundPurchase

LARGEST_ID = 2**63 - 1
HIGHEST_EUROS = 1_000_000


def cents_of(given: str) -> int:
    """Of euros as people write them. Raises BadParameter."""
    try:
        cents = Decimal(given) * 100
    except InvalidOperation:
        raise typer.BadParameter("an amount such as 70 or 70.00") from None
    if not cents.is_finite() or not 0 < cents <= HIGHEST_EUROS * 100:
        raise typer.BadParameter(f"more than 0 and at most {HIGHEST_EUROS}")
    if cents != int(cents):
        raise typer.BadParameter("two places at most")
    return int(cents)


def reason_of(given: str | None) -> str | None:
    return None if given is None else acts.reason_of(given)


Number = Annotated[int, typer.Argument(metavar="TRANSACTION_ID", min=1, max=LARGEST_ID)]
Amount = Annotated[int | None, typer.Option(parser=cents_of, metavar="EUROS", help="All of the quote, if absent.")]
Reason = Annotated[str | None, typer.Option(callback=reason_of, help="Why; it stays in the audit log.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only the quote; it needs no reason.")]
AsJson = Annotated[bool, typer.Option("--json", help="For programs.")]


def refund(
    transaction_id: Number,
    amount: Amount = None,
    reason: Reason = None,
    is_dry: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Give money back for hours that nobody used: they are held now, and a worker of payments sends the money."""
    if reason is None and not is_dry:
        raise typer.BadParameter("it is needed where money moves", param_hint="--reason")
    settings = Settings.load()
    clock.follow(settings)
    quoted = _quoted(settings, transaction_id)
    if not as_json:
        table([(name.replace("_", " "), str(value)) for name, value in written_quote(quoted).items()])
    if reason is None or is_dry:
        made = None
    else:
        made = _made(settings, RefundPurchase(transaction_id=transaction_id, amount_cents=amount), reason)
    if as_json:
        typer.echo(json.dumps({"quote": written_quote(quoted), "refund": made and written_refund(made)}))
    elif made is not None:
        typer.echo(_told(made))


def _quoted(settings: Settings, transaction_id: int) -> QuoteView:
    now, policy = utc_now(), policy_of(settings)
    found = ask(settings, lambda connection: find_quote(connection, transaction_id, policy, now=now))
    if found is None:
        raise NothingFoundError(f"there is no transaction {transaction_id}")
    return found


def _made(settings: Settings, wish: RefundPurchase, reason: str) -> RefundView:
    act = acts.perform(settings, wish, reason, accept_refund)
    found = ask(settings, lambda connection: find_refund(connection, act.id))
    if found is None:
        raise NothingFoundError(f"the refund {act.id} is not there any more")
    return found


def _told(made: RefundView) -> str:
    facts: dict[str, Any] = written_refund(made)
    line = f"refund {facts['id']} of {facts['amount']} € for {facts['hours']} hours: {facts['status']}"
    return line if made.is_decided else f"{line}; a worker of payments sends it"
