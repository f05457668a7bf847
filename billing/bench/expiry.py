"""How fast a sweep writes off, beside one bare statement that does the same to the same data."""

import multiprocessing
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from multiprocessing.synchronize import Barrier
from pathlib import Path
from queue import Empty
from typing import Any, NoReturn

from sqlalchemy import Engine, event, text
from sqlmodel import Session

from billing import db, ledger, work
from billing.bench.scratch import Scratch, connected, execute_alone
from billing.config import Settings
from billing.db import Begin
from billing.errors import PermanentError
from billing.expiry.preview import count_due
from billing.expiry.sweep import Went, cutoff, go_on, start_sweep
from billing.states import SweepTrigger

FILL, BARE = (text((Path(__file__).parent / name).read_text()) for name in ("fill.sql", "expire.sql"))
STUDENTS = 10
"""Lots of each student; every fifth lot is due."""
GRACE_HOURS = 24
READY_SECONDS = 60
LONGEST_SECONDS = 3600
TERMS = work.LeaseTerms()

RUN = text("""
    INSERT INTO sweep_run (trigger, cutoff, grace_hours, state, started_at, due_at, hint_at)
    VALUES ('command', :cutoff, 0, 'running', :cutoff, clock_timestamp(), clock_timestamp()) RETURNING id
""")


class WrongResultError(PermanentError):
    """What was measured did not do its work; the sentence says how."""


@dataclass(frozen=True, slots=True)
class Measured:
    """`longest_seconds` is of one statement."""

    lots: int
    seconds: float
    longest_seconds: float

    @property
    def lots_per_second(self) -> float:
        return self.lots / self.seconds


class _UndoneError(Exception):
    """Ends a transaction whose work is not wanted."""


def fill(settings: Settings, lots: int, *, now: datetime) -> None:
    with connected(settings) as (engine, begin):
        with begin() as session:
            session.execute(FILL, {"lots": lots, "students": max(1, lots // STUDENTS), "now": now})
        execute_alone(engine, "VACUUM ANALYZE")


def measure_bare(scratch: Scratch, *, now: datetime) -> Measured:
    """One statement for everything, rolled back."""
    found: list[Measured] = []
    with scratch.copy() as settings, connected(settings) as (_, begin), suppress(_UndoneError), begin() as session:
        _run_bare(session, cutoff(now, GRACE_HOURS), found.append)
    return found[0]


def _run_bare(session: Session, until: datetime, tell: Callable[[Measured], None]) -> NoReturn:
    run_id = session.execute(RUN, {"cutoff": until}).scalar_one()
    began = time.monotonic()
    lots = session.execute(BARE, {"cutoff": until, "run_id": run_id}).scalar_one()
    seconds = time.monotonic() - began
    tell(Measured(lots, seconds, seconds))
    raise _UndoneError


def measure_sweep(scratch: Scratch, workers: int, *, now: datetime) -> Measured:
    """So many processes, each with a run of its own, as several machines or commands would have."""
    with scratch.copy() as settings:
        measured = _together(settings, workers, now)
        with connected(settings) as (_, begin):
            _check(begin, now)
        return measured


def _together(settings: Settings, workers: int, now: datetime) -> Measured:
    context = multiprocessing.get_context("spawn")
    start, results = context.Barrier(workers), context.Queue()
    arguments = (settings.database_url, start, results, now)
    processes = [context.Process(target=_work, args=arguments, daemon=True) for _ in range(workers)]
    for process in processes:
        process.start()
    told = [_next(results, processes) for _ in processes]
    for process in processes:
        process.join()
    seconds = max(ended for _, ended, _, _ in told) - min(began for began, _, _, _ in told)
    return Measured(sum(lots for _, _, lots, _ in told), seconds, max(longest for *_, longest in told))


def _next(results: Any, processes: list[Any]) -> tuple[float, float, int, float]:
    deadline = time.monotonic() + LONGEST_SECONDS
    while time.monotonic() < deadline:
        try:
            result: tuple[float, float, int, float] = results.get(timeout=1)
        except Empty:
            if any(process.exitcode for process in processes):
                break
        else:
            return result
    raise WrongResultError("a process of the measurement did not come to its end")


def _work(url: str, start: Barrier, results: Any, now: datetime) -> None:
    """In a process of its own: the monotonic clock is the machine's, so its instants can be compared."""
    engine = db.connect(url, "bench", pool_size=1)
    begin: Begin = partial(db.begin, engine)
    with begin() as session:
        session.execute(text("SELECT 1"))
    with _longest_statement(engine) as longest:
        start.wait(READY_SECONDS)
        began = time.monotonic()
        lots = _sweep(begin, now)
        results.put((began, time.monotonic(), lots, longest()))
    engine.dispose()


def _sweep(begin: Begin, now: datetime) -> int:
    taken: list[int] = []
    (message,) = start_sweep(begin, SweepTrigger.COMMAND, grace_hours=GRACE_HOURS, now=now)
    went = Went.ON
    while went is not Went.FINISHED:
        went = go_on(begin, TERMS, message.run_id, now=now, watch=lambda chunk: taken.append(len(chunk.lots)))
    return sum(taken)


@contextmanager
def _longest_statement(engine: Engine) -> Iterator[Callable[[], float]]:
    """Seconds of the longest one so far."""
    began, longest = 0.0, 0.0

    def note_begin(*_: Any) -> None:
        nonlocal began
        began = time.monotonic()

    def note_end(*_: Any) -> None:
        nonlocal longest
        longest = max(longest, time.monotonic() - began)

    event.listen(engine, "before_cursor_execute", note_begin)
    event.listen(engine, "after_cursor_execute", note_end)
    yield lambda: longest


def _check(begin: Begin, now: datetime) -> None:
    with begin() as session:
        left = count_due(session, cutoff=cutoff(now, GRACE_HOURS))
    if left or ledger.violations(begin):
        raise WrongResultError(f"{left} lots were left, or the balances do not hold: the figures mean nothing")
