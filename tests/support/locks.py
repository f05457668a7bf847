"""Waiting until somebody waits for a lock, so that a test knows who comes first."""

from sqlalchemy import text

from billing.db import Begin
from tests.support.stack import eventually

WAITING = text("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()")


def until_somebody_waits(begin: Begin) -> None:
    eventually(lambda: _is_waiting(begin), 10)


def _is_waiting(begin: Begin) -> bool:
    """Each look is a transaction of its own: within one, the first answer is kept."""
    with begin() as session:
        return bool(session.execute(WAITING).scalar_one())
