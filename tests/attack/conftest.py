"""One database and one set of servers for a module's attacks: each test makes rows of its own."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from billing import db
from billing.deployment import Deployment
from billing.secrets import Vault
from tests.attack.works import Works
from tests.conftest import NOON
from tests.support.database import TEMPLATE, connect
from tests.support.environment import make_settings
from tests.support.servers import RunningPostgres, RunningValkey


@pytest.fixture(scope="module")
def works(
    postgres: RunningPostgres,
    valkey: RunningValkey,
    tmp_path_factory: pytest.TempPathFactory,
    request: pytest.FixtureRequest,
) -> Iterator[Works]:
    name = f"attack_{request.module.__name__.rsplit('.', 1)[-1]}"
    postgres.create_database(name, template=TEMPLATE)
    folder: Path = tmp_path_factory.mktemp(name)
    settings = make_settings(postgres.url(name), valkey.url(), STATE_DIR=str(folder))
    engine = connect(settings.database_url, pool_size=8)
    begin: db.Begin = partial(db.begin, engine)
    deployment = Deployment.of(settings, begin)
    yield Works(begin, settings.database_url, settings, Vault(settings.secret_key), deployment, NOON)
    engine.dispose()
