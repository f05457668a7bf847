"""What a person has to look at. Finding the same thing again opens nothing new."""

from datetime import datetime
from uuid import UUID

from sqlalchemy.dialects.postgresql import insert
from sqlmodel import Session

from billing.models import StaffCase

DETAIL_LENGTH = 1000


def open_case(
    session: Session, reason: str, source: str, *, purchase_id: UUID | None, detail: str, at: datetime
) -> None:
    """`source` is what it is about (an event, a call): one case for each reason and source."""
    case = insert(StaffCase).values(
        reason=reason,
        source=source,
        purchase_id=purchase_id,
        detail=detail[:DETAIL_LENGTH],
        state="open",
        opened_at=at,
    )
    session.execute(case.on_conflict_do_nothing())
