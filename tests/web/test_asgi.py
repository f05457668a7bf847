"""The door as a process: what it says when it cannot open, and what it never says."""

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest

from billing.config import Settings
from billing.local.ports import free_port
from tests.support.environment import environment

SERVE = [sys.executable, "-m", "uvicorn", "web.asgi:app", "--port"]


@pytest.fixture
def environ(settings: Settings) -> dict[str, str]:
    return environment(settings.database_url, settings.redis_url, STATE_DIR=str(settings.state_dir))


def answers(port: int) -> bool:
    with socket.socket() as attempt:
        return attempt.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def door_process(environ: dict[str, str], log: Path) -> Iterator[str]:
    """Gives the address; the process has ended by itself when the block has."""
    port = free_port()
    with log.open("wb") as file, subprocess.Popen([*SERVE, str(port)], env=environ, stderr=file, stdout=file) as door:
        try:
            deadline = time.monotonic() + 20
            while not answers(port):
                assert door.poll() is None, log.read_text()
                assert time.monotonic() < deadline
                time.sleep(0.02)
            yield f"http://127.0.0.1:{port}"
        finally:
            door.terminate()
            door.wait(timeout=10)


def test_a_broken_setting_is_one_line_and_exit_1(environ: dict[str, str]) -> None:
    broken = {**environ, "PORT": "no"}
    result = subprocess.run([*SERVE, "1"], env=broken, capture_output=True, text=True, timeout=60)
    assert (result.returncode, result.stdout) == (1, "")
    (line,) = result.stderr.splitlines()
    assert line.startswith("billing: PORT: ")


def test_no_query_string_is_logged(environ: dict[str, str], tmp_path: Path) -> None:
    """An access token may be in one, and logs are read by many."""
    log = tmp_path / "door.log"
    with door_process(environ, log) as address:
        for path in ("/healthz", "/nowhere"):
            httpx2.get(f"{address}{path}?access_token=canary")
    logged = log.read_text()
    assert '"path": "/nowhere"' in logged
    assert "canary" not in logged
    assert "access_token" not in logged
