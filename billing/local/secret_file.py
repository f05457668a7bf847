"""Files that only their owner may read."""

import os
import secrets
from pathlib import Path


def write_private(path: Path, content: str) -> None:
    """At once or not at all: a reader sees the old file or the whole new one."""
    new = path.with_name(f"{path.name}.new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(content)
    new.replace(path)


def kept_password(path: Path) -> str:
    """Drawn once, then the same for as long as the data that it opens."""
    if not path.is_file():
        write_private(path, secrets.token_urlsafe(24))
    return path.read_text()
