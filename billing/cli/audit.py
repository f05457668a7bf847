"""`billing audit`."""

import json
import sys
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict
from typing import Annotated, Any

import typer

from billing import ledger
from billing.cli.database import connected
from billing.clock import utc_now
from billing.config import Settings
from billing.ledger import Proof, Range
from billing.reads.written import counted


def audit(as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False) -> None:
    """Prove every balance from the ledger; exit status 1 where something does not hold."""
    with connected(Settings.load()) as begin:
        proof = ledger.prove(begin, now=utc_now(), watch=_bar)
    if as_json:
        typer.echo(json.dumps(_as_json(proof)))
    else:
        _say(proof)
    if not proof.holds:
        raise typer.Exit(1)


def _bar(ranges: Sequence[Range]) -> AbstractContextManager[Iterable[Range]]:
    return typer.progressbar(ranges, label="proving", file=sys.stderr)


def _as_json(proof: Proof) -> dict[str, Any]:
    return {
        "students": proof.students,
        "seconds": round(proof.seconds, 3),
        "violation_count": proof.violations,
        "violations": [asdict(violation) for violation in proof.named],
    }


def _say(proof: Proof) -> None:
    for violation in proof.named:
        typer.echo(f"{violation.rule}: {violation.subject}")
    if proof.violations > len(proof.named):
        typer.echo(f"and {proof.violations - len(proof.named)} more")
    verdict = "every balance is the sum of its entries" if proof.holds else counted(proof.violations, "violation")
    typer.echo(f"{verdict} ({counted(proof.students, 'student')}, {proof.seconds:.1f} s)")
