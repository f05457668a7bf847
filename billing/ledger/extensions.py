"""Lots that live longer than was said when they came; their minutes stay where they are."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text
from sqlmodel import Session


@dataclass(frozen=True, slots=True)
class Extension:
    """`expires_at` is exclusive."""

    lot_id: int
    expires_at: datetime


# A lot without an end compares as unknown, and is left as it is.
EXTEND = text("""
    WITH later AS (
        SELECT lot.id, lot.expires_at AS expired_at, asked.expires_at
        FROM unnest(CAST(:lots AS bigint[]), CAST(:ends AS timestamptz[])) AS asked (lot_id, expires_at)
        JOIN hour_lot AS lot ON lot.id = asked.lot_id AND lot.expires_at < asked.expires_at
    ), moved AS (
        UPDATE hour_lot SET expires_at = later.expires_at FROM later WHERE hour_lot.id = later.id
    )
    INSERT INTO lot_end (lot_id, source, expired_at, expires_at, at)
    SELECT id, :source, expired_at, expires_at, :at FROM later ORDER BY id
""")


def extend(session: Session, extensions: Sequence[Extension], *, source: str, at: datetime) -> None:
    """Each lot lives until then at least; the lots must be locked. What was written off of them comes back by entries.

    What is told of an earlier instant still goes by the end that was said then. Raises sqlalchemy's IntegrityError
    where the same source extended the lot before.
    """
    if extensions:
        lots, ends = [one.lot_id for one in extensions], [one.expires_at for one in extensions]
        session.execute(EXTEND, {"lots": lots, "ends": ends, "source": source, "at": at})
