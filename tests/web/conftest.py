"""The door as callers meet it."""

from collections.abc import Iterator
from datetime import datetime

import pytest
from sqlalchemy import text
from starlette.testclient import TestClient

from billing.config import DEVELOPMENT_JWT_SECRET, Settings
from billing.db import Begin, begin, connect
from billing.models import metadata
from billing.secrets import Vault
from tests.support.database import TEMPLATE
from tests.support.environment import make_settings
from tests.support.servers import RunningPostgres, RunningValkey
from tests.web.following import Worker
from tests.web.openapi import documented
from tests.web.support import Tokens
from web.app import create_app

KEPT = {"installation", "pricing_plan", "pricing_plan_version"}
HELD_AGAINST_THE_DOCUMENT = {"response": [documented.check]}
USED = sorted(set(metadata.tables) - KEPT)


@pytest.fixture(scope="session")
def web_database_url(postgres: RunningPostgres) -> str:
    postgres.create_database("web_tests", template=TEMPLATE)
    return postgres.url("web_tests")


@pytest.fixture
def database_url(web_database_url: str) -> Iterator[str]:
    """One database for all tests here, emptied after each; whoever changes plans or schema mends them himself."""
    yield web_database_url
    engine = connect(web_database_url, "tests")
    with begin(engine) as session:
        session.execute(text("SET LOCAL session_replication_role = replica"))
        session.execute(text(f"TRUNCATE {', '.join(USED)} RESTART IDENTITY"))
    engine.dispose()


@pytest.fixture
def client(settings: Settings) -> Iterator[TestClient]:
    with TestClient(create_app(settings), raise_server_exceptions=False, client=("192.0.2.7", 4711)) as client:
        client.event_hooks = HELD_AGAINST_THE_DOCUMENT
        yield client


@pytest.fixture(scope="session")
def shared_client(postgres: RunningPostgres, valkey: RunningValkey) -> Iterator[TestClient]:
    """For tests to which it does not matter what other tests have bought."""
    postgres.create_database("web_shared", template=TEMPLATE)
    settings = make_settings(postgres.url("web_shared"), valkey.url(1))
    with TestClient(create_app(settings), raise_server_exceptions=False, client=("192.0.2.7", 4711)) as client:
        client.event_hooks = HELD_AGAINST_THE_DOCUMENT
        yield client


@pytest.fixture(scope="session")
def tokens() -> Tokens:
    return Tokens(DEVELOPMENT_JWT_SECRET)


@pytest.fixture
def worker(begin: Begin, valkey_url: str, vault: Vault, now: datetime) -> Worker:
    return Worker(begin, valkey_url, vault, now)
