"""How commands name dead letters: one by its kind and id, or many by a filter."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from billing.cli.reading import NothingFoundError
from billing.deadletters.names import TABLES, LetterName
from billing.deadletters.pace import gap_of
from billing.reads.deadletters import STATES

KINDS = ", ".join(TABLES)
MOST = 100_000
RATE = "10/s"


def letter_of(given: str) -> LetterName:
    """Raises BadParameter, or NothingFoundError where no row can have such an id."""
    kind, _, subject = given.partition(":")
    if kind not in TABLES or not subject:
        raise typer.BadParameter(f"{given!r} names none; written as KIND:ID, with a kind of {KINDS}")
    name = LetterName.of(kind, subject)
    if name is None:
        raise NothingFoundError(f"{given} has not given up; `billing deadletters list` shows what has")
    return name


def kind_of(given: str | None) -> str | None:
    if given is not None and given not in TABLES:
        raise typer.BadParameter(f"one of {KINDS}")
    return given


def state_of(given: str | None) -> str | None:
    if given is not None and given not in STATES:
        raise typer.BadParameter(f"one of {', '.join(STATES)}")
    return given


def instant_of(given: str) -> datetime:
    """A date begins at midnight UTC. Raises BadParameter."""
    try:
        at = datetime.fromisoformat(given)
    except ValueError:
        raise typer.BadParameter("a date such as 2026-03-01, or an instant such as 2026-03-01T12:00:00Z") from None
    return at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)


def gap(given: str) -> float:
    try:
        return gap_of(given)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


AsJson = Annotated[bool, typer.Option("--json", help="For programs.")]
Kind = Annotated[str | None, typer.Option(callback=kind_of, help=f"Only those: {KINDS}.")]
Class = Annotated[str | None, typer.Option("--class", help="Only those with this class of error.")]
Digest = Annotated[str | None, typer.Option(help="Only those that failed alike, by the digest of one of them.")]
Before = Annotated[datetime | None, typer.Option(parser=instant_of, metavar="INSTANT", help="Only from before this.")]
Since = Annotated[datetime | None, typer.Option(parser=instant_of, metavar="INSTANT", help="Only from then on.")]
State = Annotated[str | None, typer.Option(callback=state_of, help=f"Only those: {', '.join(STATES)}.")]
Letter = Annotated[
    LetterName | None, typer.Argument(parser=letter_of, metavar="KIND:ID", help="One, as the list names it.")
]
OneLetter = Annotated[LetterName, typer.Argument(parser=letter_of, metavar="KIND:ID", help="As the list names it.")]
All = Annotated[bool, typer.Option("--all", help="All that nobody has parked or discarded.")]
Most = Annotated[int, typer.Option("--limit", min=1, max=MOST, help="So many at most, the oldest first.")]
Rate = Annotated[float, typer.Option(parser=gap, metavar="RATE", help="So many at most, as 10/s or 30/m.")]
Reason = Annotated[str | None, typer.Option(help="Why; it stays in the audit log.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say what it would do; it needs no reason.")]
