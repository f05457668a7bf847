"""A folder outside the checkout, for what PostgreSQL must reach where its account cannot enter the checkout.

Root's home is closed to everybody else, and PostgreSQL does not run as root. Nothing above the checkout is opened;
instead its data goes to a folder of its own, one a checkout, whose path the state folder remembers.
"""

import json
import os
import stat
import tempfile
from pathlib import Path

from billing.errors import ConfigurationError

RECORD = "postgres.folder"
OWNER = "checkout.json"
ENTERABLE = 0o711
LASTING = Path("/var/lib")


def refuge_of(state: Path) -> Path:
    record = state / RECORD
    if record.is_file() and _is_ours(refuge := Path(record.read_text().strip()), state):
        _write_owner(refuge, state)
        return refuge
    refuge = _make()
    _write_owner(refuge, state)
    record.write_text(f"{refuge}\n")
    return refuge


def _make() -> Path:
    for base in (LASTING, Path(tempfile.gettempdir())):
        try:
            made = Path(tempfile.mkdtemp(prefix="tutoring-billing-", dir=base))
        except OSError:
            continue
        made.chmod(ENTERABLE)
        return made
    raise ConfigurationError([f"DATABASE_URL: no room for PostgreSQL's data in {LASTING}; set DATABASE_URL"])


def _is_ours(refuge: Path, state: Path) -> bool:
    """Made by us for this very state folder: neither somebody else's bait nor the refuge of a copied checkout."""
    try:
        status = refuge.lstat()
        owner = json.loads((refuge / OWNER).read_text())
    except (OSError, ValueError):
        return False
    is_safe = stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid() and not status.st_mode & 0o022
    return is_safe and (owner["path"] == str(state) or owner["inode"] == state.stat().st_ino)


def _write_owner(refuge: Path, state: Path) -> None:
    (refuge / OWNER).write_text(json.dumps({"path": str(state), "inode": state.stat().st_ino}))
