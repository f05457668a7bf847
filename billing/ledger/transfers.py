"""Hours that change hands as they are: each lot keeps its expiry, its value and what was used of it."""

from datetime import datetime

from sqlalchemy import text
from sqlmodel import Session

from billing.ledger.balances import lock_balances
from billing.models.ledger import PARTS

COLUMNS = ("minutes_granted", *(f"minutes_{part}" for part in PARTS), "minutes_owed", "paid_cents", "returned_cents")

# A lot without minutes left moves too, for its history; only minutes that can still be spent make entries.
MOVE_LOTS = text("""
    WITH moved AS (
        UPDATE hour_lot SET student_id = :target FROM (
            SELECT id FROM hour_lot WHERE student_id = :source ORDER BY id FOR UPDATE
        ) AS held
        WHERE hour_lot.id = held.id
        RETURNING hour_lot.id, hour_lot.minutes_left, hour_lot.purchase_id
    ), side AS (
        SELECT moved.id AS lot_id, moved.purchase_id, side.student_id, side.sign * moved.minutes_left AS minutes,
            'transfer:' || moved.id || '\\:' || side.name AS source
        FROM moved CROSS JOIN (
            VALUES (CAST(:source AS bigint), -1, 'out'), (CAST(:target AS bigint), 1, 'in')
        ) AS side (student_id, sign, name)
        WHERE moved.minutes_left > 0
    ), entry AS (
        INSERT INTO hour_entry (student_id, kind, minutes, balance_after, source, purchase_id, at)
        SELECT student_id, 'transfer', side.minutes,
            balance.minutes_left + sum(side.minutes) OVER (PARTITION BY student_id ORDER BY lot_id),
            side.source, purchase_id, :now
        FROM side JOIN student_balance AS balance USING (student_id) ORDER BY lot_id, side.source DESC
        RETURNING id, source, minutes
    )
    INSERT INTO hour_allocation (entry_id, lot_id, minutes)
    SELECT entry.id, side.lot_id, entry.minutes FROM entry JOIN side USING (source)
""")

ADD_BALANCE = text(f"""
    UPDATE student_balance AS target SET {", ".join(f"{name} = target.{name} + source.{name}" for name in COLUMNS)}
    FROM student_balance AS source WHERE target.student_id = :target AND source.student_id = :source
""")  # noqa: S608  # our own column names
CLEAR_BALANCE = text(f"""
    UPDATE student_balance SET {", ".join(f"{name} = 0" for name in COLUMNS)} WHERE student_id = :source
""")  # noqa: S608


def transfer_all(session: Session, source: int, target: int, *, at: datetime) -> None:
    """Give every lot of one student to another: an entry on either side of each lot that has minutes left."""
    lock_balances(session, (source, target))
    for statement in (MOVE_LOTS, ADD_BALANCE, CLEAR_BALANCE):
        session.execute(statement, {"source": source, "target": target, "now": at})
