"""What gave up, as rows that can be listed."""

from datetime import datetime

from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from billing.models.columns import Instant


class Views(DeclarativeBase):
    """Of the database: not among the tables, for nothing makes or empties them."""


class DeadLetter(Views):
    """What gave up, or could not be read."""

    __tablename__ = "dead_letter"

    kind: Mapped[str] = mapped_column(primary_key=True)
    subject: Mapped[str] = mapped_column(primary_key=True)
    reason: Mapped[str | None]
    error_class: Mapped[str | None]
    attempts: Mapped[int]
    first_at: Mapped[datetime] = mapped_column(Instant)
    at: Mapped[datetime] = mapped_column(Instant)
    digest: Mapped[str]
    state: Mapped[str]
