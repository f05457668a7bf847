"""Real PostgreSQL and Valkey for every test: servers once a session, a migrated database of its own for each test."""

from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from billing import db
from billing.config import Settings
from billing.deployment import Deployment
from billing.secrets import Vault
from tests.support.database import TEMPLATE, fill_template
from tests.support.environment import make_settings
from tests.support.servers import RunningPostgres, RunningValkey, running_postgres, running_valkey

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)


@pytest.fixture(scope="session")
def postgres() -> Iterator[RunningPostgres]:
    """The session's server. Stop, kill or freeze one of your own: `running_postgres()`."""
    with running_postgres() as server:
        server.create_database(TEMPLATE)
        fill_template(server.url(TEMPLATE))
        yield server


@pytest.fixture(scope="session")
def valkey() -> Iterator[RunningValkey]:
    with running_valkey() as server:
        yield server


@pytest.fixture
def database_url(postgres: RunningPostgres, request: pytest.FixtureRequest) -> Iterator[str]:
    """A migrated database with the default plans, gone after the test."""
    name = f"test_{abs(hash(request.node.nodeid)):x}"
    postgres.create_database(name, template=TEMPLATE)
    yield postgres.url(name)
    engine = db.connect(postgres.url("postgres"), "tests")
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text(f'DROP DATABASE "{name}" WITH (FORCE)'))
    engine.dispose()


@pytest.fixture
def valkey_url(valkey: RunningValkey) -> str:
    import redis  # noqa: PLC0415

    with redis.Redis.from_url(valkey.url()) as client:
        client.flushall()
    return valkey.url()


@pytest.fixture
def settings(database_url: str, valkey_url: str, tmp_path: Path) -> Settings:
    return make_settings(database_url, valkey_url, STATE_DIR=str(tmp_path))


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    engine = db.connect(database_url, "tests", pool_size=8)
    yield engine
    engine.dispose()


@pytest.fixture
def begin(engine: Engine) -> db.Begin:
    return partial(db.begin, engine)


@pytest.fixture
def vault(settings: Settings) -> Vault:
    return Vault(settings.secret_key)


@pytest.fixture
def deployment(settings: Settings, begin: db.Begin) -> Deployment:
    return Deployment.of(settings, begin)


@pytest.fixture
def now() -> datetime:
    return NOON
