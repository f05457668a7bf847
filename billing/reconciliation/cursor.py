"""How far Stripe's events were read. It only goes forward, and never past a time that was not read as a whole."""

from datetime import datetime, timedelta

from sqlalchemy import text
from sqlmodel import Session, select

from billing.gateway import CLOCKS_DIFFER
from billing.models import Cursor, Installation

EVENTS = "stripe_events"
KEPT_THERE = timedelta(days=30)
"""So long Stripe lists an event (Stripe, "List all events")."""

BEGIN = text("INSERT INTO cursor (name, at) VALUES (:name, :at) ON CONFLICT DO NOTHING")
ADVANCE = text("""
    UPDATE cursor SET at = greatest(at, CAST(:until AS timestamptz)) WHERE name = :name AND at >= :since
""")


def place(session: Session) -> datetime | None:
    """Where to go on; None before the first reading."""
    cursor = session.get(Cursor, EVENTS)
    return None if cursor is None else cursor.at


def beginning(session: Session, *, now: datetime) -> datetime:
    """Where to begin: when this installation was made, by whichever clock; or with what Stripe still has."""
    made_at = session.exec(select(Installation.created_at)).one()
    return min(max(made_at, now - KEPT_THERE), now) - CLOCKS_DIFFER


def begin_at(session: Session, at: datetime) -> None:
    """There is a cursor from now on, here unless it is further."""
    session.execute(BEGIN, {"name": EVENTS, "at": at})


def advance(session: Session, since: datetime, until: datetime) -> None:
    """All between the two was read. Where something before it was not, the cursor stays."""
    session.execute(ADVANCE, {"name": EVENTS, "since": since, "until": until})
