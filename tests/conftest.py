"""Real PostgreSQL and Valkey for every test: servers once a session, a database as new for each test."""

from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import Engine

from billing import db
from billing.config import Settings
from billing.deployment import Deployment
from billing.secrets import Vault
from tests.support.database import TEMPLATE, Databases, connect, fill_template
from tests.support.environment import make_settings
from tests.support.servers import RunningPostgres, RunningValkey, running_postgres, running_valkey

LONGEST_FIRST = (
    "tests/web/openapi/test_fuzz.py",
    "tests/billing/test_spending_model.py",
    "tests/billing/test_subscriptions_orders.py",
    "tests/flows/test_faults.py",
    "tests/chaos/test_campaign.py",
    "tests/attack/test_crash_points.py",
    "tests/attack/test_open_work.py",
    "tests/billing/test_stripe_recurring.py",
    "tests/attack/test_processes_under_attack.py",
    "tests/billing/test_refunds_interleaved.py",
    "tests/flows/test_topups.py",
    "tests/flows/test_subscriptions.py",
    "tests/flows/test_expiry.py",
    "tests/browser/test_operations.py",
)
"""Files are dealt to processes whole: one of minutes that comes last would keep the others waiting."""

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    places = {path: place for place, path in enumerate(LONGEST_FIRST)}
    items.sort(key=lambda item: places.get(item.nodeid.partition("::")[0], len(places)))


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


@pytest.fixture(scope="session")
def databases(postgres: RunningPostgres) -> Iterator[Databases]:
    databases = Databases(postgres)
    yield databases
    databases.close()


@pytest.fixture
def database_url(databases: Databases) -> Iterator[str]:
    """A migrated database with the default plans and nothing else."""
    with databases.lent() as url:
        yield url


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
    engine = connect(database_url, pool_size=24)
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
