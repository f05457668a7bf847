"""Hours that are added: a lot, an entry with its allocation, and the balance, for many at once."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import text
from sqlmodel import Session

from billing.ledger.balances import lock_balances
from billing.states import LotOrigin


@dataclass(frozen=True, slots=True)
class Credit:
    """`source` names what was paid and is credited once; `expires_at` is exclusive; `at` is when we learned of it."""

    student_id: int
    origin: LotOrigin
    source: str
    purchase_id: UUID | None
    minutes: int
    value_cents: int
    currency: str
    starts_at: datetime
    expires_at: datetime | None
    at: datetime


CREDIT = text("""
    WITH given AS (
        SELECT * FROM unnest(
            CAST(:students AS bigint[]), CAST(:origins AS text[]), CAST(:sources AS text[]),
            CAST(:purchases AS uuid[]), CAST(:minutes AS int[]), CAST(:values AS int[]), CAST(:currencies AS text[]),
            CAST(:starts AS timestamptz[]), CAST(:ends AS timestamptz[]), CAST(:instants AS timestamptz[])
        ) WITH ORDINALITY AS given (
            student_id, origin, source, purchase_id, minutes, value_cents, currency, starts_at, expires_at, at, place
        )
    ), lot AS (
        INSERT INTO hour_lot (
            student_id, origin, source, purchase_id, value_cents, currency, starts_at, expires_at,
            minutes_granted, minutes_left, minutes_consumed, minutes_expired, minutes_refunded, minutes_frozen,
            minutes_held
        )
        SELECT student_id, origin, source, purchase_id, value_cents, currency, starts_at, expires_at,
            minutes, minutes, 0, 0, 0, 0, 0
        FROM given ORDER BY place
        RETURNING id, source
    ), entry AS (
        INSERT INTO hour_entry (student_id, kind, minutes, balance_after, source, purchase_id, at)
        SELECT student_id, 'credit', given.minutes,
            balance.minutes_left + sum(given.minutes) OVER (PARTITION BY student_id ORDER BY place),
            source, purchase_id, at
        FROM given JOIN student_balance AS balance USING (student_id) ORDER BY place
        RETURNING id, source
    ), allocation AS (
        INSERT INTO hour_allocation (entry_id, lot_id, minutes)
        SELECT entry.id, lot.id, given.minutes FROM given JOIN entry USING (source) JOIN lot USING (source)
    )
    UPDATE student_balance AS balance
    SET minutes_granted = minutes_granted + added.minutes,
        minutes_left = minutes_left + added.minutes,
        paid_cents = paid_cents + added.cents
    FROM (SELECT student_id, sum(minutes) AS minutes, sum(value_cents) AS cents FROM given GROUP BY student_id) AS added
    WHERE balance.student_id = added.student_id
""")


def credit(session: Session, given: Sequence[Credit]) -> None:
    """Add each credit, whole or not at all; the balances are locked here where the caller has not yet.

    Raises sqlalchemy's IntegrityError where a source was credited before: callers know that from a state under lock.
    """
    if not given:
        return
    lock_balances(session, (one.student_id for one in given))
    session.execute(
        CREDIT,
        {
            "students": [one.student_id for one in given],
            "origins": [one.origin.value for one in given],
            "sources": [one.source for one in given],
            "purchases": [one.purchase_id for one in given],
            "minutes": [one.minutes for one in given],
            "values": [one.value_cents for one in given],
            "currencies": [one.currency for one in given],
            "starts": [one.starts_at for one in given],
            "ends": [one.expires_at for one in given],
            "instants": [one.at for one in given],
        },
    )
