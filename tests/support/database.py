"""A migrated database with the default plans for each test: one is emptied and lent again, unless its schema changed.

To copy a template and to drop the copy takes PostgreSQL ten times as long as to delete what a test wrote.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from itertools import count

import psycopg
from psycopg import sql

from billing import db, migrate, plans
from tests.support.environment import make_settings
from tests.support.servers import RunningPostgres

TEMPLATE = "billing_template"
MOST_BYTES = 16 * 2**20
"""More than that is dropped faster than it is emptied."""

TABLES = """
    SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' ORDER BY relname
"""
SEQUENCES = "SELECT sequencename, coalesce(last_value, 1), last_value IS NOT NULL FROM pg_sequences"
ALONE = """
    SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()
"""
SIZE = "SELECT pg_database_size(current_database())"
# Whatever changes a schema writes a row of one of these, by a later transaction than those that are there.
SCHEMA = """
    WITH ours AS (SELECT oid, xmin FROM pg_class WHERE relnamespace = 'public'::regnamespace), changed (xmin) AS (
        SELECT xmin FROM ours
        UNION ALL SELECT xmin FROM pg_attribute WHERE attrelid IN (SELECT oid FROM ours)
        UNION ALL SELECT xmin FROM pg_attrdef
        UNION ALL SELECT xmin FROM pg_constraint
        UNION ALL SELECT xmin FROM pg_trigger
        UNION ALL SELECT xmin FROM pg_rewrite
        UNION ALL SELECT xmin FROM pg_proc
        UNION ALL SELECT xmin FROM pg_namespace
        UNION ALL SELECT xmin FROM pg_event_trigger
    )
    SELECT count(*), max(xmin::text::bigint) FROM changed
"""


connect = partial(db.connect, application="tests", idle_in_transaction_session_timeout="5min")
"""An engine of a test's own: a machine that stands still for a minute is no fault of what is tested."""
connect_async = partial(db.connect_async, application="tests", idle_in_transaction_session_timeout="5min")


def fill_template(url: str) -> None:
    settings = make_settings(url, "redis://127.0.0.1:1/0")
    migrate.upgrade(settings)
    engine = connect(url)
    plans.load_defaults(partial(db.begin, engine), force=False, now=datetime(2026, 1, 1, tzinfo=UTC))
    engine.dispose()


@dataclass(frozen=True, slots=True)
class Fresh:
    """What a copy of the template is like: its schema, the rows it begins with, and where its numbers go on."""

    schema: tuple[object, ...] | None
    bytes: int
    tables: Sequence[str]
    rows: Mapping[str, str]
    sequences: Sequence[tuple[str, int, bool]]

    @classmethod
    def read(cls, connection: psycopg.Connection) -> "Fresh":
        tables = [row[0] for row in connection.execute(TABLES)]
        kept = {table: _rows_of(connection, table) for table in tables}
        return cls(
            _schema(connection),
            _size(connection),
            [table for table in tables if table != "alembic_version"],
            {table: rows for table, rows in kept.items() if rows and table != "alembic_version"},
            connection.execute(SEQUENCES).fetchall(),
        )

    def restore(self, connection: psycopg.Connection) -> bool:
        """False where the schema is another one, or so much was written that a new copy is better.

        The triggers that guard the ledger let nothing be deleted, so they, and foreign keys with them, are passed by.
        """
        connection.execute(ALONE)
        if _schema(connection) != self.schema or _size(connection) > self.bytes + MOST_BYTES:
            return False
        with connection.transaction():
            self._put_back(connection)
        return True

    def _put_back(self, connection: psycopg.Connection) -> None:
        connection.execute("SET LOCAL session_replication_role = replica")
        connection.execute(sql.SQL("; ").join(sql.SQL("DELETE FROM {}").format(sql.Identifier(t)) for t in self.tables))
        for table, rows in self.rows.items():
            name = sql.Identifier(table)
            put = sql.SQL("INSERT INTO {} SELECT * FROM json_populate_recordset(NULL::{}, %s)").format(name, name)
            connection.execute(put, [rows])
        for sequence in self.sequences:
            connection.execute("SELECT setval(%s, %s, %s)", sequence)


class Databases:
    """Copies of a server's template, lent one at a time; who empties one stays connected to it."""

    def __init__(self, server: RunningPostgres) -> None:
        self._server = server
        self._names = (f"test_{number}" for number in count())
        self._kept: tuple[str, psycopg.Connection] | None = None
        self._fresh: Fresh | None = None

    @contextmanager
    def lent(self) -> Iterator[str]:
        """Its address."""
        name, connection = self._kept or self._copied()
        self._kept = None
        yield self._server.url(name)
        if self._is_fresh_again(connection):
            self._kept = name, connection
        else:
            connection.close()
            self._drop(name)

    def close(self) -> None:
        if self._kept is not None:
            self._kept[1].close()

    def _is_fresh_again(self, connection: psycopg.Connection) -> bool:
        assert self._fresh is not None
        try:
            return self._fresh.restore(connection)
        except psycopg.OperationalError:  # a test may cut off everybody
            return False

    def _copied(self) -> tuple[str, psycopg.Connection]:
        name = next(self._names)
        self._server.create_database(name, template=TEMPLATE)
        connection = psycopg.connect(self._server.url(name), autocommit=True)
        if self._fresh is None:
            self._fresh = Fresh.read(connection)
        return name, connection

    def _drop(self, name: str) -> None:
        with psycopg.connect(self._server.url("postgres"), autocommit=True) as connection:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def _schema(connection: psycopg.Connection) -> tuple[object, ...] | None:
    return connection.execute(SCHEMA).fetchone()


def _size(connection: psycopg.Connection) -> int:
    row = connection.execute(SIZE).fetchone()
    assert row is not None
    return int(row[0])


def _rows_of(connection: psycopg.Connection, table: str) -> str | None:
    """In an order of their own: that in which rows lie changes where room of deleted ones is used again."""
    all_of_them = sql.SQL("SELECT json_agg(r ORDER BY r::text)::text FROM {} AS r").format(sql.Identifier(table))
    found = connection.execute(all_of_them)
    row = found.fetchone()
    return row[0] if row else None
