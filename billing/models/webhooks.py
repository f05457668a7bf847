"""What came in: Stripe's events as received, messages nobody could read, ticks of the scheduler."""

from datetime import datetime
from typing import ClassVar
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, Identity, Index, UniqueConstraint, text
from sqlmodel import Field, SQLModel

from billing.models.columns import Instant, OpenWork, listed, open_work_constraints, values_of
from billing.states import OPEN_EVENT_STATES, EventState, Outcome

ODD = frozenset({Outcome.WRONG_MODE, Outcome.DIFFERENCE, Outcome.WAIT})


class WebhookEvent(OpenWork, table=True):
    """An event whose signature was good, byte for byte; its state is the queue, its outcome the answer."""

    __tablename__ = "webhook_event"
    __table_args__ = (
        UniqueConstraint("stripe_event_id"),
        # All that figures of a time are made of, so that nobody reads bodies to count events.
        Index("ix_webhook_event_received", "received_at", postgresql_include=["state", "outcome", "processed_at"]),
        # What is rare and looked for: the many that went well are in none of these.
        Index("ix_webhook_event_stopped", "state", "id", postgresql_where=text("state IN ('parked', 'dead')")),
        Index("ix_webhook_event_odd", "outcome", "id", postgresql_where=text(f"outcome IN ({listed(ODD)})")),
        Index("ix_webhook_event_waits_for", "waits_for", postgresql_where=text("waits_for IS NOT NULL")),
        Index("ix_webhook_event_troubled", "id", postgresql_where=text("last_error IS NOT NULL")),
        CheckConstraint(f"(due_at IS NOT NULL) = (state IN ({listed(OPEN_EVENT_STATES)}))", name="open_states"),
        CheckConstraint("(state = 'applied') = (outcome IS NOT DISTINCT FROM 'applied')", name="applied_is_applied"),
        *open_work_constraints("webhook_event"),
        # A body is written once and apart from its row, which moves with each change of state and is looked through.
        {"postgresql_with": {"toast_tuple_target": 512}},
    )
    kind: ClassVar[str] = "webhook_event"

    id: int | None = Field(default=None, primary_key=True, sa_type=BigInteger, sa_column_args=[Identity()])
    stripe_event_id: str = Field(max_length=255)
    type: str = Field(max_length=255)
    body: bytes
    request_id: str = Field(max_length=64)
    state: EventState = Field(sa_type=values_of(EventState))
    outcome: Outcome | None = Field(default=None, sa_type=values_of(Outcome))
    received_at: datetime = Field(sa_type=Instant)
    processed_at: datetime | None = Field(default=None, sa_type=Instant)
    waits_for: UUID | None = Field(default=None)
    """The purchase that an early event names by our mark, which wakes it; perhaps there is none of that id."""


class UnreadableMessage(SQLModel, table=True):
    """A broker message that is none of ours; its bytes may hold anything, so only a digest of them is kept."""

    __tablename__ = "unreadable_message"
    __table_args__ = (UniqueConstraint("digest"), CheckConstraint("times > 0", name="times_count"))

    id: int | None = Field(default=None, primary_key=True, sa_type=BigInteger, sa_column_args=[Identity()])
    digest: str = Field(max_length=64)
    queue: str = Field(max_length=255)
    task: str = Field(max_length=255)
    reason: str = Field(max_length=255)
    size_bytes: int
    times: int = Field(default=1)
    first_at: datetime = Field(sa_type=Instant)
    last_at: datetime = Field(sa_type=Instant)


class BeatSlot(SQLModel, table=True):
    """A tick of the scheduler that was taken: missed, doubled and late ones do nothing."""

    __tablename__ = "beat_slot"

    entry: str = Field(primary_key=True, max_length=100)
    slot: datetime = Field(primary_key=True, sa_type=Instant)
