"""What is brought along, and what is refused."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from billing.errors import ConfigurationError
from billing.local.embedding import Embedding
from billing.local.stack import read_given
from billing.local.state import StateFolder
from tests.local.up import STRIPE

DATABASE = {"DATABASE_URL": "postgresql://u:p@db/d"}
QUEUE = {"REDIS_URL": "redis://queue/0"}


@pytest.mark.parametrize(
    ("given", "postgres", "valkey", "sandbox"),
    [
        ({}, True, True, True),
        ({"DATABASE_URL": " "}, True, True, True),
        (DATABASE, False, True, True),
        (QUEUE, True, False, True),
        (STRIPE, True, True, False),
        ({"STRIPE_WEBHOOK_SECRET": "whsec_mine"}, True, True, True),
        ({"BROKER_URL": "amqp://rabbit/"}, True, True, True),
        ({**DATABASE, **QUEUE, **STRIPE}, False, False, False),
        ({**DATABASE, **QUEUE, **STRIPE, "APP_ENV": "production"}, False, False, False),
    ],
)
def test_a_service_is_embedded_where_its_address_is_not_set(
    given: Mapping[str, str], postgres: bool, valkey: bool, sandbox: bool
) -> None:
    """The same command serves a bare machine and one with servers of its own."""
    assert Embedding.decide(given) == Embedding(postgres, valkey, sandbox)


@pytest.mark.parametrize(
    ("variable", "leader"),
    [
        ("STRIPE_API_BASE", "STRIPE_SECRET_KEY"),
        ("STRIPE_PUBLISHABLE_KEY", "STRIPE_SECRET_KEY"),
        ("DATABASE_OWNER_URL", "DATABASE_URL"),
    ],
)
def test_half_a_service_is_refused(variable: str, leader: str) -> None:
    """Mixing somebody's key with the sandbox would fail late, and with other words."""
    with pytest.raises(ConfigurationError) as refusal:
        Embedding.decide({variable: "something"})
    assert len(refusal.value.lines) == 1
    assert refusal.value.lines[0].startswith(f"{variable}: is set without {leader}; set that too, or unset this")


@pytest.mark.parametrize("app_env", ["staging", "production"])
def test_nothing_is_embedded_outside_development(app_env: str) -> None:
    """Real money is not kept in a folder of a checkout."""
    with pytest.raises(ConfigurationError) as refusal:
        Embedding.decide({"APP_ENV": app_env})
    named = [line.partition(":")[0] for line in refusal.value.lines]
    assert named == ["DATABASE_URL", "REDIS_URL", "STRIPE_SECRET_KEY"]


def test_the_addresses_of_an_earlier_run_decide_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A killed run leaves its addresses behind; they look like settings, and nobody is there any more."""
    monkeypatch.chdir(tmp_path)
    Path(".env").write_text("REDIS_URL=redis://queue/0\n")
    state = StateFolder.take(Path(".billing"))
    state.publish({"DATABASE_URL": "postgresql://u:p@127.0.0.1:1/gone"})
    assert read_given({}, state) == {"REDIS_URL": "redis://queue/0"}


def test_a_state_folder_named_in_the_env_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Other commands look for the addresses before they read that file."""
    monkeypatch.chdir(tmp_path)
    Path(".env").write_text("STATE_DIR=elsewhere\n")
    with pytest.raises(ConfigurationError, match=r"STATE_DIR: is set in \.env"):
        read_given({}, StateFolder.take(Path(".billing")))
