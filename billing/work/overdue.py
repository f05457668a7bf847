"""Open rows whose hint was lost or whose time has come: what the sweeper asks for."""

from typing import Any

from sqlalchemy import bindparam, text

from billing.db import Begin
from billing.messages import Message
from billing.work.kinds import OPEN_KINDS

# The next hint is pushed away before this one is sent, so that a long queue is not flooded with copies.
TAKE = """
    WITH overdue AS (
        SELECT id FROM {table} WHERE hint_at <= clock_timestamp()
        ORDER BY hint_at LIMIT :most FOR UPDATE SKIP LOCKED
    )
    UPDATE {table} AS work
    SET hints = least(work.hints + 1, 30),
        hint_at = clock_timestamp() + least(60, power(2, least(work.hints + 1, 6))) * interval '1 second'
    FROM overdue WHERE work.id = overdue.id
    RETURNING work.id
"""


def take_overdue(begin: Begin, *, limit: int = 500) -> list[Message]:
    """Hints for at most `limit` overdue rows of each kind, whose next hints wait 2, 4, 8 … 60 s from now on."""
    messages: list[Message] = []
    for kind in OPEN_KINDS:
        with begin() as session:
            statement = text(TAKE.format(table=kind.model.kind)).bindparams(bindparam("most", limit))
            ids: list[Any] = list(session.execute(statement).scalars())
        messages += kind.hints(ids)
    return messages
