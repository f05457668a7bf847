"""Rows that were kept long enough. What happened to money, hours and events is kept for good: it is the proof.

Each chunk is a transaction of its own, so that nobody waits for a long one; what is locked is left for the next time.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from sqlalchemy import text

from billing.db import Begin
from billing.exports.terms import KEPT
from billing.messages import FollowUp

log = structlog.get_logger(__name__)

CHUNK = 1_000
MOST_CHUNKS = 1_000
"""Of one kind of row at a time: what is left after so many is dropped the next time."""


@dataclass(frozen=True, slots=True)
class Rule:
    """`statement` drops the first `:most` rows of those from before `:before`, and gives a row for each."""

    name: str
    kept: timedelta
    statement: str
    most: int | None = None
    """Of rows that are large: so many at a time in place of `CHUNK`."""


# A tick is taken within minutes of its time, and none comes back after two weeks. Ticks are of the machine's time.
BEAT_SLOTS = Rule(
    "beat_slot",
    timedelta(days=14),
    """
    DELETE FROM beat_slot WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM beat_slot WHERE slot < clock_timestamp() - CAST(:kept AS interval)
        LIMIT :most FOR UPDATE SKIP LOCKED
    )) RETURNING 1
    """,
)
# A quarter says how the proofs went; one that found something is evidence, and the newest says how it stands.
LEDGER_AUDITS = Rule(
    "ledger_audit",
    timedelta(days=90),
    """
    DELETE FROM ledger_audit WHERE id = ANY (ARRAY(
        SELECT id FROM ledger_audit
        WHERE finished_at < :before AND violations = 0
            AND id <> (SELECT id FROM ledger_audit ORDER BY finished_at DESC, id DESC LIMIT 1)
        ORDER BY finished_at LIMIT :most FOR UPDATE SKIP LOCKED
    )) RETURNING 1
    """,
)
# Stripe lists events for 30 days, so nobody can repeat an older reading; what it found are rows of their own, and stay.
# The newest of each scope says up to when that was read.
RECONCILIATION_RUNS = Rule(
    "reconciliation_run",
    timedelta(days=90),
    """
    DELETE FROM reconciliation_run WHERE id = ANY (ARRAY(
        SELECT id FROM reconciliation_run AS old
        WHERE started_at < :before AND EXISTS (
            SELECT FROM reconciliation_run AS newer
            WHERE newer.scope = old.scope AND (newer.started_at, newer.id) > (old.started_at, old.id)
        )
        ORDER BY started_at LIMIT :most FOR UPDATE SKIP LOCKED
    )) RETURNING 1
    """,
)
# A browser saves a card within minutes of being given the secret; a day is for whoever comes back in the evening.
CLIENT_SECRETS = Rule(
    "account_act.client_secret",
    timedelta(days=1),
    """
    UPDATE account_act SET client_secret = NULL WHERE id = ANY (ARRAY(
        SELECT id FROM account_act WHERE client_secret IS NOT NULL AND decided_at < :before
        LIMIT :most FOR UPDATE SKIP LOCKED
    )) RETURNING 1
    """,
)
# A quarter says who was signed in when something happened; what they did is kept for good, by name. Sessions are of the
# machine's time.
SIGN_INS = Rule(
    "staff_sign_in",
    timedelta(days=90),
    """
    DELETE FROM staff_sign_in WHERE id = ANY (ARRAY(
        SELECT id FROM staff_sign_in WHERE until < clock_timestamp() - CAST(:kept AS interval)
        ORDER BY until LIMIT :most FOR UPDATE SKIP LOCKED
    )) RETURNING 1
    """,
)
# Who asked for which rows stays known.
EXPORTS = Rule(
    "export",
    KEPT,
    """
    WITH old AS (
        SELECT id FROM export WHERE state = 'ready' AND ready_at <= :before
        ORDER BY ready_at LIMIT :most FOR UPDATE SKIP LOCKED
    ), gone AS (
        DELETE FROM export_part WHERE export_id IN (SELECT id FROM old)
    )
    UPDATE export SET state = 'erased', erased_at = CAST(:before AS timestamptz) + CAST(:kept AS interval)
    WHERE id IN (SELECT id FROM old) RETURNING 1
    """,
    most=5,
)
# It gave up by the database's time. What there is of it is of no use, and whoever replays it begins anew.
GIVEN_UP_EXPORTS = Rule(
    "export.given_up",
    KEPT,
    """
    WITH old AS (
        SELECT id FROM export
        WHERE gave_up_at < clock_timestamp() - CAST(:kept AS interval)
            AND EXISTS (SELECT FROM export_part WHERE export_id = export.id)
        LIMIT :most FOR UPDATE SKIP LOCKED
    ), gone AS (
        DELETE FROM export_part WHERE export_id IN (SELECT id FROM old)
    )
    UPDATE export SET rows = 0, after = NULL WHERE id IN (SELECT id FROM old) RETURNING 1
    """,
    most=5,
)
RULES = (BEAT_SLOTS, LEDGER_AUDITS, RECONCILIATION_RUNS, CLIENT_SECRETS, SIGN_INS, EXPORTS, GIVEN_UP_EXPORTS)


SHORT_LIVED = (CLIENT_SECRETS, EXPORTS, GIVEN_UP_EXPORTS)
"""A day is promised for these, and a week would be seven."""


def drop_old_rows(begin: Begin, *, now: datetime) -> Sequence[FollowUp]:
    return _drop_all(begin, RULES, now)


def erase_short_lived(begin: Begin, *, now: datetime) -> Sequence[FollowUp]:
    return _drop_all(begin, SHORT_LIVED, now)


def _drop_all(begin: Begin, rules: Sequence[Rule], now: datetime) -> Sequence[FollowUp]:
    dropped = {rule.name: _drop(begin, rule, now) for rule in rules}
    log.info("old_rows_dropped", **{name: rows for name, rows in dropped.items() if rows})
    return []


def _drop(begin: Begin, rule: Rule, now: datetime) -> int:
    """How many rows."""
    dropped, most = 0, rule.most or CHUNK
    given = {"before": now - rule.kept, "kept": rule.kept, "most": most}
    named = {name: value for name, value in given.items() if f":{name}" in rule.statement}
    for _ in range(MOST_CHUNKS):
        with begin() as session:
            rows = len(session.execute(text(rule.statement), named).all())
        dropped += rows
        if rows < most:
            break
    return dropped
