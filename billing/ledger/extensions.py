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


EXTEND = text("""
    UPDATE hour_lot SET expires_at = extended.expires_at
    FROM unnest(CAST(:lots AS bigint[]), CAST(:ends AS timestamptz[])) AS extended (lot_id, expires_at)
    WHERE hour_lot.id = extended.lot_id
""")


def extend(session: Session, extensions: Sequence[Extension]) -> None:
    """Move the end of each lot; the lots must be locked. What was written off of them comes back by entries."""
    values = {"lots": [one.lot_id for one in extensions], "ends": [one.expires_at for one in extensions]}
    session.execute(EXTEND, values)
