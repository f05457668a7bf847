"""The schema is brought up and back by command, and programs are told from where to where."""

from collections.abc import Iterator

import psycopg
import pytest

from billing import migrate
from tests.cli.support import Billing
from tests.support.servers import RunningPostgres


@pytest.fixture
def empty(postgres: RunningPostgres, variables: dict[str, str], request: pytest.FixtureRequest) -> Iterator[None]:
    """The command finds a database with nothing in it."""
    name = f"migrated_{abs(hash(request.node.nodeid)):x}"
    postgres.create_database(name)
    variables["DATABASE_URL"] = postgres.url(name)
    yield
    with psycopg.connect(postgres.url("postgres"), autocommit=True) as connection:
        connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.mark.usefixtures("empty")
def test_programs_are_told_from_where_to_where_the_schema_went(billing: Billing) -> None:
    """A deployment writes down what it did, and what it would have to go back to."""
    newest = migrate.newest_revision()
    assert billing("migrate", "--json").json == {"from": None, "to": newest}
    assert billing("migrate", "--json").json == {"from": newest, "to": newest}
    assert billing("migrate", "--to", "0001", "--json").json == {"from": newest, "to": "0001"}
    assert billing("migrate", "--to", "base", "--json").json == {"from": "0001", "to": None}
    assert billing("migrate").out == f"schema is at {newest}\n"
    assert billing("migrate", "--to", "base").out == "schema is at base\n"
