import os
import socket
from pathlib import Path

import pytest

from billing.errors import ConfigurationError
from billing.local.ports import free_port, is_free, kept_ports, refusal
from billing.local.secret_file import kept_password
from billing.local.state import StateFolder


def test_the_folder_has_one_owner(tmp_path: Path) -> None:
    """The lock goes with its holder, so a killed run needs no cleaning up."""
    held = StateFolder.take(tmp_path)
    with pytest.raises(ConfigurationError, match=rf"already runs here \(process {os.getpid()}\)"):
        StateFolder.take(tmp_path)
    os.close(held.lock)
    os.close(StateFolder.take(tmp_path).lock)


def test_secrets_are_for_the_owner_only(tmp_path: Path) -> None:
    """Whatever the umask: other users of the machine may not read the money."""
    before = os.umask(0)
    try:
        password = kept_password(tmp_path / "password")
        StateFolder.take(tmp_path).publish({"REDIS_URL": "redis://:x@y/0"})
    finally:
        os.umask(before)
    assert len(password) == 32
    assert kept_password(tmp_path / "password") == password
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}


def test_ports_stay_while_they_are_free(tmp_path: Path) -> None:
    """An address written down yesterday works today; a taken one is replaced."""
    file = tmp_path / "ports.json"
    first = kept_ports(file, ["postgres", "valkey"])
    assert kept_ports(file, ["postgres", "valkey"]) == first
    with _listening(first["valkey"]):
        second = kept_ports(file, ["postgres", "valkey"])
    assert second["postgres"] == first["postgres"]
    assert second["valkey"] != first["valkey"]
    file.write_text("{")
    assert all(map(is_free, kept_ports(file, ["postgres"]).values()))


def test_a_port_that_cannot_be_had_says_why() -> None:
    with _listening(port := free_port()):
        error = refusal("127.0.0.1", port)
    assert error is not None
    assert error.strerror == "Address already in use"


def _listening(port: int) -> socket.socket:
    return socket.create_server(("127.0.0.1", port))
