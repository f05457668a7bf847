"""An embedded PostgreSQL: run by us, never as root, behind a password that only this user can read."""

import os
import shutil
import signal
import subprocess
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

import psycopg
from psycopg import sql

from billing.errors import BillingError, ConfigurationError
from billing.local.account import account_for
from billing.local.binaries import POSTGRES_WHEEL, PostgresPrograms, find_postgres
from billing.local.child import Program, spawn_arguments
from billing.local.leftovers import stop_leftover
from billing.local.ports import LOOPBACK
from billing.local.refuge import refuge_of
from billing.local.secret_file import kept_password
from billing.local.service import Service

USER = DATABASE = "billing"
Options = Mapping[str, str]
DURABLE: Options = {"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on"}
FIRST_WITH_BUILTIN_LOCALE = 17
STATUS_LINE = 7
"""Of `postmaster.pid`: where the server says how far it is, to its own `pg_ctl` too."""


class InitializationError(BillingError):
    """PostgreSQL could not make a data folder."""


class Postgres(Service):
    def __init__(self, state: Path, port: int, options: Options = DURABLE) -> None:
        self._state = state.resolve()
        self._programs = find_postgres()
        self._account = account_for(self._state / "postgres")
        self._home = self._state
        if self._account and not self._account.can_enter(self._state):
            self._home = refuge_of(self._state)
            self._account = account_for(self._home / "postgres")
        self._options = options
        self._password = kept_password(self._state / "postgres.password")
        self.port = port

    @property
    def data(self) -> Path:
        return self._home / "postgres"

    def url(self, database: str = DATABASE) -> str:
        return f"postgresql://{USER}:{self._password}@{LOOPBACK}:{self.port}/{database}"

    def wipe(self) -> None:
        self._stop_leftover()
        if self.data.exists():
            shutil.rmtree(self.data)

    def prepare(self) -> None:
        """Make the data folder where there is none, and see to it that nothing else uses it."""
        self._programs = self._reachable(self._programs)
        if self.data.exists():
            self._check_version()
            self._stop_leftover()
        else:
            self._initialize()

    @property
    def program(self) -> Program:
        settings = {
            "port": str(self.port),
            "listen_addresses": LOOPBACK,
            "unix_socket_directories": "",
            "max_connections": "200",
            "timezone": "UTC",
            "log_timezone": "UTC",
            "log_min_messages": "fatal",
            "log_checkpoints": "off",
            "jit": "off",
            **self._options,
        }
        chosen = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        return Program(
            name="postgres",
            argv=(self._programs.path("postgres"), "-D", str(self.data), *chosen),
            environment={"LC_ALL": "C"},
            account=self._account,
            stop_signal=signal.SIGINT,
            kill_signal=signal.SIGQUIT,
            grace_seconds=30,
        )

    def is_ready(self, pid: int) -> bool:
        """Whether the server of this process id takes connections and has the database."""
        try:
            lines = (self.data / "postmaster.pid").read_text().splitlines()
        except OSError:
            return False
        is_up = len(lines) > STATUS_LINE and lines[0] == str(pid) and lines[STATUS_LINE].strip() == "ready"
        return is_up and self._has_database()

    def create_database(self, name: str, template: str | None = None) -> None:
        statement = sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name))
        if template:
            statement += sql.SQL(" TEMPLATE {}").format(sql.Identifier(template))
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(statement)

    def _stop_leftover(self) -> None:
        stop_leftover(self.data / "postmaster.pid", mark=str(self.data))

    def _has_database(self) -> bool:
        try:
            with psycopg.connect(self.url("postgres"), connect_timeout=2) as connection:
                found = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]).fetchone()
            if not found:
                self.create_database(DATABASE)
        except psycopg.OperationalError as error:
            if "password authentication failed" in str(error):
                lost = "STATE_DIR: the password of the embedded PostgreSQL is lost; start with --fresh"
                raise ConfigurationError([lost]) from None
            return False
        return True

    def _initialize(self) -> None:
        """Beside its place, then moved there: a half-made folder is never taken for a whole one."""
        new, password = self._home / "postgres.new", self._home / "postgres.first"
        shutil.rmtree(new, ignore_errors=True)
        password.unlink(missing_ok=True)
        new.mkdir(mode=0o700)
        password.touch(mode=0o600)
        password.write_text(self._password)
        for path in (new, password):
            if self._account:
                os.chown(path, self._account.uid, self._account.gid)
        try:
            self._run_initdb(new, password)
        finally:
            password.unlink()
        new.rename(self.data)

    def _run_initdb(self, folder: Path, password: Path) -> None:
        words = [self._programs.path("initdb"), "-D", str(folder), "-U", USER, "-E", "UTF8", "--no-instructions"]
        words += ["--auth=scram-sha-256", f"--pwfile={password}", *_locale(self._programs.major)]
        if self._options["fsync"] != "on":
            words.append("--no-sync")
        program = Program("initdb", tuple(words), {"LC_ALL": "C"}, account=self._account)
        done = subprocess.run(program.argv, capture_output=True, text=True, **spawn_arguments(program))
        if done.returncode != 0:
            reason = (done.stderr.strip() or done.stdout.strip() or f"status {done.returncode}").splitlines()[-1]
            raise InitializationError(f"PostgreSQL could not make its data folder {folder}: {reason}")

    def _check_version(self) -> None:
        made_by, ours = int((self.data / "PG_VERSION").read_text()), self._programs.major
        if made_by != ours:
            mend = "start with --fresh to drop it, or set DATABASE_URL to a server of that version"
            raise ConfigurationError([f"DATABASE_URL: the data is of PostgreSQL {made_by}, this is {ours}; {mend}"])

    def _reachable(self, programs: PostgresPrograms) -> PostgresPrograms:
        """The programs, copied beside the data where its account cannot run them in their place."""
        if not self._account or self._account.can_run(programs.path("postgres"), "--version"):
            return programs
        if not programs.is_wheel:
            raise ConfigurationError([f"DATABASE_URL: user {self._account.uid} cannot run {programs.path('postgres')}"])
        copy = self._home / f"programs-{version(POSTGRES_WHEEL)}"
        if not copy.exists():
            _copy_wheel(programs.folder.parent, copy)
        bundle = programs.folder.parent
        return PostgresPrograms(copy / POSTGRES_WHEEL / bundle.name / "bin", is_wheel=True)


def _locale(major: int) -> list[str]:
    if major >= FIRST_WITH_BUILTIN_LOCALE:
        return ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"]
    return ["--locale=C"]


def _copy_wheel(bundle: Path, copy: Path) -> None:
    """The bundle, and beside its package the libraries that its programs look for by a relative path."""
    package, new = bundle.parent, copy.with_name(f"{copy.name}.new")
    shutil.rmtree(new, ignore_errors=True)
    shutil.copytree(bundle, new / POSTGRES_WHEEL / bundle.name, symlinks=True)
    libraries = package.with_name(f"{POSTGRES_WHEEL}.libs")
    if libraries.exists():
        shutil.copytree(libraries, new / libraries.name, symlinks=True)
    for path in (new, *new.rglob("*")):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or path.parent.name == "bin" else 0o644)
    new.rename(copy)
