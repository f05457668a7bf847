"""`billing reconcile`: read Stripe's side now, in this process; and what was found to differ."""

import json
from collections.abc import Sequence
from datetime import timedelta
from typing import Annotated, Any

import typer

from billing import clock
from billing.cli.clock import seconds_of
from billing.cli.database import connected
from billing.cli.desk import desk_of
from billing.cli.reading import ask, table
from billing.config import Settings
from billing.errors import RefusedError
from billing.purchases.desk import Desk
from billing.reads.reconciliation import FindingView, list_findings
from billing.reads.written import counted, euros, instant
from billing.reconciliation import compare, events
from billing.reconciliation.findings import Difference
from billing.reconciliation.runs import Report
from billing.states import CaseState, FindingKind

app = typer.Typer(help="What Stripe says beside what we know.", invoke_without_command=True)

AsJson = Annotated[bool, typer.Option("--json", help="For programs.")]
Since = Annotated[
    int | None,
    typer.Option(parser=seconds_of, metavar="SPAN", help="Like 2d or 12h; default: since the last reading, or 2d."),
]


@app.callback()
def reconcile(
    context: typer.Context,
    since: Since = None,
    ledger: Annotated[bool, typer.Option("--ledger", help="Compare payments and refunds too.")] = False,
    is_dry: Annotated[bool, typer.Option("--dry-run", help="Only say what would be recorded and found.")] = False,
    as_json: AsJson = False,
) -> None:
    """Record Stripe's events that never reached us, and look for differences; exit status 1 where there are any."""
    if context.invoked_subcommand is not None:
        return
    settings = Settings.load()
    clock.follow(settings)
    with connected(settings) as begin:
        try:
            reports = _read(desk_of(settings, begin), since, ledger=ledger, is_dry=is_dry)
        except RefusedError as refusal:
            raise typer.BadParameter(str(refusal), param_hint="--since") from None
    _say(reports, is_dry=is_dry, as_json=as_json)
    if any(report.found for report in reports.values()):
        raise typer.Exit(1)


@app.command("findings")
def findings(
    every: Annotated[bool, typer.Option("--all", help="Closed ones too.")] = False,
    kind: Annotated[FindingKind | None, typer.Option(help="Only those.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="The newest ones.")] = 50,
    as_json: AsJson = False,
) -> None:
    """Differences that were found; somebody closes each with a note, also one that is not found any more."""
    wanted = None if every else CaseState.OPEN
    found = ask(Settings.load(), lambda connection: list_findings(connection, most=limit, state=wanted, kind=kind))
    if as_json:
        typer.echo(json.dumps([_finding_as_json(finding) for finding in found]))
    elif found:
        table([_line(finding) for finding in found])
    else:
        typer.echo("nothing differs")


def _read(desk: Desk, since: int | None, *, ledger: bool, is_dry: bool) -> dict[str, Report]:
    begins_at = None if since is None else desk.now - timedelta(seconds=since)
    report, _ = events.read(desk, events.Wish(begins_at, is_dry=is_dry))
    if not ledger:
        return {"events": report}
    compared, _ = compare.compare(desk, begins_at or desk.now - compare.NIGHTLY, is_dry=is_dry)
    return {"events": report, "ledger": compared}


def _say(reports: dict[str, Report], *, is_dry: bool, as_json: bool) -> None:
    if as_json:
        told = {name: _report_as_json(report) for name, report in reports.items()}
        typer.echo(json.dumps({"dry_run": is_dry, **told}))
        return
    for name, report in reports.items():
        _say_one(name, report, is_dry=is_dry)


def _say_one(name: str, report: Report, *, is_dry: bool) -> None:
    would = "would be " if is_dry else ""
    since = instant(report.since)
    if name == "events":
        done = f"{report.recorded} {would}recorded, {report.adopted} adopted"
        told = f"{counted(report.seen, 'event')} since {since}: {done}"
    else:
        told = f"{report.seen} payments and refunds since {since}"
    typer.echo(f"{told}, {len(report.found)} differ")
    if report.found:
        table([(one.kind.value, one.source, *_amounts(one), one.detail) for one in report.found], indent="  ")


def _amounts(one: Difference | FindingView) -> Sequence[str]:
    ours, theirs = (None if cents is None else euros(cents) for cents in (one.ours_cents, one.theirs_cents))
    return f"here {ours or '-'}", f"there {theirs or '-'}"


def _report_as_json(report: Report) -> dict[str, Any]:
    return {
        "since": instant(report.since),
        "until": instant(report.until),
        "seen": report.seen,
        "recorded": report.recorded,
        "adopted": report.adopted,
        "found": [
            {
                "kind": one.kind,
                "source": one.source,
                "purchase_id": one.purchase_id and str(one.purchase_id),
                "detail": one.detail,
                "ours_cents": one.ours_cents,
                "theirs_cents": one.theirs_cents,
            }
            for one in report.found
        ],
    }


def _line(finding: FindingView) -> tuple[str, ...]:
    seen = f"last seen {instant(finding.seen_at)}{', not since' if finding.is_gone else ''}"
    state = finding.state.value if finding.note is None else f"closed by {finding.closed_by}: {finding.note}"
    facts = (str(finding.id), finding.kind.value, finding.source, *_amounts(finding))
    return (*facts, finding.owner or "-", instant(finding.opened_at), seen, state, finding.detail)


def _finding_as_json(finding: FindingView) -> dict[str, Any]:
    return {
        "id": str(finding.id),
        "kind": finding.kind,
        "source": finding.source,
        "transaction_id": finding.transaction_id,
        "detail": finding.detail,
        "ours_cents": finding.ours_cents,
        "theirs_cents": finding.theirs_cents,
        "owner": finding.owner,
        "state": finding.state,
        "opened_at": instant(finding.opened_at),
        "seen_at": instant(finding.seen_at),
        "is_gone": finding.is_gone,
        "closed_at": finding.closed_at and instant(finding.closed_at),
        "closed_by": finding.closed_by,
        "note": finding.note,
    }
