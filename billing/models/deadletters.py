"""What people decided about dead letters."""

from datetime import datetime
from uuid import UUID

from sqlmodel import Field, SQLModel

from billing.models.columns import Instant, values_of
from billing.states import DeadLetterState


class DeadLetterMark(SQLModel, table=True):
    """Put aside, or done with, without being replayed. A row that gives up again after it loses its mark."""

    __tablename__ = "dead_letter_mark"

    kind: str = Field(primary_key=True, max_length=40)
    subject: str = Field(primary_key=True, max_length=64)
    """The id of the row, as text."""
    state: DeadLetterState = Field(sa_type=values_of(DeadLetterState))
    act_id: UUID = Field(foreign_key="staff_act.id")
    at: datetime = Field(sa_type=Instant)
