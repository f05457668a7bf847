"""The proof of every balance: rules that hold at every commit, tried on all students, some thousands at a time."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from time import monotonic

import structlog
from sqlalchemy import text
from sqlmodel import Session

from billing.db import Begin
from billing.messages import Message
from billing.models import LedgerAudit

log = structlog.get_logger(__name__)
MOST = 1000
"""Broken rows that one audit names; it counts all of them."""

STUDENTS_AT_ONCE = 10_000
"""Each range is one statement, so that it sees one instant, and short enough to hold up nobody."""

LAST_ID = 2**63 - 1

# The first begins before all ids and the last one has no end: nothing lies between two ranges or outside of all.
RANGES = text("""
    SELECT coalesce(lag(max(id)) OVER (ORDER BY part) + 1, 0), max(id), count(*)
    FROM (SELECT id, (row_number() OVER (ORDER BY id) - 1) / :size AS part FROM student) AS counted
    GROUP BY part ORDER BY part
""")
EXAMINE = text("""
    SELECT rule, subject, count(*) OVER () FROM (
        SELECT rule, subject FROM violations_of(CAST(:low AS bigint), CAST(:high AS bigint))
        UNION ALL
        SELECT rule, subject FROM broken_returns_of(CAST(:low AS bigint), CAST(:high AS bigint))
        UNION ALL
        SELECT rule, subject FROM broken_periods_of(CAST(:low AS bigint), CAST(:high AS bigint))
    ) AS broken LIMIT :most
""")


@dataclass(frozen=True, slots=True)
class Violation:
    """`rule` says what does not hold, `subject` is the id of the row that shows it."""

    rule: str
    subject: str


@dataclass(frozen=True, slots=True)
class Range:
    """So many students, with ids from `low` to `high`."""

    low: int
    high: int
    students: int


@dataclass(frozen=True, slots=True)
class Proof:
    """`named` are the first MOST of the `violations`."""

    students: int
    violations: int
    named: Sequence[Violation]
    seconds: float

    @property
    def holds(self) -> bool:
        return self.violations == 0


Watch = Callable[[Sequence[Range]], AbstractContextManager[Iterable[Range]]]
"""Gives the ranges one after the other, to whoever wants to see how far the proof is."""


def violations(begin: Begin) -> Sequence[Violation]:
    """Those of all students in one statement, which is for small ledgers."""
    with begin() as session:
        _take_time(session)
        rows = session.execute(text("SELECT rule, subject FROM violation LIMIT :most"), {"most": MOST})
        return [Violation(rule, subject) for rule, subject in rows]


def prove(begin: Begin, *, now: datetime, watch: Watch = nullcontext) -> Proof:
    """Try the rules on all students, and write down that it was done and what came of it."""
    began = monotonic()
    ranges = _ranges(begin)
    found, named = 0, list[Violation]()
    with watch(ranges) as watched:
        for one in watched:
            count, first = _examine(begin, one)
            found += count
            named += first[: MOST - len(named)]
    proof = Proof(sum(one.students for one in ranges), found, named, monotonic() - began)
    _keep(begin, proof, now)
    return proof


def audit(begin: Begin, *, now: datetime) -> list[Message]:
    """Prove all balances and name what does not hold in the log, loudly."""
    proof = prove(begin, now=now)
    for violation in proof.named:
        log.error("ledger_violation", rule=violation.rule, subject=violation.subject)
    log.info("ledger_audited", violations=proof.violations, students=proof.students, seconds=round(proof.seconds, 3))
    return []


def _ranges(begin: Begin) -> Sequence[Range]:
    """A ledger without students has one range all the same: what is of no student is proven with the first."""
    with _reading(begin) as session:
        bounds = session.execute(RANGES, {"size": STUDENTS_AT_ONCE}).all()
    ranges = [Range(low, high, students) for low, high, students in bounds] or [Range(0, LAST_ID, 0)]
    return [*ranges[:-1], replace(ranges[-1], high=LAST_ID)]


def _examine(begin: Begin, one: Range) -> tuple[int, Sequence[Violation]]:
    """How many rules are broken there, and the first MOST of them."""
    with _reading(begin) as session:
        bounds = {"low": one.low, "high": one.high, "most": MOST}
        rows = session.execute(EXAMINE, bounds).all()
    return (rows[0][2] if rows else 0), [Violation(rule, subject) for rule, subject, _ in rows]


@contextmanager
def _reading(begin: Begin) -> Iterator[Session]:
    """A transaction that sees one instant and changes nothing."""
    with begin() as session:
        session.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY"))
        _take_time(session)
        yield session


def _take_time(session: Session) -> None:
    session.execute(text("SET LOCAL statement_timeout = '60s'"))


def _keep(begin: Begin, proof: Proof, started_at: datetime) -> None:
    finished_at = started_at + timedelta(seconds=proof.seconds)
    with begin() as session:
        session.add(
            LedgerAudit(
                started_at=started_at,
                finished_at=finished_at,
                students=proof.students,
                violations=proof.violations,
            )
        )
