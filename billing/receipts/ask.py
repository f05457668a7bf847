"""Paid purchases ask for their receipts, in the transaction that credits their hours."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import text
from sqlmodel import Session

from billing.ids import new_id
from billing.messages import ReceiptsWaiting
from billing.purchases import changes

ASK = text("""
    INSERT INTO receipt (id, purchase_id, requested_at, due_at, hint_at)
    SELECT asked.id, asked.purchase_id, :now, clock_timestamp(), clock_timestamp() + interval '2 seconds'
    FROM unnest(CAST(:ids AS uuid[]), CAST(:purchase_ids AS uuid[])) AS asked (id, purchase_id)
    ORDER BY asked.purchase_id
    ON CONFLICT (purchase_id) DO NOTHING
""")


def ask_for_receipts(session: Session, purchase_ids: Sequence[UUID], *, now: datetime) -> None:
    """One for each purchase, however often it is asked for."""
    ids = [new_id() for _ in purchase_ids]
    session.execute(ASK, {"ids": ids, "purchase_ids": list(purchase_ids), "now": now})
    changes.follow_up(session, ReceiptsWaiting())
