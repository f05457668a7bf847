"""Sweeps of expired lots: each is a row, open for as long as there may be something left to write off.

A sweep that is killed is begun again by whoever claims its row, and finds what is left. Several at once share the
students among themselves: each takes those whom nobody holds, and waits in the end for those whom it passed over.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from functools import partial
from uuid import UUID

import structlog
from sqlalchemy import text, update
from sqlmodel import Session, col

from billing import work
from billing.db import Begin, repeated
from billing.errors import DatabaseUnavailableError, LockTimeoutError
from billing.ledger import expiries
from billing.ledger.expiries import DUE, START, Chunk, Order
from billing.messages import FollowUp, SweepLots
from billing.models import SweepRun
from billing.notifications.warn import note_expired, note_low_balances
from billing.states import SweepState, SweepTrigger
from billing.work.claims import database_now

log = structlog.get_logger(__name__)

LONGEST_SECONDS = 30.0
"""After so long a sweep makes room for other work of its queue, and is called again."""
FIRST, FEWEST, MOST = 200, 10, 2_500
"""Lots that a chunk looks up: with the other due lots of their students it is twice as many or more that it takes."""
CHUNK_SECONDS = 0.4
"""How long a chunk shall take, on a machine that is busy too: no student is held for longer by it."""
PAUSE = timedelta(seconds=1)
"""Until the next try where somebody holds a student for longer than a lock is waited for."""

# A late sweep is a net: it makes no row where nothing is due, or where a sweep of everybody's is at it already.
OPEN = text(f"""
    INSERT INTO sweep_run (
        trigger, cutoff, grace_hours, student_id, is_told, act_id, state, started_at, due_at, hint_at
    )
    SELECT CAST(:trigger AS text), :cutoff, :grace_hours, CAST(:student_id AS bigint), :is_told,
        CAST(:act_id AS uuid), 'running', :now, clock_timestamp(), clock_timestamp() + interval '2 seconds'
    WHERE CAST(:trigger AS text) <> 'late' OR (
        EXISTS (SELECT FROM hour_lot WHERE {DUE})
        AND NOT EXISTS (SELECT FROM sweep_run WHERE due_at IS NOT NULL AND student_id IS NULL)
    )
    RETURNING id
""")  # noqa: S608  # our own words

Watch = Callable[[Chunk], object]
"""Told of each chunk once it is committed."""


def start_sweep(
    begin: Begin,
    trigger: SweepTrigger,
    *,
    grace_hours: int,
    now: datetime,
    student_id: int | None = None,
    is_told: bool = False,
    act_id: UUID | None = None,
) -> Sequence[SweepLots]:
    """Open a run that writes off what expired `grace_hours` ago or earlier; `is_told`: the students hear of it."""
    with begin() as session:
        return open_run(
            session,
            trigger,
            grace_hours=grace_hours,
            now=now,
            student_id=student_id,
            is_told=is_told,
            act_id=act_id,
        )


def open_run(
    session: Session,
    trigger: SweepTrigger,
    *,
    grace_hours: int,
    now: datetime,
    student_id: int | None = None,
    is_told: bool = False,
    act_id: UUID | None = None,
) -> Sequence[SweepLots]:
    """As `start_sweep` does, in the caller's transaction."""
    given = {
        "trigger": trigger.value,
        "cutoff": cutoff(now, grace_hours),
        "grace_hours": grace_hours,
        "student_id": student_id,
        "is_told": is_told,
        "act_id": act_id,
        "now": now,
    }
    run_id = session.execute(OPEN, given).scalar_one_or_none()
    return [] if run_id is None else [SweepLots(run_id=run_id)]


def cutoff(now: datetime, grace_hours: int) -> datetime:
    """Lots that expire then, or did earlier, are written off now. `grace_hours` are hours that pass, not of a clock."""
    return now - timedelta(hours=grace_hours)


def sweep_lots(begin: Begin, terms: work.LeaseTerms, message: SweepLots, *, now: datetime) -> Sequence[FollowUp]:
    """Go on with one run; what it takes was settled when it was opened, `now` is only when it is written down.

    Raises LeaseLostError where another worker took the run over; what was written off until then stays.
    """
    went = go_on(begin, terms, message.run_id, now=now)
    if went is not Went.ELSEWHERE:
        log.info("sweep_worked", run=message.run_id, went=went.value)
    return [message] if went is Went.ON else []


class Went(StrEnum):
    """How a run went on."""

    ELSEWHERE = "elsewhere"
    """It is over, not due, or in other hands."""
    ON = "on"
    """It made room for other work and is due again at once."""
    WAITING = "waiting"
    """Somebody held a student for too long; it is due again in a moment."""
    FINISHED = "finished"


def go_on(begin: Begin, terms: work.LeaseTerms, run_id: int, *, now: datetime, watch: Watch = id) -> Went:
    """As `sweep_lots`, for who wants to watch."""
    claim = _claim(begin, terms, run_id)
    if claim is None:
        return Went.ELSEWHERE
    sweep = Sweep(begin, run_id, claim, terms, now, watch)
    try:
        is_over = sweep.take_all()
    except LockTimeoutError as error:
        sweep.put_off(PAUSE, str(error))
        return Went.WAITING
    if not is_over:
        sweep.put_off(timedelta(), "made room for other work")
        return Went.ON
    sweep.finish()
    return Went.FINISHED


def _claim(begin: Begin, terms: work.LeaseTerms, run_id: int) -> work.Claim[SweepRun] | None:
    with begin() as session:
        return work.claim_unless_worn_out(session, SweepRun, run_id, terms)


@dataclass(slots=True)
class Sweep:
    """A claimed run. Each chunk is a transaction that renews the claim, so nothing is written by who has lost it."""

    begin: Begin
    run_id: int
    claim: work.Claim[SweepRun]
    terms: work.LeaseTerms
    now: datetime
    watch: Watch
    most: int = field(default_factory=lambda: FIRST)
    began: float = field(default_factory=time.monotonic)

    @property
    def order(self) -> Order:
        return Order(self.run_id, self.claim.row.cutoff, self.now)

    def take_all(self) -> bool:
        """Whether nothing is left; False where the time was up before."""
        student = self.claim.row.student_id
        passed_over = self._take_in_turn() if student is None else {student}
        return passed_over is not None and self._take_waiting(passed_over)

    def _take_in_turn(self) -> set[int] | None:
        """All whom nobody holds; the others are returned. None where the time was up before."""
        passed_over: set[int] = set()
        place = START
        while not self._is_time_up:
            chunk = self._take(partial(expiries.expire_next, order=self.order, after=place, most=self.most))
            if chunk is None:
                continue
            passed_over.update(chunk.passed_over)
            if chunk.last is None:
                return passed_over
            place = chunk.last
        return None

    def _take_waiting(self, students: set[int]) -> bool:
        waiting = sorted(students)
        while waiting and not self._is_time_up:
            some, others = waiting[: self.most], waiting[self.most :]
            chunk = self._take(partial(expiries.expire_of, order=self.order, students=some))
            if chunk is not None:
                waiting = [*chunk.passed_over, *others]
        return not waiting

    @property
    def _is_time_up(self) -> bool:
        return time.monotonic() - self.began > LONGEST_SECONDS

    def _take(self, take: Callable[[Session], Chunk]) -> Chunk | None:
        """None where a statement was cut off, perhaps for being too large: a smaller chunk is to be tried."""
        began = time.monotonic()
        try:
            chunk = repeated(self.begin, lambda session: self._take_in(session, take))
        except DatabaseUnavailableError:
            if self.most == FEWEST:
                raise
            self.most = max(self.most // 4, FEWEST)
            return None
        self._adapt(time.monotonic() - began)
        self.watch(chunk)
        return chunk

    def _adapt(self, seconds: float) -> None:
        """The next chunk is larger or smaller, by a half at most, so that it takes as long as it shall."""
        wanted = CHUNK_SECONDS / max(seconds, 0.001)
        self.most = round(min(max(self.most * min(max(wanted, 0.5), 1.5), FEWEST), MOST))

    def _take_in(self, session: Session, take: Callable[[Session], Chunk]) -> Chunk:
        (run,) = work.resume(session, self.claim)
        chunk = take(session)
        if chunk.lots:
            run.chunks += 1
            run.students += chunk.losers
            run.lots += len(chunk.lots)
            run.minutes += chunk.minutes
            self._note(session, run, chunk)
        lasts = timedelta(seconds=self.terms.seconds)
        run.lease_until = run.hint_at = database_now(lasts)  # type: ignore[assignment]  # until it is flushed
        return chunk

    def _note(self, session: Session, run: SweepRun, chunk: Chunk) -> None:
        """No hints: the notes are due rows, and their mail is in less of a hurry than the rest of the sweep."""
        note_low_balances(session, chunk.students, now=self.now)
        if run.is_told:
            note_expired(session, self.run_id, chunk.lots, now=self.now)

    def put_off(self, wait: timedelta, reason: str) -> None:
        with self.begin() as session:
            (run,) = work.resume(session, self.claim)
            work.put_off(run, wait, reason)

    def finish(self) -> None:
        finished_at = self.now + timedelta(seconds=time.monotonic() - self.began)
        with self.begin() as session:
            (run,) = work.resume(session, self.claim)
            work.close(run)
            session.flush()
            done = update(SweepRun).where(col(SweepRun.id) == run.id)
            session.execute(done.values(state=SweepState.FINISHED, finished_at=finished_at))
