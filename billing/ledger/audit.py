"""The proof of every balance: a view of broken invariants that is empty at every commit."""

from collections.abc import Sequence
from dataclasses import dataclass

import structlog
from sqlalchemy import text

from billing.db import Begin
from billing.messages import Message

log = structlog.get_logger(__name__)
MOST = 1000
"""Broken rows that one audit names."""


@dataclass(frozen=True, slots=True)
class Violation:
    """`rule` says what does not hold, `subject` is the id of the row that shows it."""

    rule: str
    subject: str


def violations(begin: Begin) -> Sequence[Violation]:
    with begin() as session:
        session.execute(text("SET LOCAL statement_timeout = '60s'"))
        rows = session.execute(text("SELECT rule, subject FROM violation LIMIT :most"), {"most": MOST})
        return [Violation(rule, subject) for rule, subject in rows]


def audit(begin: Begin) -> list[Message]:
    """Prove all balances and name what does not hold in the log, loudly."""
    found = violations(begin)
    for violation in found:
        log.error("ledger_violation", rule=violation.rule, subject=violation.subject)
    log.info("ledger_audited", violations=len(found))
    return []
