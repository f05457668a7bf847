"""Note what students are to be told: each fact once ever, whoever notes it and how often.

The fact is the `subject`. One about a lot is told once, whoever has the lot by then; one about a balance is told once
since hours were last added. Who wants no warnings gets no notes either.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from uuid import UUID

import structlog
from sqlalchemy import RowMapping, text
from sqlmodel import Session

from billing.db import Begin, repeated
from billing.ids import new_id
from billing.messages import Message, SendNotification

log = structlog.get_logger(__name__)

WEEK = timedelta(days=7)
DAYS = timedelta(days=3)
DAY = timedelta(days=1)
LITTLE = 120
"""Minutes: who has fewer left to spend is told so."""

CHUNK = 1_000
"""Lots that one transaction looks at."""
MOST_HINTS = 300
"""Mails that are asked for at once; the sweeper of overdue work brings the others, for they are due."""

UNTIL = "to_char(hour_lot.expires_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24\\:MI\\:SS.MS\"Z\"')"
LOT_UNTIL = f"'lot\\:' || hour_lot.id || '\\:until\\:' || {UNTIL}"
"""The fact that a lot ends at an instant: another one once it was extended. With hour_lot in the FROM."""

UNSWEPT = """
    SELECT coalesce(sum(hour_lot.minutes_left), 0) AS minutes FROM hour_lot
    WHERE hour_lot.student_id = balance.student_id AND hour_lot.minutes_left > 0 AND hour_lot.expires_at <= :now
"""
SPENDABLE = "balance.minutes_left - balance.minutes_owed - unswept.minutes"
"""With student_balance (as `balance`) and UNSWEPT in the FROM: what is left of lots that are alive, less the debt."""

_ADDITIONS = """
    SELECT id FROM hour_entry
    WHERE {which}student_id = balance.student_id AND (kind = 'credit' OR (kind = 'transfer' AND minutes > 0))
    ORDER BY id DESC LIMIT 1
"""
LATEST = _ADDITIONS.format(which="")
"""The entry by which the hours of a balance were last added to."""

LATEST_OF_THE_POOR = _ADDITIONS.format(which=f"{SPENDABLE} < :little AND ")
"""Entries are looked through only where little is left: the answer for others does not matter."""

COLUMNS = "(id, topic, subject, student_id, facts, state, created_at, due_at, hint_at)"
OPEN = "'waiting', :now, clock_timestamp(), clock_timestamp() + interval '2 seconds'"

# The tightest topic alone, by the time that is left now, however late the look is. In the order of the lots, so that
# two looks at once wait for each other and never in a circle.
EXPIRING = text(f"""
    WITH soon AS (
        SELECT id, student_id, expires_at, minutes_left, {LOT_UNTIL} AS subject,
            CASE WHEN expires_at > :in_days THEN 'expires_in_a_week'
                WHEN expires_at > :in_a_day THEN 'expires_in_days' ELSE 'expires_tomorrow' END AS topic,
            row_number() OVER (ORDER BY expires_at, id) AS place
        FROM hour_lot
        WHERE minutes_left > 0 AND expires_at > :now AND expires_at <= :in_a_week
            AND (expires_at, id) > (:after_instant, :after_lot)
        ORDER BY expires_at, id LIMIT :most
    ), noted AS (
        INSERT INTO notification {COLUMNS}
        SELECT (CAST(:ids AS uuid[]))[place], topic, subject, student_id,
            jsonb_build_object('lot_id', soon.id, 'minutes', minutes_left), {OPEN}
        FROM soon JOIN student ON student.id = soon.student_id
        WHERE student.is_warned AND NOT EXISTS (
            SELECT FROM notification AS told WHERE told.topic = soon.topic AND told.subject = soon.subject
        )
        ORDER BY place
        ON CONFLICT (topic, subject, student_id) DO NOTHING RETURNING id
    )
    SELECT expires_at, id, (SELECT array_agg(id) FROM noted) AS noted FROM soon ORDER BY place DESC LIMIT 1
""")  # noqa: S608  # our own words

LOW = text(f"""
    INSERT INTO notification {COLUMNS}
    SELECT given.id, CASE WHEN {SPENDABLE} > 0 THEN 'low_balance' ELSE 'empty_balance' END, 'credit\\:' || latest.id,
        student.id, jsonb_build_object('minutes', {SPENDABLE}), {OPEN}
    FROM unnest(CAST(:students AS bigint[]), CAST(:ids AS uuid[])) WITH ORDINALITY AS given (student_id, id, place)
    JOIN student_balance AS balance ON balance.student_id = given.student_id
    CROSS JOIN LATERAL ({UNSWEPT}) AS unswept
    CROSS JOIN LATERAL ({LATEST_OF_THE_POOR}) AS latest
    JOIN student ON student.id = given.student_id
    WHERE student.is_warned
    ORDER BY given.place
    ON CONFLICT (topic, subject, student_id) DO NOTHING RETURNING id
""")  # noqa: S608

EXPIRED = text(f"""
    WITH lost AS (
        SELECT entry.student_id, entry.source, allocation.lot_id, -allocation.minutes AS minutes, given.id
        FROM unnest(CAST(:lots AS bigint[]), CAST(:ids AS uuid[])) AS given (lot_id, id)
        JOIN hour_allocation AS allocation ON allocation.lot_id = given.lot_id
        JOIN hour_entry AS entry ON entry.id = allocation.entry_id AND entry.sweep_run_id = :run
        WHERE entry.kind = 'expire'
    )
    INSERT INTO notification {COLUMNS}
    SELECT lost.id, 'expired', source, student_id, jsonb_build_object('lot_id', lot_id, 'minutes', minutes), {OPEN}
    FROM lost JOIN student ON student.id = lost.student_id
    WHERE student.is_warned ORDER BY lot_id
    ON CONFLICT (topic, subject, student_id) DO NOTHING RETURNING id
""")  # noqa: S608


def warn_of_expiry(begin: Begin, *, now: datetime) -> Sequence[Message]:
    """Note each lot with hours left that ends within a week; gives the first hints."""
    noted: list[UUID] = []
    after = (now, 0)
    while (chunk := _warn_chunk(begin, after, now)) is not None:
        after = (chunk["expires_at"], chunk["id"])
        noted += chunk["noted"] or ()
    log.info("expiries_noted", notifications=len(noted))
    return _hints(noted)


def _warn_chunk(begin: Begin, after: tuple[datetime, int], now: datetime) -> RowMapping | None:
    """The last lot that was looked at, with what was noted; None where there is none after these."""
    given = {
        "now": now,
        "in_a_day": now + DAY,
        "in_days": now + DAYS,
        "in_a_week": now + WEEK,
        "after_instant": after[0],
        "after_lot": after[1],
        "most": CHUNK,
        "ids": [new_id() for _ in range(CHUNK)],
    }
    return repeated(begin, lambda session: session.execute(EXPIRING, given).mappings().one_or_none())


def note_low_balances(session: Session, students: Iterable[int], *, now: datetime) -> Sequence[Message]:
    """Note for each of these students that little or nothing is left to spend, once since hours were last added.

    One statement. The caller holds their balances, so that two of them cannot wait for each other here.
    """
    wanted = sorted(set(students))
    if not wanted:
        return []
    given = {"students": wanted, "ids": [new_id() for _ in wanted], "little": LITTLE, "now": now}
    return _hints(list(session.execute(LOW, given).scalars()))


def note_expired(session: Session, run_id: int, lots: Iterable[int], *, now: datetime) -> Sequence[Message]:
    """Note what this sweep has written off of these lots, in the transaction that wrote it.

    One statement. The entry's source, `lot:ID:expired` and later `lot:ID:expired:N`, is the fact.
    """
    wanted = sorted(set(lots))
    if not wanted:
        return []
    given = {"run": run_id, "lots": wanted, "ids": [new_id() for _ in wanted], "now": now}
    return _hints(list(session.execute(EXPIRED, given).scalars()))


def _hints(noted: Sequence[UUID]) -> list[Message]:
    return [SendNotification(notification_id=notification_id) for notification_id in noted[:MOST_HINTS]]
