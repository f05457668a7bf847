"""`billing doctor`: every dependency and setting, each with a mend."""

import json
import sys
from collections.abc import Iterable, Sequence
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from billing.cli.doctor.brakes import brake_findings
from billing.cli.doctor.configuration import complaints, settings_findings
from billing.cli.doctor.findings import Finding, Health
from billing.cli.doctor.machine import machine_findings, place_findings
from billing.cli.doctor.mail import mail_findings
from billing.cli.doctor.payments import stripe_findings
from billing.cli.doctor.postgres import postgres_findings
from billing.cli.doctor.queues import queue_findings
from billing.config import Settings
from billing.errors import ConfigurationError

COLOURS = {Health.OK: "green", Health.WARNING: "yellow", Health.RED: "bold red"}
CHECKS = (
    settings_findings,
    place_findings,
    postgres_findings,
    queue_findings,
    stripe_findings,
    brake_findings,
    mail_findings,
)


def doctor(as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False) -> None:
    """Look at every dependency and setting; exit status 1 where one is red. Each says how to mend it."""
    found = list(examine())
    if as_json:
        typer.echo(json.dumps({"ok": not _red(found), "findings": [_as_json(finding) for finding in found]}))
    elif sys.stdout.isatty():
        Console().print(table_of(found))
    else:
        for finding in found:
            typer.echo(_line(finding))
    if _red(found):
        raise typer.Exit(1)


def examine() -> Iterable[Finding]:
    """Without settings nobody knows where anything is; the machine itself can still be looked at."""
    yield from machine_findings()
    try:
        settings = Settings.load()
    except ConfigurationError as error:
        yield from complaints(error.lines)
        return
    for check in CHECKS:
        yield from check(settings)


def _red(found: Sequence[Finding]) -> bool:
    return any(finding.health is Health.RED for finding in found)


def _as_json(finding: Finding) -> dict[str, str | None]:
    facts = {"subject": finding.subject, "health": finding.health.value, "detail": finding.detail}
    return {**facts, "mend": finding.mend or None}


def _line(finding: Finding) -> str:
    mend = f"; mend: {finding.mend}" if finding.mend else ""
    return f"{finding.health.value:<8} {finding.subject}: {finding.detail}{mend}"


def table_of(found: Sequence[Finding]) -> Table:
    table = Table("", "what", "found", "mend", box=None, pad_edge=False)
    for finding in found:
        health = Text(finding.health.value, style=COLOURS[finding.health])
        table.add_row(health, Text(finding.subject), Text(finding.detail), Text(finding.mend))
    return table
