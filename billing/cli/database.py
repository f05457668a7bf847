"""A connection for the time of one command."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Final

from billing import db
from billing.config import Settings

PATIENCE: Final = {
    "lock_timeout": "5s",
    "statement_timeout": "20s",
    "idle_in_transaction_session_timeout": "10s",
}
"""Whoever typed a command would rather wait than type it again, and nobody waits behind him."""


@contextmanager
def connected(settings: Settings) -> Iterator[db.Begin]:
    engine = db.connect(settings.database_url, "command", pool_size=1, **PATIENCE)
    try:
        yield partial(db.begin, engine)
    finally:
        engine.dispose()
