"""Which rows want work at this moment, or are being worked."""

from sqlalchemy import func, select
from sqlmodel import col

from billing.db import Begin
from billing.work.claims import database_now
from billing.work.kinds import OPEN_KINDS


def due_by_kind(begin: Begin) -> dict[str, int]:
    """How many rows of which kind; none of those that were put off, for their time has not come."""
    counts = (
        select(func.count()).select_from(kind.model).where(col(kind.model.due_at) <= database_now()).scalar_subquery()
        for kind in OPEN_KINDS
    )
    with begin() as session:
        found = session.execute(select(*counts)).one()
    return {kind.model.kind: number for kind, number in zip(OPEN_KINDS, found, strict=True) if number}
