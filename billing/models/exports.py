"""Lists of the admin that are too long to be sent at once: written by a worker, part by part, and kept for a while."""

from datetime import datetime
from typing import Any, ClassVar
from uuid import UUID

from sqlalchemy import CheckConstraint, Index, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel

from billing.models.columns import Instant, OpenWork, open_work_constraints, values_of
from billing.states import ExportState


class Export(OpenWork, table=True):
    """Who asked for which rows of which list. `after` is the key of the last row that is written, None before the
    first; the parts hold `rows` rows together."""

    __table_args__ = (
        Index("ix_export_sub", "sub", "requested_at"),
        Index("ix_export_kept", "ready_at", postgresql_where=text("state = 'ready'")),
        Index("ix_export_news", "sub", postgresql_where=text("state = 'ready' AND downloaded_at IS NULL")),
        CheckConstraint("rows >= 0", name="rows_not_negative"),
        CheckConstraint("(state = 'writing') = (ready_at IS NULL)", name="ready_once"),
        CheckConstraint("(state = 'erased') = (erased_at IS NOT NULL)", name="erased_once"),
        CheckConstraint("downloaded_at >= ready_at", name="downloaded_once_ready"),
        CheckConstraint("state = 'writing' OR due_at IS NULL", name="ready_is_closed"),
        CheckConstraint("state <> 'writing' OR due_at IS NOT NULL OR gave_up_at IS NOT NULL", name="writing_is_open"),
        *open_work_constraints("export"),
    )
    kind: ClassVar[str] = "export"

    id: UUID = Field(primary_key=True)
    sub: str = Field(max_length=255)
    list_name: str = Field(max_length=40)
    selection: dict[str, Any] = Field(sa_type=JSONB)
    """A `billing.lists.selection.Selection`."""
    request_id: str = Field(max_length=64)
    state: ExportState = Field(sa_type=values_of(ExportState))
    rows: int = Field(default=0, sa_column_kwargs={"server_default": text("0")})
    after: list[Any] | None = Field(default=None, sa_type=JSONB(none_as_null=True))
    requested_at: datetime = Field(sa_type=Instant)
    ready_at: datetime | None = Field(default=None, sa_type=Instant)
    downloaded_at: datetime | None = Field(default=None, sa_type=Instant)
    """By whoever asked for it, for the first time: nobody has to be told any more."""
    erased_at: datetime | None = Field(default=None, sa_type=Instant)

    def be_ready(self, now: datetime) -> None:
        """Its last part is written; the row is to be closed in the same transaction."""
        self.state, self.ready_at = ExportState.READY, now


class ExportPart(SQLModel, table=True):
    """Some rows of an export as CSV in UTF-8, compressed; one after the other they are the whole (RFC 1952, 2.2)."""

    __tablename__ = "export_part"
    __table_args__ = (CheckConstraint("number > 0 AND rows >= 0", name="counts"),)

    export_id: UUID = Field(foreign_key="export.id", primary_key=True)
    number: int = Field(primary_key=True)
    rows: int
    body: bytes
