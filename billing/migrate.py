"""Bring the schema to the newest version, or back."""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine, text

from billing.config import Settings
from billing.db import connect_arguments, driver_url, in_our_words

MIGRATIONS = Path(__file__).with_name("migrations")
ONE_AT_A_TIME = 7_120_250_001
"""The advisory lock of migrations: two releases that start together run one after the other."""

APPEND_ONLY = ("hour_entry", "hour_allocation", "lot_end")


class Moved(NamedTuple):
    """The revisions between which the schema went; None: nothing was ever migrated."""

    was: str | None
    now: str | None


def upgrade(settings: Settings, revision: str = "head") -> Moved:
    """Migrate as the owner; where the application has a role of its own, give it what it needs and no more."""

    def run(connection: Connection) -> None:
        command.upgrade(_config(connection), revision)
        if settings.database_owner_url != settings.database_url:
            _grant(connection, role_of(settings.database_url))

    return _in_one_transaction(settings, run)


def downgrade(settings: Settings, revision: str) -> Moved:
    return _in_one_transaction(settings, lambda connection: command.downgrade(_config(connection), revision))


@cache
def newest_revision() -> str | None:
    """The revision that this code was written for."""
    return ScriptDirectory(str(MIGRATIONS)).get_current_head()


def is_migrated(revision: str | None) -> bool:
    """Whether the schema has all that this code needs: revisions are numbered, and a later one only adds.

    While a release is deployed its schema is there before its code, and the code before it goes on.
    """
    newest = newest_revision()
    return revision is not None and newest is not None and revision >= newest


def role_of(url: str) -> str:
    return unquote(urlsplit(url).username or "")


def _in_one_transaction(settings: Settings, run: Callable[[Connection], None]) -> Moved:
    unbounded = connect_arguments("migrate", lock_timeout="10s", statement_timeout="0")
    engine = create_engine(driver_url(settings.database_owner_url), connect_args=unbounded)
    try:
        with in_our_words(), engine.begin() as connection:
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": ONE_AT_A_TIME})
            was = _revision(connection)
            run(connection)
            return Moved(was, _revision(connection))
    finally:
        engine.dispose()


def _revision(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


def _config(connection: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["connection"] = connection
    return config


def _grant(connection: Connection, role: str) -> None:
    name = connection.dialect.identifier_preparer.quote(role)
    kept = ", ".join(APPEND_ONLY)
    for statement in (
        f"GRANT USAGE ON SCHEMA public TO {name}",
        f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {name}",
        f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO {name}",
        f"REVOKE UPDATE, DELETE, TRUNCATE ON {kept} FROM {name}",
        f"REVOKE INSERT, UPDATE, DELETE, TRUNCATE ON alembic_version FROM {name}",
    ):
        connection.execute(text(statement))
