"""The pipeline as it runs: its own processes, its own servers where a test ends or freezes them."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.database import TEMPLATE
from tests.support.servers import RunningPostgres, RunningValkey
from tests.support.stack import Stack, running_stack


@pytest.fixture(scope="module")
def stack(
    postgres: RunningPostgres,
    valkey: RunningValkey,
    tmp_path_factory: pytest.TempPathFactory,
    request: pytest.FixtureRequest,
) -> Iterator[Stack]:
    """One running pipeline for the tests of a module; each of them buys for an address of its own."""
    name = f"flow_{request.module.__name__.rsplit('.', 1)[-1]}"
    postgres.create_database(name, template=TEMPLATE)
    folder: Path = tmp_path_factory.mktemp(name)
    with running_stack(postgres, valkey, folder, DATABASE_URL=postgres.url(name)) as running:
        yield running
