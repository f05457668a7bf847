"""What was kept long enough goes, in chunks; what is proof of something stays."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text

from billing import retention
from billing.db import Begin
from billing.retention import drop_old_rows
from billing.states import ReconciliationScope
from tests.support.statements import counted

AUDIT = "INSERT INTO ledger_audit (started_at, finished_at, students, violations) VALUES (:at, :at, 1, :violations)"
RUN = """
    INSERT INTO reconciliation_run (scope, since, until, seen, recorded, found, started_at)
    VALUES (:scope, :at, :at, 0, 0, 0, :at)
"""
ACT = """
    INSERT INTO account_act (id, action, parameters, caller_sub, caller_email_verified, request_id, state,
        client_secret, requested_at, decided_at, due_at, hint_at)
    VALUES (gen_random_uuid(), 'add_card', '{}', :who, true, 'request', :state, 'sealed', :at, :decided_at, :due, :due)
"""


def run(begin: Begin, statement: str, **values: Any) -> None:
    with begin() as session:
        session.execute(text(statement), values)


def found(begin: Begin, question: str) -> Sequence[Any]:
    with begin() as session:
        return session.execute(text(question)).scalars().all()


def test_ticks_go_after_two_weeks(begin: Begin, now: datetime) -> None:
    """By the machine's time, whatever business time is: nobody may take a tick of today for a second time."""
    run(
        begin,
        """
        INSERT INTO beat_slot SELECT 'any', clock_timestamp() - days * interval '1 day'
        FROM unnest(ARRAY[0, 13, 15, 400]) AS days
        """,
    )
    drop_old_rows(begin, now=now + timedelta(days=3650))
    ages = found(begin, "SELECT extract(day FROM clock_timestamp() - slot)::int FROM beat_slot ORDER BY slot DESC")
    assert ages == [0, 13]


def test_proofs_of_the_ledger_go_after_a_quarter_unless_they_found_something(begin: Begin, now: datetime) -> None:
    for days, violations in ((89, 0), (91, 0), (91, 2), (400, 0)):
        run(begin, AUDIT, at=now - timedelta(days=days), violations=violations)
    drop_old_rows(begin, now=now)
    assert found(begin, "SELECT violations FROM ledger_audit ORDER BY finished_at DESC") == [0, 2]


def test_the_newest_proof_stays_however_old_it_is(begin: Begin, now: datetime) -> None:
    """It is what metrics and readiness speak of."""
    for days in (200, 300):
        run(begin, AUDIT, at=now - timedelta(days=days), violations=0)
    drop_old_rows(begin, now=now)
    assert found(begin, "SELECT finished_at FROM ledger_audit") == [now - timedelta(days=200)]


def test_readings_of_stripe_go_after_a_quarter_and_the_newest_of_each_kind_stays(begin: Begin, now: datetime) -> None:
    for scope in ReconciliationScope:
        for days in (91, 200):
            run(begin, RUN, scope=scope, at=now - timedelta(days=days))
    run(begin, RUN, scope=ReconciliationScope.EVENTS, at=now - timedelta(days=1))
    drop_old_rows(begin, now=now)
    kept = found(begin, "SELECT scope || ' ' || extract(day FROM '2026-03-02 12:00Z' - started_at) FROM "
                        "reconciliation_run ORDER BY 1")  # fmt: skip
    assert kept == ["events 1", "ledger 91"]


def test_secrets_go_a_day_after_their_act_was_decided(begin: Begin, now: datetime) -> None:
    """One that is still to be used stays: of an act of today, or of one that nobody has decided."""
    old, fresh = now - timedelta(hours=25), now - timedelta(hours=23)
    for who, state, decided_at in (("old", "done", old), ("fresh", "done", fresh), ("open", "requested", None)):
        due = None if decided_at else now
        run(begin, ACT, who=who, state=state, at=old, decided_at=decided_at, due=due)
    drop_old_rows(begin, now=now)
    assert found(begin, "SELECT caller_sub FROM account_act WHERE client_secret IS NOT NULL ORDER BY 1") == [
        "fresh",
        "open",
    ]
    assert found(begin, "SELECT count(*) FROM account_act") == [3]


def test_sign_ins_go_a_quarter_after_they_ended(begin: Begin, now: datetime) -> None:
    """By the machine's time, whatever business time is, and whether somebody signed out or not."""
    run(
        begin,
        """
        INSERT INTO staff_sign_in (id, sub, name, roles, signed_in_at, until, signed_out_at)
        SELECT gen_random_uuid(), 'boss', 'Boss', '{admin}', ended - interval '8 h', ended,
            CASE WHEN hours % 2 = 0 THEN ended - interval '7 h' END
        FROM unnest(ARRAY[-8, -7, 1, 24 * 90 - 1, 24 * 90 + 1, 24 * 90 + 2]) AS hours,
            LATERAL (SELECT clock_timestamp() - hours * interval '1 h' AS ended) AS times
        """,
    )
    drop_old_rows(begin, now=now + timedelta(days=3650))
    hours = "SELECT round(extract(epoch FROM clock_timestamp() - until) / 3600)::int FROM staff_sign_in ORDER BY 1"
    assert found(begin, hours) == [-8, -7, 1, 24 * 90 - 1]


def test_they_go_in_chunks(begin: Begin, now: datetime, monkeypatch: pytest.MonkeyPatch) -> None:
    """One statement over millions of rows would be cut off by its time limit each time, and drop nothing ever."""
    monkeypatch.setattr(retention, "CHUNK", 3)
    for days in range(100, 108):
        run(begin, AUDIT, at=now - timedelta(days=days), violations=0)
    with counted() as statements:
        drop_old_rows(begin, now=now)
    assert len([statement for statement in statements if "DELETE FROM ledger_audit" in statement]) == 3
    assert found(begin, "SELECT count(*) FROM ledger_audit") == [1]


def test_what_somebody_holds_is_left_for_the_next_time(begin: Begin, now: datetime) -> None:
    for days in (100, 200, 300):
        run(begin, AUDIT, at=now - timedelta(days=days), violations=0)
    with begin() as session:
        session.execute(
            text("SELECT FROM ledger_audit WHERE finished_at < :at FOR UPDATE"), {"at": now - timedelta(250)}
        )
        drop_old_rows(begin, now=now)
    assert len(found(begin, "SELECT id FROM ledger_audit")) == 2
    drop_old_rows(begin, now=now)
    assert len(found(begin, "SELECT id FROM ledger_audit")) == 1
