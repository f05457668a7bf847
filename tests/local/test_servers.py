"""The test-suite's own servers keep its promises too."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import redis

from tests.support.processes import assert_gone, family_of
from tests.support.servers import RunningPostgres, running_postgres, running_valkey

HOLD = """
from tests.support.servers import running_postgres, running_valkey
with running_postgres(), running_valkey():
    print("up", flush=True)
    input()
"""


@pytest.fixture(scope="module")
def postgres() -> Iterator[RunningPostgres]:
    with running_postgres() as server:
        yield server


def test_a_frozen_database_answers_nobody_until_it_thaws(postgres: RunningPostgres) -> None:
    """Open connections freeze with it."""
    with psycopg.connect(postgres.url()) as connection:
        postgres.freeze()
        with pytest.raises(psycopg.OperationalError, match="timeout"):
            psycopg.connect(postgres.url(), connect_timeout=2)
        postgres.thaw()
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_a_frozen_queue_answers_nobody_until_it_thaws() -> None:
    with running_valkey() as server, redis.Redis.from_url(server.url(), socket_timeout=0.3, retry=None) as client:
        client.ping()
        server.freeze()
        with pytest.raises(redis.TimeoutError):
            client.ping()
        server.thaw()
        assert client.ping()


def test_databases_are_copied_from_a_template(postgres: RunningPostgres) -> None:
    """One migration for the whole suite."""
    postgres.create_database("template")
    with psycopg.connect(postgres.url("template")) as connection:
        connection.execute("CREATE TABLE plan ()")
    postgres.create_database("copy", template="template")
    with psycopg.connect(postgres.url("copy")) as connection:
        assert connection.execute("SELECT to_regclass('plan')::text").fetchone() == ("plan",)


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's notice is Linux's")
def test_a_killed_test_run_leaves_no_server(folder: Path) -> None:
    environment = {**os.environ, "TMPDIR": str(folder)}
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert holder.stdout is not None
    assert holder.stdin is not None
    assert holder.stdout.readline() == b"up\n"
    family = family_of(holder.pid)
    assert len(family) > 3
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    holder.stdin.close()
    holder.stdout.close()
    assert_gone(family)
