"""Business time: the machine's, everywhere but beside the sandbox, where every process sees a move at once."""

import os
import stat
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from billing import clock
from billing.clock import FURTHEST, Offset, can_be_moved, follow, machine_now, path_of, utc_now
from billing.config import Settings
from billing.db import Begin
from billing.deployment import Deployment
from billing.errors import ConfigurationError
from billing.local.sandbox import Sandbox
from billing.secrets import Vault
from billing.states import PurchaseState
from tests.support.environment import make_settings
from tests.support.office import Office, unreachable

DAYS_40 = 40 * 86_400
ADDRESSES = ("postgresql://u:p@db.example.com/d", "redis://:p@cache.example.com/0")
OWN_KEYS = {
    "STRIPE_SECRET_KEY": "sk_test_somebody",
    "STRIPE_PUBLISHABLE_KEY": "pk_test_somebody",
    "STRIPE_WEBHOOK_SECRET": "whsec_somebody",
    "STRIPE_API_BASE": "https://api.stripe.com",
}
LIVE_KEYS = {**OWN_KEYS, "STRIPE_SECRET_KEY": "sk_live_somebody", "STRIPE_PUBLISHABLE_KEY": "pk_live_somebody"}
SECRETS = {"JWT_SECRET": "j" * 32, "SECRET_KEY": "s" * 32, "ALLOWED_HOSTS": "billing.example.com"}
ASKED = """
import os, sys
from billing.clock import follow, utc_now
from billing.config import Settings

follow(Settings.load())
asked, answered = os.pipe(), os.pipe()
if os.fork() == 0:
    os.close(asked[1])
    while os.read(asked[0], 1):
        os.write(answered[1], f"{utc_now().timestamp():020.6f}".encode())
    os._exit(0)
for _ in sys.stdin:
    os.write(asked[1], b"?")
    print(utc_now().timestamp(), os.read(answered[0], 20).decode(), flush=True)
os._exit(0)
"""
"""A process that says, for each line, what time it is there and in a process that it forked."""


@pytest.fixture(autouse=True)
def _machine_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever a test follows, the next one follows nothing."""
    monkeypatch.setattr(clock, "_followed", None)


def settings_of(folder: Path, **more: str) -> Settings:
    return make_settings(*ADDRESSES, **{"STATE_DIR": str(folder), **more})


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return settings_of(tmp_path)


def seconds_ahead() -> float:
    return (utc_now() - machine_now()).total_seconds()


@contextmanager
def another_process(settings: Settings) -> Iterator[Callable[[], list[float]]]:
    """Asks it, and its child, for their time."""
    names = ("database_url", "redis_url", "stripe_secret_key", "stripe_publishable_key", "state_dir")
    environ = {name.upper(): str(getattr(settings, name)) for name in names}
    environ["STRIPE_WEBHOOK_SECRET"] = settings.stripe_webhook_secret[0]
    words, pipe = [sys.executable, "-c", ASKED], subprocess.PIPE
    with subprocess.Popen(words, env=environ, stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        asking, answering = process.stdin, process.stdout

        def ask() -> list[float]:
            asking.write("?\n")
            asking.flush()
            return [float(word) - machine_now().timestamp() for word in answering.readline().split()]

        yield ask
        process.stdin.close()


def test_a_move_is_seen_at_once_by_another_process_and_by_what_it_forked(settings: Settings) -> None:
    """A door that lives in yesterday would refuse the sandbox's signatures and sell what has expired."""
    with another_process(settings) as ask:
        assert ask() == pytest.approx([0, 0], abs=5)
        offset = Offset(path_of(settings))
        for seconds in (DAYS_40, 86_400, 0):
            offset.move_to(seconds)
            assert ask() == pytest.approx([seconds, seconds], abs=5)


def test_only_business_time_moves(settings: Settings) -> None:
    follow(settings)
    Offset(path_of(settings)).move_to(DAYS_40)
    assert abs(machine_now() - datetime.now(UTC)) < timedelta(seconds=5)
    assert seconds_ahead() == pytest.approx(DAYS_40, abs=5)


def test_a_clock_that_was_moved_is_still_moved_after_a_restart(settings: Settings) -> None:
    Offset(path_of(settings)).move_to(DAYS_40)
    follow(settings)
    assert seconds_ahead() == pytest.approx(DAYS_40, abs=5)


def test_a_clock_that_is_not_there_is_made_and_only_its_owner_can_touch_it(settings: Settings) -> None:
    follow(settings)
    made = path_of(settings).stat()
    assert (stat.S_IMODE(made.st_mode), made.st_size) == (0o600, 8)
    assert seconds_ahead() == pytest.approx(0, abs=5)


def test_processes_that_start_together_follow_one_clock(settings: Settings) -> None:
    """Each makes the file where it is absent; two files of one name would be two times."""
    with ThreadPoolExecutor(8) as pool:
        offsets = list(pool.map(Offset, [path_of(settings)] * 64))
    offsets[0].move_to(DAYS_40)
    assert {offset.seconds for offset in offsets} == {DAYS_40}


@pytest.mark.parametrize("mode", [{}, {"BUSINESS_TIMEZONE": "Asia/Tokyo"}])
def test_beside_the_sandbox_the_clock_is_followed(tmp_path: Path, mode: dict[str, str]) -> None:
    assert can_be_moved(settings_of(tmp_path, **mode))


@pytest.mark.parametrize(
    "mode",
    [
        OWN_KEYS,
        {"APP_ENV": "staging"},
        {"APP_ENV": "staging", **OWN_KEYS},
        {"APP_ENV": "production", **LIVE_KEYS, **SECRETS},
    ],
    ids=["development with own keys", "staging with a sandbox", "staging", "production"],
)
def test_elsewhere_a_moved_clock_has_no_effect(tmp_path: Path, mode: dict[str, str]) -> None:
    """Real money, real lessons: whatever lies in the state folder, the machine says what time it is."""
    settings = settings_of(tmp_path, **mode)
    offset = Offset(path_of(settings))
    offset.move_to(DAYS_40)
    follow(settings_of(tmp_path))
    follow(settings)
    assert seconds_ahead() == pytest.approx(0, abs=5)
    offset.move_to(2 * DAYS_40)
    assert seconds_ahead() == pytest.approx(0, abs=5)


def test_elsewhere_no_clock_is_made(tmp_path: Path) -> None:
    follow(settings_of(tmp_path, **OWN_KEYS))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "content",
    [b"abc", b"1234567", bytes(9), b"garbage!", struct.pack("q", -1), struct.pack("q", 200_000_000)],
    ids=["short", "one byte short", "long", "garbage", "in the past", "too far ahead"],
)
def test_a_file_that_holds_no_offset_stops_the_start_with_the_mend(settings: Settings, content: bytes) -> None:
    """Guessing a time would be worse than none: every expiry depends on it."""
    path_of(settings).write_bytes(content)
    with pytest.raises(ConfigurationError) as caught:
        follow(settings)
    (line,) = caught.value.lines
    assert line.startswith(f"STATE_DIR: {path_of(settings)} holds no offset")
    assert "remove it" in line


def test_an_empty_file_is_a_clock_that_was_never_moved(settings: Settings) -> None:
    path_of(settings).touch()
    follow(settings)
    Offset(path_of(settings)).move_to(DAYS_40)
    assert seconds_ahead() == pytest.approx(DAYS_40, abs=5)


@pytest.mark.parametrize("seconds", [-1, int(FURTHEST.total_seconds()) + 1, 2**62])
def test_what_no_command_writes_moves_nothing(settings: Settings, seconds: int) -> None:
    """A request must not fail over a file that somebody wrote into."""
    follow(settings)
    Offset(path_of(settings)).move_to(seconds)
    assert seconds_ahead() == pytest.approx(0, abs=5)


def test_without_a_state_folder_it_is_the_machine_s_time(tmp_path: Path) -> None:
    """Nor could anybody move it there: the command needs the same folder."""
    follow(settings_of(tmp_path / "absent"))
    assert seconds_ahead() == pytest.approx(0, abs=5)
    assert os.listdir(tmp_path) == []


def test_a_file_that_cannot_be_used_stops_the_start(settings: Settings) -> None:
    """One process in another time than all others is noticed much later."""
    path_of(settings).mkdir()
    with pytest.raises(ConfigurationError, match=r"STATE_DIR: .*/clock cannot be used: Is a directory"):
        follow(settings)


def test_a_fresh_start_has_the_machine_s_time(settings: Settings) -> None:
    """A new sandbox does: whoever stayed ahead of it would refuse all that it says."""
    Offset(path_of(settings)).move_to(DAYS_40)
    Sandbox(settings.state_dir, 1, "http://127.0.0.1:1", {}).wipe()
    follow(settings)
    assert seconds_ahead() == pytest.approx(0, abs=5)


def test_an_intent_that_was_made_in_a_moved_time_is_found_after_a_reset(
    begin: Begin, deployment: Deployment, vault: Vault, now: datetime
) -> None:
    """A look that misses it would call a purchase failed whose intent can still be paid."""
    office = Office(begin, deployment, vault, now)
    office.pass_time(DAYS_40 / 60)
    office.gateway.now = office.desk.now
    purchase = office.buy()
    office.gateway.lost = [unreachable()]
    office.work(purchase)
    office.fail_with(*(unreachable() for _ in range(4)))
    for _ in range(4):
        office.work(purchase)
    office.pass_time(-DAYS_40 / 60)
    found = office.work(purchase)
    assert (found.state, found.payment_intent_id) == (PurchaseState.PENDING, "pi_1")
    assert (office.gateway.looks, len(office.gateway.creates)) == (1, 5)
