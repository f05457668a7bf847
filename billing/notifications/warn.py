"""Look for lots that expire soon."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

from sqlmodel import Session

from billing.db import Begin
from billing.messages import Message


def warn_of_expiry(begin: Begin, *, zone: ZoneInfo, now: datetime) -> Sequence[Message]:
    raise NotImplementedError


def note_low_balances(session: Session, students: Iterable[int], *, now: datetime) -> Sequence[Message]:
    """Note for each of these students that little or nothing is left to spend, once since the last credit."""
    raise NotImplementedError
