import os
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from billing.errors import ConfigurationError
from billing.local import binaries, postgres, refuge
from billing.local.account import account_for
from billing.local.binaries import PostgresPrograms, find_postgres
from billing.local.ports import free_port
from billing.local.postgres import Postgres
from tests.support.servers import FAST_POSTGRES, RunningPostgres

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="about what root does for PostgreSQL's sake")


def server_in(state: Path) -> RunningPostgres:
    return RunningPostgres(Postgres(state, free_port(), FAST_POSTGRES), state / "log")


@pytest.fixture
def server(shared_folder: Path) -> Iterator[RunningPostgres]:
    made = server_in(shared_folder)
    yield made
    made.kill()


def test_rows_are_kept_over_a_stop_and_a_kill(server: RunningPostgres) -> None:
    """Started, stopped, started, killed, started: what was committed is there."""
    server.start()
    with psycopg.connect(server.url()) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 1 AS n")
    server.stop()
    server.start()
    server.kill()
    server.start()
    with psycopg.connect(server.url()) as connection:
        assert connection.execute("SELECT n FROM kept").fetchone() == (1,)


def test_nobody_else_gets_in(server: RunningPostgres, shared_folder: Path) -> None:
    """Every user of the machine reaches a loopback port; the password is in a file of ours alone."""
    server.start()
    password = (shared_folder / "postgres.password").read_text()
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(server.url().replace(password, "guess"))
    command = Path(f"/proc/{server.pid}/cmdline")
    assert not command.exists() or password not in command.read_text()
    with psycopg.connect(server.url()) as connection:
        scheme = connection.execute("SELECT rolpassword FROM pg_authid WHERE rolname = 'billing'").fetchone()
    assert scheme is not None
    assert scheme[0].startswith("SCRAM-SHA-256$")
    assert {path.name for path in shared_folder.iterdir()} == {"log", "postgres", "postgres.password"}


def test_a_lost_password_is_one_clear_line(server: RunningPostgres, shared_folder: Path) -> None:
    """The data cannot be opened any more; waiting for it would not help."""
    server.start()
    server.stop()
    password = (shared_folder / "postgres.password").rename(shared_folder / "found")
    forgetful = server_in(shared_folder)
    with pytest.raises(ConfigurationError, match="password of the embedded PostgreSQL is lost; start with --fresh"):
        forgetful.start()
    forgetful.kill()
    password.rename(shared_folder / "postgres.password")


def test_a_lock_with_the_number_of_another_program_is_stale(server: RunningPostgres, shared_folder: Path) -> None:
    """After a restart of the machine the old process id belongs to somebody else."""
    server.start()
    server.kill()
    (shared_folder / "postgres" / "postmaster.pid").write_text(f"{os.getpid()}\n")
    server.start()


def test_a_leftover_server_is_stopped_first(server: RunningPostgres, shared_folder: Path) -> None:
    """Where the kernel gives no notice of a parent's death, a server may outlive its run."""
    server.start()
    new = server_in(shared_folder)
    new.start()
    assert server.poll() is not None
    new.kill()


def test_data_of_another_major_version_is_refused(server: RunningPostgres, shared_folder: Path) -> None:
    """PostgreSQL would say so too, three restarts later and without the mend."""
    server.start()
    server.stop()
    version = shared_folder / "postgres" / "PG_VERSION"
    made_by = version.read_text()
    version.write_text("9\n")
    with pytest.raises(ConfigurationError, match="the data is of PostgreSQL 9, this is"):
        server.start()
    version.write_text(made_by)


def test_a_half_made_folder_is_made_again(folder: Path) -> None:
    """Killed in its first second, the next start must not take the torso for a database."""
    (folder / "postgres.new").mkdir()
    (folder / "postgres.new" / "PG_VERSION").write_text("18\n")
    (folder / "postgres.first").write_text("old")
    server = server_in(folder)
    server.start()
    server.kill()


def test_programs_of_the_machine_are_the_second_choice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """First those on the PATH, then where Debian hides them; the newest."""
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    monkeypatch.setattr(binaries, "DEBIAN", tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    for version in ("9.6", "15", "16"):
        (tmp_path / version / "bin").mkdir(parents=True)
        (tmp_path / version / "bin" / "postgres").touch()
    assert find_postgres() == PostgresPrograms(tmp_path / "16" / "bin", is_wheel=False)
    (tmp_path / "postgres").symlink_to(tmp_path / "15" / "bin" / "postgres")
    (tmp_path / "15" / "bin" / "postgres").chmod(0o755)
    assert find_postgres() == PostgresPrograms(tmp_path / "15" / "bin", is_wheel=False)


def test_a_user_without_a_name_is_told(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Containers run under any number; PostgreSQL wants to know what it is called."""
    monkeypatch.setattr(os, "geteuid", lambda: 54321)
    with pytest.raises(ConfigurationError, match=r"^DATABASE_URL: .* knows none for user id 54321; add one"):
        account_for(folder)


@needs_root
def test_a_closed_checkout_stays_closed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Data and programs move to a folder apart, found again by the next run; no mode above them changes."""
    closed = folder / "closed"
    state, lasting = closed / "state", folder / "lasting"
    state.mkdir(parents=True)
    lasting.mkdir()
    closed.chmod(0o700)
    monkeypatch.setattr(refuge, "LASTING", lasting)
    monkeypatch.setattr(postgres, "find_postgres", lambda: _wheel_below(closed))
    for _ in range(2):
        server = server_in(state)
        server.start()
        server.stop()
    assert closed.stat().st_mode & 0o777 == 0o700
    (only,) = lasting.iterdir()
    assert only.stat().st_mode & 0o777 == 0o711
    assert (state / "postgres.folder").read_text().strip() == str(only)
    shutil.copytree(state, closed / "copy")
    assert Postgres(closed / "copy", free_port()).data.parent != only


def _wheel_below(closed: Path) -> PostgresPrograms:
    bundle = find_postgres().folder.parent
    copy = closed / "site" / binaries.POSTGRES_WHEEL
    if not copy.exists():
        shutil.copytree(bundle, copy / bundle.name, symlinks=True)
        libraries = bundle.parent.with_name(f"{binaries.POSTGRES_WHEEL}.libs")
        shutil.copytree(libraries, copy.with_name(libraries.name))
    return PostgresPrograms(copy / bundle.name / "bin", is_wheel=True)


@needs_root
def test_a_planted_folder_is_not_taken(folder: Path) -> None:
    """A path that somebody else could have prepared is somebody else's."""
    bait = folder / "bait"
    bait.mkdir()
    refuge._write_owner(bait, folder)
    assert refuge._is_ours(bait, folder)
    bait.chmod(0o777)
    assert not refuge._is_ours(bait, folder)
    bait.chmod(0o711)
    os.chown(bait, 65534, 65534)
    assert not refuge._is_ours(bait, folder)


@needs_root
def test_an_ordinary_user_needs_nothing_of_that(folder: Path) -> None:
    """No change of user, no folder apart: the same code as somebody who is not root."""
    account = account_for(folder)
    assert account is not None
    if not account.can_enter(Path(sys.prefix)):
        pytest.skip("the environment is closed to other users")
    os.chown(folder, account.uid, account.gid)
    script = f"""
        import os
        from tests.support.servers import RunningPostgres
        from tests.local.test_postgres import Path, psycopg, server_in
        os.setgroups([]), os.setgid({account.gid}), os.setuid({account.uid})
        server = server_in(Path({str(folder)!r}))
        server.start()
        psycopg.connect(server.url()).close()
        server.stop()
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (folder / "postgres.password").stat().st_uid == account.uid
