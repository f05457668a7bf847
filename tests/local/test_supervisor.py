"""Promises of `billing up`, kept by real processes."""

import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
from dotenv import dotenv_values

from billing.local.supervisor import SAME_WISH_SECONDS
from tests.local.up import NOWHERE, STUBBORN_LINE, WEB_LINE, WORKER_LINE, Up, nothing_embedded, servers_embedded
from tests.support.processes import assert_gone, living

StartUp = Callable[..., Up]
LONGER_THAN_ONE_WISH = SAME_WISH_SECONDS + 0.2


def pid_of(up: Up, word: str) -> int:
    return next(pid for pid in up.family if word in Path(f"/proc/{pid}/cmdline").read_text())


def test_a_run_from_start_to_ctrl_c(start_up: StartUp, port: int) -> None:
    """Order, prefixes, the ready message, a clean stop: what a newcomer sees."""
    slow_release = "release: sleep 0.2; echo migrated; touch released\n"
    up = start_up(slow_release + "web: test -e released && exec python web.py\n" + WORKER_LINE, nothing_embedded(port))
    up.until_ready()
    assert "release  | migrated\n" in up.said
    assert "payments | worker_ready\n" in up.said
    assert f"curl http://127.0.0.1:{port}/api/finances/api/pricing-plans/" in up.said
    assert "\x1b[" not in up.said
    family = up.family
    assert up.stop() == 0
    assert not living(family)
    assert up.said.endswith("stopped\n")


@pytest.mark.parametrize("stopping", [signal.SIGTERM, signal.SIGHUP])
def test_every_polite_signal_stops_all_of_it(start_up: StartUp, port: int, stopping: int) -> None:
    """A closed terminal and a service manager are as good a reason as Ctrl-C."""
    up = start_up(WEB_LINE, nothing_embedded(port))
    up.until_ready()
    family = up.family
    up.send(stopping)
    assert up.wait() == 0
    assert not living(family)


def test_a_killed_supervisor_leaves_nobody(start_up: StartUp, port: int) -> None:
    """Neither servers, nor those who ignore the request to stop, nor their children, nor the frozen."""
    up = start_up(WEB_LINE + STUBBORN_LINE, servers_embedded(port))
    up.until_ready()
    family = up.family
    os.kill(pid_of(up, "web.py"), signal.SIGSTOP)
    up.send(signal.SIGKILL)
    up.wait()
    assert_gone(family)


def test_nobody_stays_when_the_guard_was_killed_too(start_up: StartUp, port: int) -> None:
    """The kernel's notice to direct children does not depend on any process of ours."""
    up = start_up(WEB_LINE, {**servers_embedded(port), "DATABASE_URL": NOWHERE})
    up.until_ready()
    family = up.family
    os.kill(pid_of(up, "guard.py"), signal.SIGKILL)
    up.send(signal.SIGKILL)
    up.wait()
    assert_gone(family)


def test_what_dies_is_started_again(start_up: StartUp, port: int) -> None:
    """Processes and embedded servers alike; children that a dead process left are cleared away first."""
    up = start_up(WEB_LINE + WORKER_LINE, servers_embedded(port))
    up.until_ready()
    orphan, postgres = pid_of(up, "sleep"), pid_of(up, "bin/postgres")
    os.kill(pid_of(up, "worker.py"), signal.SIGKILL)
    os.kill(postgres, signal.SIGKILL)
    up.until("payments ended (killed by SIGKILL); it starts again in 0.2 s")
    up.until("worker_ready", times=2)
    up.until("postgres ended (killed by SIGKILL)")
    assert_gone([orphan, postgres])
    assert up.stop() == 0


def test_a_process_that_keeps_dying_at_first_ends_the_run(start_up: StartUp, port: int) -> None:
    """A newcomer sees the reason instead of a start that never ends."""
    up = start_up(WEB_LINE + "payments: echo 'no such module'; exit 3\n", nothing_embedded(port))
    family = up.family
    assert up.wait() == 1
    assert not living(family)
    assert "payments | no such module\n" in up.said
    assert up.said.endswith("billing: payments keeps ending (exit status 3); its own words are above\n")


def test_a_failed_release_ends_the_run(start_up: StartUp, port: int) -> None:
    """Nothing works on a schema that is not there."""
    up = start_up("release: exit 7\nweb: touch started\n", nothing_embedded(port))
    assert up.wait() == 1
    assert up.said.endswith("billing: release failed (exit status 7); its own words are above\n")
    assert "web  " not in up.said


def test_the_second_ctrl_c_kills(start_up: StartUp, port: int) -> None:
    """Somebody in a hurry does not wait for a worker's grace."""
    up = start_up(WEB_LINE + STUBBORN_LINE, nothing_embedded(port))
    up.until_ready()
    family = up.family
    up.send(signal.SIGINT)
    up.until("stopping")
    with pytest.raises(subprocess.TimeoutExpired):
        up.wait(within=LONGER_THAN_ONE_WISH)
    up.send(signal.SIGINT)
    assert up.wait(within=5) == 1
    assert not living(family)


def test_embedded_rows_survive_a_kill_of_everything(start_up: StartUp, port: int, folder: Path) -> None:
    """The next run recovers by itself, at the same address; a clean stop takes the address away, --fresh the rows."""
    services = folder / ".billing" / "services.env"
    up = start_up(WEB_LINE, servers_embedded(port))
    up.until_ready()
    published = dotenv_values(services)
    address = str(published["DATABASE_URL"])
    assert services.stat().st_mode & 0o777 == 0o600
    assert ask(address, "CREATE TABLE kept AS SELECT 42; SELECT to_regclass('kept')::text") == "kept"
    up.send(signal.SIGKILL)
    up.wait()
    again = start_up(WEB_LINE, servers_embedded(port))
    again.until_ready()
    assert dotenv_values(services) == published
    assert ask(address, "SELECT to_regclass('kept')::text") == "kept"
    assert [ask(address, f"SHOW {name}") for name in ("fsync", "synchronous_commit")] == ["on", "on"]
    assert again.stop() == 0
    assert not services.exists()
    (folder / ".billing" / "letter").touch()
    fresh = start_up(WEB_LINE, servers_embedded(port), "--fresh")
    fresh.until_ready()
    assert ask(address, "SELECT to_regclass('kept')::text") is None
    assert (folder / ".billing" / "letter").exists()
    assert fresh.stop() == 0


def ask(address: str, statements: str) -> object:
    """The one value that the last statement answers."""
    with psycopg.connect(address, autocommit=True) as connection:
        cursor = connection.execute(statements)
        while cursor.nextset():
            pass
        row = cursor.fetchone()
        return row and row[0]


def test_output_of_any_encoding_and_length_comes_through(start_up: StartUp, port: int) -> None:
    """A crash dump in the middle of the log must not end the run."""
    noise = "noise: printf 'caf\\351\\n'; head -c 300000 /dev/zero | tr '\\0' x; printf 'no end'; sleep 2; exit 1\n"
    up = start_up(WEB_LINE + noise, nothing_embedded(port))
    up.until_ready()
    up.until("xno end\n")
    assert "noise   | caf\ufffd\n" in up.said
    assert up.said.count("x") >= 300_000
    assert up.stop() == 0
