"""A connection for the time of one command."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from billing import db
from billing.config import Settings


@contextmanager
def connected(settings: Settings) -> Iterator[db.Begin]:
    engine = db.connect(settings.database_url, "command", pool_size=1)
    try:
        yield partial(db.begin, engine)
    finally:
        engine.dispose()
