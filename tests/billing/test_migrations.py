"""The schema: made by migrations from nothing and back, equal to what the models say, guarded where roles differ."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from threading import Barrier
from typing import Any
from urllib.parse import quote, urlsplit
from uuid import UUID

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Engine, Executable, text
from sqlalchemy.exc import ProgrammingError

from billing import db, ledger, migrate, plans
from billing.config import Settings
from billing.errors import DatabaseUnavailableError
from billing.models import metadata
from billing.staff.wishes import BulkExtend, Extend
from billing.states import LotOrigin
from tests.support.database import connect
from tests.support.environment import make_settings
from tests.support.factories import add_purchase, add_student
from tests.support.records import DAY, bought
from tests.support.servers import RunningPostgres
from tests.support.staff import StaffRoom

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
NO_VALKEY = "redis://127.0.0.1:1/0"
APP_ROLE = "app of the tests"
APP_PASSWORD = "only for tests"

COLUMNS = text("""
    SELECT table_name, column_name, data_type, character_maximum_length, numeric_precision, datetime_precision,
        is_nullable, column_default, is_identity, identity_generation, is_generated, collation_name
    FROM information_schema.columns JOIN information_schema.tables USING (table_schema, table_name)
    WHERE table_schema = 'public' AND table_type = 'BASE TABLE' AND table_name <> 'alembic_version'
""")
CONSTRAINTS = text("""
    SELECT conrelid::regclass::text, conname, contype::text, pg_get_constraintdef(oid), convalidated FROM pg_constraint
    WHERE connamespace = 'public'::regnamespace AND conrelid::regclass::text <> 'alembic_version'
""")
INDEXES = text("""
    SELECT tablename, indexname, indexdef FROM pg_indexes
    WHERE schemaname = 'public' AND tablename <> 'alembic_version'
""")
OBJECTS = text("""
    SELECT 'relation', relname FROM pg_class
    WHERE relnamespace = 'public'::regnamespace AND relname NOT LIKE 'alembic_version%'
    UNION ALL SELECT 'function', proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace
    UNION ALL SELECT 'type', typname FROM pg_type
        WHERE typnamespace = 'public'::regnamespace AND typname NOT LIKE '%alembic_version'
""")

DEFINITIONS = text("""
    SELECT viewname, definition FROM pg_views WHERE schemaname = 'public'
    UNION ALL SELECT proname, prosrc FROM pg_proc WHERE pronamespace = 'public'::regnamespace
""")


@pytest.fixture
def empty_url(postgres: RunningPostgres, request: pytest.FixtureRequest) -> Iterator[str]:
    """A database with nothing in it, gone after the test."""
    name = f"empty_{abs(hash(request.node.nodeid)):x}"
    postgres.create_database(name)
    yield postgres.url(name)
    _administer(postgres, f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.fixture
def role_url(postgres: RunningPostgres, empty_url: str) -> Iterator[str]:
    """The address of the application's own role, which has no right to anything yet."""
    _administer(postgres, f"CREATE ROLE \"{APP_ROLE}\" LOGIN PASSWORD '{APP_PASSWORD}'")
    parts = urlsplit(empty_url)
    yield f"postgresql://{quote(APP_ROLE)}:{quote(APP_PASSWORD)}@{parts.hostname}:{parts.port}{parts.path}"
    with _connected(empty_url) as engine, db.begin(engine) as session:
        session.execute(text(f'DROP OWNED BY "{APP_ROLE}"'))
    _administer(postgres, f'DROP ROLE "{APP_ROLE}"')


def _administer(postgres: RunningPostgres, statement: str) -> None:
    with _connected(postgres.url("postgres")) as engine, engine.connect() as connection:
        connection.execution_options(isolation_level="AUTOCOMMIT").execute(text(statement))


@contextmanager
def _connected(url: str) -> Iterator[Engine]:
    engine = connect(url)
    try:
        yield engine
    finally:
        engine.dispose()


def _settings(url: str, **more: str) -> Settings:
    return make_settings(url, NO_VALKEY, **more)


def _ask(url: str, question: str | Executable) -> Sequence[tuple[object, ...]]:
    statement = text(question) if isinstance(question, str) else question
    with _connected(url) as engine, db.begin(engine) as session:
        return sorted((tuple(row) for row in session.execute(statement)), key=repr)


def _schema(url: str) -> Sequence[Sequence[tuple[object, ...]]]:
    return [_ask(url, facts) for facts in (OBJECTS, COLUMNS, CONSTRAINTS, INDEXES, DEFINITIONS)]


def _installation(url: str) -> UUID:
    ((found,),) = _ask(url, "SELECT id FROM installation")
    assert isinstance(found, UUID)
    return found


def test_up_from_nothing_down_to_nothing_and_up_again(empty_url: str) -> None:
    """A release that has to go back must leave nothing that stops the next one."""
    settings = _settings(empty_url)
    migrate.upgrade(settings)
    whole = _ask(empty_url, OBJECTS)
    migrate.downgrade(settings, "base")
    assert _ask(empty_url, OBJECTS) == []
    migrate.upgrade(settings)
    assert _ask(empty_url, OBJECTS) == whole
    assert _ask(empty_url, "SELECT version_num FROM alembic_version") == [(migrate.newest_revision(),)]


def test_each_revision_can_be_gone_back_alone(empty_url: str) -> None:
    """Going back one step is what a failed release needs; it need not lose all the others."""
    settings = _settings(empty_url)
    newest = migrate.newest_revision()
    assert newest is not None
    revisions = [f"{number:04}" for number in range(1, int(newest) + 1)]
    schemas = []
    for revision in revisions:
        migrate.upgrade(settings, revision)
        schemas.append(_schema(empty_url))
    for revision, schema in zip(reversed(revisions[:-1]), reversed(schemas[:-1]), strict=True):
        migrate.downgrade(settings, revision)
        assert _schema(empty_url) == schema, revision


def test_migrating_again_changes_nothing(database_url: str) -> None:
    """Every start of the pipeline migrates."""
    before = _ask(database_url, OBJECTS), _installation(database_url)
    migrate.upgrade(_settings(database_url))
    assert (_ask(database_url, OBJECTS), _installation(database_url)) == before


@pytest.mark.parametrize("facts", [COLUMNS, CONSTRAINTS, INDEXES], ids=["columns", "constraints", "indexes"])
def test_migrations_make_what_the_models_say(database_url: str, empty_url: str, facts: Executable) -> None:
    """Tests and production run on the migrated schema, the code is written against the models: they are one."""
    with _connected(empty_url) as engine:
        metadata.create_all(engine)
    migrated, declared = set(_ask(database_url, facts)), set(_ask(empty_url, facts))
    assert migrated - declared == set()
    assert declared - migrated == set()
    assert len(migrated) > 10


def test_a_new_migration_would_be_empty(database_url: str) -> None:
    """Who changes a model and forgets the migration hears of it here."""
    with _connected(database_url) as engine, engine.connect() as connection:
        compared = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        assert compare_metadata(compared, metadata) == []


def test_what_staff_had_extended_before_ends_were_kept_is_known(empty_url: str) -> None:
    """A balance of last month is told as it was, also after the release that keeps this in a table of its own."""
    settings = _settings(empty_url)
    migrate.upgrade(settings)
    with _connected(empty_url) as engine:
        begin = partial(db.begin, engine)
        plans.load_defaults(begin, force=False, now=NOON)
        room = StaffRoom(begin, empty_url, NOON)
        for number in (1, 2):
            bought(begin, add_student(begin, f"{number}@example.com", at=NOON), at=NOON, expires_at=NOON + DAY)
        room.do(Extend(transaction_id=2, extension_days=3))
        room.now += DAY
        room.do(BulkExtend(transaction_ids=(1, 2), extension_days=7))
        ends = _ends(begin)
    assert len(ends) == 3
    migrate.downgrade(settings, "0013")
    migrate.upgrade(settings)
    with _connected(empty_url) as engine:
        assert _ends(partial(db.begin, engine)) == ends


def _ends(begin: db.Begin) -> list[Any]:
    with begin() as session:
        found = text("SELECT lot_id, source, expired_at, expires_at, at FROM lot_end ORDER BY at, lot_id")
        return list(session.execute(found))


def test_two_migrations_at_once_run_one_after_the_other(empty_url: str) -> None:
    """Two releases that start together must not meet in the middle of a table."""
    settings, together = _settings(empty_url), Barrier(2)

    def run(_: int) -> UUID:
        together.wait(timeout=10)
        migrate.upgrade(settings)
        return _installation(empty_url)

    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(run, range(2))
    assert first == second


def test_a_migration_that_breaks_leaves_nothing_behind(empty_url: str) -> None:
    """Half a schema fits neither the old code nor the new."""
    with _connected(empty_url) as engine, db.begin(engine) as session:
        session.execute(text("CREATE TABLE stripe_call (in_the_way int)"))
    with pytest.raises(ProgrammingError, match="already exists"):
        migrate.upgrade(_settings(empty_url))
    relations = "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'"
    assert _ask(empty_url, relations) == [("stripe_call",)]


def test_a_database_that_is_away_is_told_in_our_words() -> None:
    """The first command of a release ends with one line, not with a driver's traceback."""
    with pytest.raises(DatabaseUnavailableError):
        migrate.upgrade(_settings("postgresql://nobody@127.0.0.1:1/none"))


def test_the_installation_is_drawn_once_and_is_another_elsewhere(database_url: str, empty_url: str) -> None:
    """Two installations on one account of Stripe must never take each other's payments for their own."""
    migrate.upgrade(_settings(empty_url))
    drawn = _installation(empty_url)
    assert drawn != _installation(database_url)
    assert drawn.version == 4
    migrate.upgrade(_settings(empty_url))
    assert _installation(empty_url) == drawn


FORBIDDEN = [
    *(
        statement.format(table, column)
        for table, column in (("hour_entry", "minutes"), ("hour_allocation", "minutes"), ("lot_end", "lot_id"))
        for statement in (
            "UPDATE {0} SET {1} = 1",
            "DELETE FROM {0}",
            "TRUNCATE {0} CASCADE",
            "ALTER TABLE {0} DISABLE TRIGGER append_only",
            "DROP TRIGGER append_only ON {0}",
            "DROP TABLE {0} CASCADE",
        )
    ),
    "TRUNCATE purchase CASCADE",
    "CREATE TABLE another (id int)",
    "CREATE SCHEMA another",
    "CREATE VIEW another AS SELECT 1",
    "CREATE FUNCTION another() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "CREATE OR REPLACE FUNCTION refuse_change_of_ledger() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'",
    "ALTER TABLE purchase ADD COLUMN another int",
    "CREATE INDEX another ON purchase (state)",
    "DROP VIEW violation",
    "DROP FUNCTION violations_of(bigint, bigint) CASCADE",
    """
    CREATE OR REPLACE FUNCTION violations_of(low bigint, high bigint) RETURNS TABLE (rule text, subject text)
    LANGUAGE sql AS 'SELECT NULL, NULL WHERE false'
    """,
    "UPDATE alembic_version SET version_num = '0001'",
    "DELETE FROM alembic_version",
    "SET session_replication_role = replica",
]


def test_the_application_s_own_role_has_no_way_around_the_ledger(empty_url: str, role_url: str) -> None:
    """Whoever gets at the application's password can neither rewrite the history of hours nor change the schema."""
    migrate.upgrade(_settings(role_url, DATABASE_OWNER_URL=empty_url))
    with _connected(role_url) as engine:
        begin = partial(db.begin, engine)
        _work_a_little(begin)
        for statement in FORBIDDEN:
            with pytest.raises(ProgrammingError) as refused, begin() as session:
                session.execute(text(statement))
            assert isinstance(refused.value.orig, psycopg.errors.InsufficientPrivilege), statement
        assert ledger.violations(begin) == []
        assert ledger.prove(begin, now=NOON).holds


def test_the_role_keeps_its_rights_when_tables_are_added_and_migrated_again(empty_url: str, role_url: str) -> None:
    """Each release grants anew: a table of a later migration is not forgotten, and the ledger is not opened."""
    settings = _settings(role_url, DATABASE_OWNER_URL=empty_url)
    for _ in range(2):
        migrate.upgrade(settings)
    rights = text(
        "SELECT privilege_type FROM information_schema.role_table_grants WHERE grantee = :role AND table_name = :t"
    )
    entry = _ask(empty_url, rights.bindparams(role=APP_ROLE, t="hour_entry"))
    purchase = _ask(empty_url, rights.bindparams(role=APP_ROLE, t="purchase"))
    assert entry == [("INSERT",), ("SELECT",)]
    assert purchase == [("DELETE",), ("INSERT",), ("SELECT",), ("UPDATE",)]


def test_a_role_that_was_not_given_anything_is_the_owner_itself(database_url: str) -> None:
    """Where there is one role, nothing is taken from it: it has to migrate tomorrow."""
    owner = "SELECT DISTINCT tableowner = current_user FROM pg_tables WHERE schemaname = 'public'"
    assert _ask(database_url, owner) == [(True,)]


def _work_a_little(begin: db.Begin) -> None:
    """What the application does all day is allowed."""
    assert len(plans.load_defaults(begin, force=False, now=NOON)) == 7
    student_id = add_student(begin, at=NOON)
    add_purchase(begin, at=NOON)
    given = ledger.Credit(student_id, LotOrigin.GRANT, "first", None, 60, 0, "eur", NOON, None, NOON)
    with begin() as session:
        ledger.credit(session, [given])
