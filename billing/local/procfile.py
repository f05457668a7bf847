"""The Procfile: what this project is when it runs, one line a process."""

import re
import time
from collections.abc import Collection, Mapping
from pathlib import Path

from billing.errors import ConfigurationError
from billing.local.child import Program
from billing.local.probe import answers_ok
from billing.local.service import Service

NAME = "Procfile"
LINE = re.compile(r"([A-Za-z0-9_-]+):\s*(\S.*)")
OPTIONAL = re.compile(r"# optional ([A-Za-z0-9_-]+:.*)")
"""A comment to whatever else reads the file."""
RELEASE, WEB = "release", "web"
IS_CELERY = re.compile(r"\bcelery\b.*\b(worker|beat)\b")
CELERY_IS_READY = re.compile(r"\b(worker|beat)_ready\b")
"""The event that our workers and our beat log, whatever the log looks like around it."""
SETTLED_AFTER_SECONDS = 1.0
WORKER_GRACE_SECONDS = 70


def read_procfile(folder: Path, optional: Collection[str] = ()) -> dict[str, str]:
    """Commands by name, in the file's order, with those of the optional ones that are named."""
    try:
        lines = (folder / NAME).read_text().splitlines()
    except FileNotFoundError:
        raise ConfigurationError([f"{NAME}: there is none in {folder}; run this in the checkout"]) from None
    commands: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        wish = OPTIONAL.fullmatch(line.strip())
        if not line.strip() or (line.startswith("#") and not wish):
            continue
        found = LINE.fullmatch(wish[1] if wish else line.strip())
        if not found or found[1] in commands:
            raise ConfigurationError([f"{NAME}: line {number} is not a `name: command` of its own"])
        if not wish or found[1] in optional:
            commands[found[1]] = found[2]
    if unknown := sorted(set(optional) - set(commands)):
        raise ConfigurationError([f"{NAME}: there is no process {name}" for name in unknown])
    return commands


def shell_program(name: str, command: str, environment: Mapping[str, str], folder: Path) -> Program:
    words = ("/bin/sh", "-c", command)
    return Program(name, words, environment, folder, grace_seconds=WORKER_GRACE_SECONDS)


class Command(Service):
    """Ready once it has lived for a moment."""

    def __init__(self, program: Program) -> None:
        self._program = program
        self._prepared_at = 0.0

    @property
    def program(self) -> Program:
        return self._program

    def prepare(self) -> None:
        self._prepared_at = time.monotonic()

    def is_ready(self, pid: int) -> bool:
        return pid > 0 and time.monotonic() - self._prepared_at >= SETTLED_AFTER_SECONDS


class Celery(Command):
    """Ready once it says so."""

    def __init__(self, program: Program) -> None:
        super().__init__(program)
        self._has_said_so = False

    def prepare(self) -> None:
        self._has_said_so = False

    def hear(self, line: str) -> None:
        self._has_said_so |= bool(CELERY_IS_READY.search(line))

    def is_ready(self, pid: int) -> bool:
        return pid > 0 and self._has_said_so


class Web(Command):
    """Ready once it answers so."""

    def __init__(self, program: Program, host: str, port: int) -> None:
        super().__init__(program)
        self._host = host
        self._port = port

    def is_ready(self, pid: int) -> bool:
        return pid > 0 and answers_ok(self._host, self._port, "/readyz")


def service_of(program: Program, host: str, port: int) -> Service:
    if program.name == WEB:
        return Web(program, host, port)
    if IS_CELERY.search(program.argv[-1]):
        return Celery(program)
    return Command(program)
