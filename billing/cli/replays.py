"""What commands about dead letters and events share: a replay as a staff act, what became of it, its preview."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import typer
from sqlalchemy.ext.asyncio import AsyncConnection

from billing.cli import acts
from billing.cli.reading import NothingFoundError, ask, table
from billing.clock import utc_now
from billing.config import Settings
from billing.deadletters.names import LetterName
from billing.deadletters.outcome import Became, Standing, find_standing, until_over
from billing.deadletters.preview import Preview, Terms, preview
from billing.deadletters.reopen import Result
from billing.reads.staff_acts import ActView
from billing.reads.written import hours, instant
from billing.staff.wishes import Replay

PATIENCE_SECONDS = 20.0
"""For a worker, which the sweeper tells within two seconds."""


@dataclass(frozen=True, slots=True)
class Replayed:
    """An act that is done, and how the row stands since."""

    name: LetterName
    result: Result
    standing: Standing

    @property
    def is_done(self) -> bool:
        """A row that had not given up has not failed either."""
        return self.result is not Result.REOPENED or self.standing.became is Became.DONE

    def as_json(self) -> dict[str, Any]:
        standing = self.standing
        return {
            "id": str(self.name),
            "result": self.result,
            "became": standing.became,
            "state": standing.state,
            "detail": standing.detail,
            "reason": standing.reason,
            "due_at": standing.due_at and instant(standing.due_at),
            "ledger_entries": [dict(entry) for entry in standing.entries],
        }


def opened(settings: Settings, name: LetterName, reason: str) -> ActView:
    """The act of a replay, done: its effect is on the row alone. Raises ActRefusedError where there is no such row."""
    return acts.perform(settings, Replay(kind=name.kind, subject=name.subject), reason)


def followed(
    settings: Settings,
    name: LetterName,
    act: ActView,
    patience_seconds: float,
    is_stopped: Callable[[], bool] = lambda: False,
) -> Replayed:
    """What a worker made of it, as far as it is known when the time is over."""
    after = dict(act.after or {})
    result, newest = Result(after["result"]), after["newest_entry"]
    patience = patience_seconds if result is Result.REOPENED else 0.0

    async def until(connection: AsyncConnection) -> Standing | None:
        return await until_over(lambda: find_standing(connection, name, newest), patience, is_stopped=is_stopped)

    found = ask(settings, until)
    if found is None:
        raise NothingFoundError(f"{name} is not there any more")
    return Replayed(name, result, found)


def all_followed(
    settings: Settings, opened: Sequence[tuple[LetterName, ActView]], is_stopped: Callable[[], bool]
) -> list[Replayed]:
    """Once one has used up the time, the others are only looked at."""
    replayed: list[Replayed] = []
    patience = PATIENCE_SECONDS
    for name, act in opened:
        one = followed(settings, name, act, patience, is_stopped)
        replayed.append(one)
        if one.result is Result.REOPENED and one.standing.became is Became.WAITING:
            patience = 0.0
    return replayed


def replay(settings: Settings, name: LetterName, reason: str, *, as_json: bool) -> None:
    """Raises Exit with 1 where it gave up again, or is not done in time."""
    replayed = followed(settings, name, opened(settings, name, reason), PATIENCE_SECONDS)
    typer.echo(json.dumps(replayed.as_json()) if as_json else told(replayed))
    if not replayed.is_done:
        raise typer.Exit(1)


def told(replayed: Replayed) -> str:
    name, standing = replayed.name, replayed.standing
    if replayed.result is Result.ALREADY:
        return f"{name}: already applied ({_state(standing)}); nothing was done"
    if standing.became is Became.WAITING:
        return f"{name}: {_waits(replayed.result, standing)}"
    if standing.became is Became.DEAD:
        return f"{name}: dead again: {standing.reason}"
    lines = [f"{name}: done ({_state(standing)})"]
    lines += [
        f"  {entry['kind']} {hours(entry['minutes'])} h of student {entry['student_id']} ({entry['source']})"
        for entry in standing.entries
    ]
    return "\n".join(lines)


def _waits(result: Result, standing: Standing) -> str:
    due = f"due at {instant(standing.due_at)}" if standing.due_at else "due"
    why = f", put off: {standing.reason}" if standing.reason and standing.due_in_seconds > 0 else ""
    if result is Result.WAITING:
        return f"waits for a worker already, {due}{why}; nothing was done"
    return f"opened anew and not done yet, {due}{why}"


def _state(standing: Standing) -> str:
    words = [word for word in (standing.state, standing.detail) if word]
    return ", ".join(dict.fromkeys(words)) or "seen to"


def say_preview(settings: Settings, name: LetterName, *, as_json: bool, now: datetime | None = None) -> None:
    terms = Terms(settings.livemode, settings.zone, now or utc_now())
    found = ask(settings, lambda connection: preview(connection, name, terms))
    if as_json:
        typer.echo(json.dumps({"id": str(name), "dry_run": True, **preview_json(found)}, default=str))
        return
    typer.echo(f"{name}: {found.says}")
    for what, rows in found.effects.items():
        if rows:
            typer.echo(f"  {what.replace('_', ' ')}:")
            table([_cells(row) for row in rows], indent="    ")


def preview_json(found: Preview) -> dict[str, Any]:
    return {
        "result": found.result,
        "says": found.says,
        "outcome": found.outcome,
        "error": found.error,
        "effects": {what: [dict(row) for row in rows] for what, rows in found.effects.items()},
    }


def _cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(f"{name}={value}" for name, value in row.items())
