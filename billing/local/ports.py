"""Ports on the loopback address."""

import errno
import json
import os
import secrets
import socket
from pathlib import Path

from billing.local.secret_file import write_private

LOOPBACK = "127.0.0.1"
RANGE = range(15_000, 29_000)
"""Below the range that systems give to outgoing connections, so that none of those sits on a remembered port."""


def refusal(host: str, port: int) -> OSError | None:
    """Why a server could not listen there; None where it can."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            probe.listen(1)
        except OSError as error:
            return error
    return None


def is_free(port: int) -> bool:
    return refusal(LOOPBACK, port) is None


def free_port() -> int:
    for _ in range(1000):
        port = RANGE.start + secrets.randbelow(len(RANGE))
        if is_free(port):
            return port
    raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))


def kept_ports(file: Path, names: list[str]) -> dict[str, int]:
    """The ports of the last run where they are still free, so that addresses stay the same over restarts."""
    known = _remembered(file)
    found = {name: known[name] if name in known and is_free(known[name]) else free_port() for name in names}
    write_private(file, json.dumps({**known, **found}))
    return found


def _remembered(file: Path) -> dict[str, int]:
    try:
        known = json.loads(file.read_text())
    except (OSError, ValueError):
        return {}
    return {name: port for name, port in known.items() if isinstance(port, int) and port in RANGE}
