"""All that one `billing up` runs, described and judged before any of it starts."""

import errno
import os
import sys
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from billing.config import AppEnv, Settings, read_environment
from billing.errors import ConfigurationError
from billing.local.child import Program
from billing.local.embedding import Embedding
from billing.local.ports import LOOPBACK, kept_ports, refusal
from billing.local.postgres import Postgres
from billing.local.procfile import RELEASE, read_procfile, service_of, shell_program
from billing.local.sandbox import Sandbox
from billing.local.service import Service
from billing.local.state import StateFolder
from billing.local.valkey import Valkey

DEFAULT_PORT = "8000"
EVERYWHERE = {"0.0.0.0": LOOPBACK, "::": "::1"}  # noqa: S104  (how such a server is reached from here)
LOAD_PLANS = "exec billing plans load-defaults"


@dataclass(frozen=True, slots=True)
class Servers:
    """Those that are embedded."""

    postgres: Postgres | None
    valkey: Valkey | None
    sandbox: Sandbox | None

    @property
    def addresses(self) -> dict[str, str]:
        """As the environment of everything that uses them."""
        found = {}
        if self.postgres:
            found["DATABASE_URL"] = self.postgres.url()
        if self.valkey:
            found["REDIS_URL"] = self.valkey.url()
        if self.sandbox:
            found |= {**self.sandbox.keys, "STRIPE_API_BASE": self.sandbox.url}
        return found

    def wipe(self) -> None:
        for server in (self.postgres, self.valkey, self.sandbox):
            if server:
                server.wipe()


@dataclass(frozen=True, slots=True)
class Stack:
    state: StateFolder
    settings: Settings
    door: str
    servers: Servers
    releases: list[Program]
    apps: list[Service]

    @property
    def published(self) -> dict[str, str]:
        return {**self.servers.addresses, "PORT": str(self.settings.port)}


def read_given(environ: Mapping[str, str], state: StateFolder) -> dict[str, str]:
    """The environment and `.env`, without what an earlier run left there of its own services."""
    state.unpublish()
    given = read_environment(environ)
    if given.get("STATE_DIR", "") != environ.get("STATE_DIR", ""):
        told = "is set in .env, which is read after it is needed; export it"
        raise ConfigurationError([f"STATE_DIR: {told}"])
    return given


def describe(environ: Mapping[str, str], state: StateFolder, optional: Collection[str] = ()) -> Stack:
    """Raises ConfigurationError, with a line for each problem."""
    commands = read_procfile(Path.cwd(), optional)
    common = _common_environment(environ, state)
    embedding = Embedding.decide(common)
    host = common["HOST"]
    reached_at = EVERYWHERE.get(host, host)
    door = f"http://{f'[{reached_at}]' if ':' in reached_at else reached_at}:{common['PORT']}"
    servers = _servers(state, embedding, door, common)
    environment = {**common, **servers.addresses}
    settings = Settings.load(environment)
    _check_port(host, settings.port)
    programs = [shell_program(name, command, environment, Path.cwd()) for name, command in commands.items()]
    releases = [program for program in programs if program.name == RELEASE]
    if releases and settings.app_env is AppEnv.DEVELOPMENT:
        releases.append(shell_program("plans", LOAD_PLANS, environment, Path.cwd()))
    apps = [service_of(program, reached_at, settings.port) for program in programs if program.name != RELEASE]
    return Stack(state, settings, door, servers, releases, apps)


def _common_environment(environ: Mapping[str, str], state: StateFolder) -> dict[str, str]:
    given = read_given(environ, state)
    path = [str(Path(sys.executable).parent), environ.get("PATH", os.defpath)]
    return {
        **given,
        "HOST": given.get("HOST", "").strip() or LOOPBACK,
        "PORT": given.get("PORT", "").strip() or DEFAULT_PORT,
        "STATE_DIR": str(state.path),
        "PATH": os.pathsep.join(path),
        "PYTHONUNBUFFERED": "1",
    }


def _servers(state: StateFolder, embedding: Embedding, door: str, environment: Mapping[str, str]) -> Servers:
    wanted = [name for name in Embedding.__slots__ if getattr(embedding, name)]
    ports = kept_ports(state.path / "ports.json", wanted)
    return Servers(
        postgres=Postgres(state.path, ports["postgres"]) if embedding.postgres else None,
        valkey=Valkey(state.path, ports["valkey"]) if embedding.valkey else None,
        sandbox=Sandbox(state.path, ports["sandbox"], door, environment) if embedding.sandbox else None,
    )


def _check_port(host: str, port: int) -> None:
    error = refusal(host, port)
    if error:
        reason = "is taken" if error.errno == errno.EADDRINUSE else f"cannot be had ({error.strerror})"
        raise ConfigurationError([f"PORT: {port} on {host} {reason}; set another one, for example PORT={port + 1}"])
