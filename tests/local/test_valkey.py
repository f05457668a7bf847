from pathlib import Path

import pytest
import redis

from billing.local.ports import free_port
from billing.local.valkey import Valkey
from tests.support.servers import RunningValkey


@pytest.fixture
def server(folder: Path) -> RunningValkey:
    return RunningValkey(Valkey(folder, free_port()), folder / "log")


def client_of(url: str) -> "redis.Redis":
    return redis.Redis.from_url(url)


def test_what_was_written_survives_a_kill(server: RunningValkey) -> None:
    """Hints may be lost; a restart that loses none is quicker."""
    server.start()
    with client_of(server.url()) as client:
        client.set("hint", "1")
    server.kill()
    server.start()
    with client_of(server.url()) as client:
        assert client.get("hint") == b"1"
        assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
        assert client.config_get("appendfsync") == {"appendfsync": "everysec"}
    server.stop()


def test_the_password_is_asked_for_and_shown_nowhere(server: RunningValkey, folder: Path) -> None:
    """Other users see the list of processes and reach the port."""
    server.start()
    password = (folder / "valkey.password").read_text()
    with client_of(server.url().replace(password, "guess")) as client, pytest.raises(redis.AuthenticationError):
        client.ping()
    command = Path(f"/proc/{server.pid}/cmdline")
    assert not command.exists() or password not in command.read_text()
    assert not [path for path in folder.rglob("*") if path.name != "valkey.password" and _holds(path, password)]
    server.kill()


def test_a_folder_of_any_name(folder: Path) -> None:
    """The configuration goes over a pipe, where quotes and spaces have a meaning."""
    odd = folder / 'a "b" \\ c'
    odd.mkdir()
    server = RunningValkey(Valkey(odd, free_port()), odd / "log")
    server.start()
    server.stop()
    assert (odd / "valkey" / "appendonlydir").is_dir()


def _holds(path: Path, text: str) -> bool:
    return path.is_file() and text in path.read_text(errors="replace")
