"""Where a campaign happens: a folder, free ports, and an environment in which no setting of this machine counts."""

import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from billing.local.child import Program
from billing.local.ports import LOOPBACK, free_port
from billing.local.postgres import Postgres
from billing.local.procfile import RELEASE, read_procfile, service_of, shell_program
from billing.local.sandbox import KEYS, Sandbox
from billing.local.service import Service
from billing.local.state import ENTERABLE, StateFolder
from billing.local.valkey import Valkey

UNLIMITED = "1000000/h"
"""A campaign buys more than people do, and from one address."""
DURABLE_WITHOUT_DISK = {"fsync": "off", "synchronous_commit": "on", "full_page_writes": "off"}
"""What is confirmed outlives a killed server; there is no power cut here."""
BEAT, TWIN = "beat", "beat-twin"


@dataclass(frozen=True, slots=True)
class Place:
    state: StateFolder
    postgres: Postgres
    valkey: Valkey
    sandbox: Sandbox
    door: str
    environment: Mapping[str, str]
    apps: Mapping[str, Service]
    """Every process of the Procfile, and a second beat, by name."""

    @property
    def folder(self) -> Path:
        return self.state.path


@contextmanager
def temporary_folder(*, keep: bool) -> Iterator[Path]:
    """PostgreSQL's own account passes through it to its data."""
    folder = Path(tempfile.mkdtemp(prefix="billing-chaos-"))
    folder.chmod(ENTERABLE)
    try:
        yield folder
    finally:
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)


def make_place(folder: Path, checkout: Path, path: str) -> Place:
    """`path` is where the shell finds its programs. Raises ConfigurationError where there is no Procfile."""
    state = StateFolder.take(folder)
    port = free_port()
    door = f"http://{LOOPBACK}:{port}"
    postgres = Postgres(state.path, free_port(), DURABLE_WITHOUT_DISK)
    valkey = Valkey(state.path, free_port())
    common = _common(state.path, checkout, path, port)
    sandbox = Sandbox(state.path, free_port(), door, common)
    addresses = {"DATABASE_URL": postgres.url(), "REDIS_URL": valkey.url(), "STRIPE_API_BASE": sandbox.url}
    environment = {**common, **KEYS, **addresses}
    programs = _programs(checkout, environment, state.path)
    apps = {program.name: service_of(program, LOOPBACK, port) for program in programs}
    return Place(state, postgres, valkey, sandbox, door, environment, apps)


def _common(folder: Path, checkout: Path, path: str, port: int) -> dict[str, str]:
    """Processes run in the folder, so that no `.env` is read; the checkout is where their code is."""
    return {
        "PATH": f"{Path(sys.executable).parent}:{path}",
        "PYTHONPATH": str(checkout),
        "PYTHONUNBUFFERED": "1",
        "HOME": str(folder),
        "TMPDIR": str(folder),  # what is killed leaves things behind
        "LANG": "C.UTF-8",
        "STATE_DIR": str(folder),
        "HOST": LOOPBACK,
        "PORT": str(port),
        **{f"PURCHASE_LIMIT_{name}": UNLIMITED for name in ("ADDRESS", "USER", "EMAIL")},
    }


def _programs(checkout: Path, environment: Mapping[str, str], folder: Path) -> list[Program]:
    commands = {name: command for name, command in read_procfile(checkout).items() if name != RELEASE}
    commands[TWIN] = commands[BEAT].replace("beat-schedule", "beat-schedule-twin")
    return [shell_program(name, command, environment, folder) for name, command in commands.items()]
