"""Databases for a measurement, beside the one of the settings and gone with it."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from urllib.parse import urlsplit, urlunsplit

from sqlalchemy import Engine, text
from sqlalchemy.exc import ProgrammingError

from billing import db, migrate
from billing.config import Settings
from billing.errors import PermanentError
from billing.ids import new_id

UNBOUNDED = {"statement_timeout": "0", "idle_in_transaction_session_timeout": "0"}


class NoScratchError(PermanentError):
    """There is no room to measure in."""


class Scratch:
    """Copies of one filled database; `url` is of the server's database that is there already."""

    def __init__(self, settings: Settings, engine: Engine) -> None:
        self._settings = settings
        self._engine = engine
        self._name = f"billing_bench_{new_id().hex[:12]}"

    @contextmanager
    def filled(self) -> Iterator[Settings]:
        """A migrated database; to be filled by the caller, and to be left alone while it is copied."""
        with self._made(self._name, "") as settings:
            migrate.upgrade(settings)
            yield settings

    @contextmanager
    def copy(self) -> Iterator[Settings]:
        """As a file is copied, so that each starts from the same pages."""
        with self._made(f"{self._name}_copy", f'TEMPLATE "{self._name}" STRATEGY file_copy') as settings:
            yield settings

    @contextmanager
    def _made(self, name: str, options: str) -> Iterator[Settings]:
        try:
            self._run(f'CREATE DATABASE "{name}" {options}')
        except ProgrammingError as error:
            told = "DATABASE_URL: its role may not make a database to measure in; give it CREATEDB"
            raise NoScratchError(told) from error
        try:
            yield self._of(name)
        finally:
            self._run(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    def _of(self, name: str) -> Settings:
        url = urlunsplit(urlsplit(self._settings.database_url)._replace(path=f"/{name}"))
        return self._settings.model_copy(update={"database_url": url, "database_owner_url": url})

    def _run(self, statement: str) -> None:
        execute_alone(self._engine, statement)


@contextmanager
def scratch(settings: Settings) -> Iterator[Scratch]:
    """Raises NoScratchError where the role may not make databases."""
    engine = db.connect(settings.database_url, "bench", pool_size=1, **UNBOUNDED)
    try:
        yield Scratch(settings, engine)
    finally:
        engine.dispose()


@contextmanager
def connected(settings: Settings) -> Iterator[tuple[Engine, db.Begin]]:
    """For statements that take as long as they take."""
    engine = db.connect(settings.database_url, "bench", pool_size=1, **UNBOUNDED)
    try:
        yield engine, partial(db.begin, engine)
    finally:
        engine.dispose()


def execute_alone(engine: Engine, statement: str) -> None:
    """Outside any transaction, as databases are made and tables vacuumed."""
    with db.in_our_words(), engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text(statement))
