"""The user that PostgreSQL runs as: it refuses to be root."""

import os
import pwd
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from billing.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class Account:
    uid: int
    gid: int

    @property
    def spawn_arguments(self) -> dict[str, Any]:
        return {"user": self.uid, "group": self.gid, "extra_groups": []}

    def can_enter(self, folder: Path) -> bool:
        return self.can_run("/bin/sh", "-c", 'cd "$1"', "sh", str(folder))

    def can_run(self, *argv: str) -> bool:
        """Asked by doing it: mode bits alone know nothing of access lists, mounts and parents."""
        try:
            done = subprocess.run(argv, cwd="/", env={}, capture_output=True, **self.spawn_arguments)
        except OSError as error:
            if error.filename == argv[0]:
                return False
            raise ConfigurationError([CANNOT_CHANGE.format(error.strerror)]) from None
        return done.returncode == 0


CANNOT_CHANGE = (
    "DATABASE_URL: PostgreSQL refuses to run as root, and this machine does not let root become another user ({}); "
    "run as an ordinary user, or set DATABASE_URL"
)
NO_NAME = (
    "DATABASE_URL: PostgreSQL asks for the name of the user that it runs as, and this machine knows none for {}; "
    "add one to /etc/passwd, or set DATABASE_URL"
)


def account_for(data: Path) -> Account | None:
    """None: as we are. As root: the owner of the data where there is some, else `nobody`."""
    if os.geteuid() != 0:
        _named(os.geteuid())
        return None
    if data.exists() and (owner := data.stat().st_uid) != 0:
        return _named(owner)
    try:
        return _named(pwd.getpwnam("nobody").pw_uid)
    except KeyError:
        raise ConfigurationError([NO_NAME.format("`nobody`")]) from None


def _named(uid: int) -> Account:
    try:
        entry = pwd.getpwuid(uid)
    except KeyError:
        raise ConfigurationError([NO_NAME.format(f"user id {uid}")]) from None
    return Account(entry.pw_uid, entry.pw_gid)
