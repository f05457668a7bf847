"""`billing expire`: write off what expired, now and in this process; or see what that would be; or undo it."""

import json
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any

import typer
from sqlalchemy import text

from billing import clock, work
from billing.cli.database import connected
from billing.cli.reading import NothingFoundError, ask, table
from billing.clock import utc_now
from billing.config import Settings
from billing.db import Begin, repeated
from billing.errors import LeaseLostError, PermanentError
from billing.expiry.preview import Preview, count_due, preview
from billing.expiry.sweep import Watch, cutoff, go_on, start_sweep
from billing.expiry.undo import undo_sweep
from billing.reads.students import find_student
from billing.reads.whose import of_address
from billing.reads.written import counted, hours, instant
from billing.states import SweepState, SweepTrigger

MOST_GRACE_HOURS = 24 * 366
LOOK_EVERY_SECONDS = 0.2
RUN = text("SELECT state, students, lots, minutes, gave_up_at, last_error FROM sweep_run WHERE id = :id")


class SweepGaveUpError(PermanentError):
    """Nobody goes on with it by itself."""


@dataclass(frozen=True, slots=True)
class Wish:
    """Whose lots (None: everybody's), as of when, and with how much grace."""

    student_id: int | None
    grace_hours: int
    now: datetime

    @property
    def cutoff(self) -> datetime:
        return cutoff(self.now, self.grace_hours)


def expire(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be written off, and whose.")] = False,
    grace_hours: Annotated[
        int | None,
        typer.Option(min=0, max=MOST_GRACE_HOURS, help="How long after their expiry; default EXPIRY_GRACE_HOURS."),
    ] = None,
    student: Annotated[str | None, typer.Option(metavar="EMAIL", help="Only this student's hours.")] = None,
    notify: Annotated[bool, typer.Option("--notify", help="Tell the students by mail what they lost.")] = False,
    undo: Annotated[int | None, typer.Option(metavar="RUN", help="Give back what this run wrote off.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Write off the hours that expired; as often and as many at once as one likes, each lot is taken once."""
    settings = Settings.load()
    clock.follow(settings)
    if undo is not None:
        if dry_run or notify or grace_hours is not None or student is not None:
            raise typer.BadParameter("it takes no other option but --json", param_hint="--undo")
        _undo(settings, undo, as_json=as_json)
        return
    grace = settings.expiry_grace_hours if grace_hours is None else grace_hours
    wish = Wish(None if student is None else _student_id(settings, student), grace, utc_now())
    if dry_run:
        _say_preview(wish, _preview(settings, wish), as_json=as_json)
    else:
        _sweep(settings, wish, is_told=notify, as_json=as_json)


def _student_id(settings: Settings, email: str) -> int:
    found = ask(settings, lambda connection: find_student(connection, of_address(email.strip().lower())))
    if found is None:
        raise NothingFoundError(f"no student has the address {email}")
    return found.id


def _preview(settings: Settings, wish: Wish) -> Preview:
    return ask(settings, lambda connection: preview(connection, cutoff=wish.cutoff, student_id=wish.student_id))


def _sweep(settings: Settings, wish: Wish, *, is_told: bool, as_json: bool) -> None:
    began = time.monotonic()
    with connected(settings) as begin:
        with begin() as session:
            expected = count_due(session, cutoff=wish.cutoff, student_id=wish.student_id)
        (message,) = start_sweep(
            begin,
            SweepTrigger.COMMAND,
            grace_hours=wish.grace_hours,
            now=wish.now,
            student_id=wish.student_id,
            is_told=is_told,
        )
        with typer.progressbar(length=expected, label=f"run {message.run_id}", file=sys.stderr) as bar:
            run = _follow(begin, settings, message.run_id, lambda chunk: bar.update(len(chunk.lots)))
    facts = {"run": message.run_id, **_sums(run["students"], run["lots"], run["minutes"])}
    _say(facts, "expired", seconds=time.monotonic() - began, as_json=as_json)


def _follow(begin: Begin, settings: Settings, run_id: int, watch: Watch) -> dict[str, Any]:
    """The run once it is finished, by us or, where this process was too slow to keep it, by a worker."""
    terms = work.LeaseTerms(settings.work_lease_seconds, settings.work_lost_claims)
    while True:
        with suppress(LeaseLostError):
            go_on(begin, terms, run_id, now=utc_now(), watch=watch)
        run = _run(begin, run_id)
        if run["state"] != SweepState.RUNNING:
            return run
        if run["gave_up_at"] is not None:
            told = f"run {run_id} gave up: {run['last_error']}; `billing deadletters` shows it"
            raise SweepGaveUpError(told)
        time.sleep(LOOK_EVERY_SECONDS)


def _run(begin: Begin, run_id: int) -> dict[str, Any]:
    with begin() as session:
        return dict(session.execute(RUN, {"id": run_id}).mappings().one())


def _undo(settings: Settings, run_id: int, *, as_json: bool) -> None:
    began = time.monotonic()
    with connected(settings) as begin:
        back = repeated(begin, lambda session: undo_sweep(session, run_id, at=utc_now()))
    facts = {"run": run_id, **_sums(back.students, back.lots, back.minutes)}
    _say(facts, "given back", seconds=time.monotonic() - began, as_json=as_json)


def _sums(students: int, lots: int, minutes: int) -> dict[str, Any]:
    return {"students": students, "lots": lots, "minutes": minutes, "hours": hours(minutes)}


def _say(facts: dict[str, Any], what: str, *, seconds: float, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps({**facts, "seconds": round(seconds, 3)}))
        return
    sums = f"{facts['hours']} hours of {counted(facts['lots'], 'lot')} of {counted(facts['students'], 'student')}"
    typer.echo(f"run {facts['run']}: {sums} {what} in {seconds:.1f} s")


def _say_preview(wish: Wish, found: Preview, *, as_json: bool) -> None:
    sums = _sums(found.students, found.lots, found.minutes)
    if as_json:
        losses = [
            {
                "student_id": loss.student_id,
                "email": loss.email,
                "lots": loss.lots,
                "minutes": loss.minutes,
                "expired_at": instant(loss.expires_at),
            }
            for loss in found.losses
        ]
        typer.echo(json.dumps({"dry_run": True, "cutoff": instant(wish.cutoff), **sums, "losses": losses}))
        return
    table([
        (loss.email, f"{hours(loss.minutes)} hours", counted(loss.lots, "lot"), f"expired {instant(loss.expires_at)}")
        for loss in found.losses
    ])  # fmt: skip
    if found.students > len(found.losses):
        typer.echo(f"and {found.students - len(found.losses)} more students")
    typer.echo(
        f"{sums['hours']} hours of {counted(found.lots, 'lot')} of {counted(found.students, 'student')} would expire"
    )
