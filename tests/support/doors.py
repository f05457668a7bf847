"""Door processes as the Procfile starts them, several on one database where a test wants that."""

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx2

from billing.config import Settings
from billing.local.ports import free_port
from billing.local.procfile import read_procfile
from tests.support.environment import environment
from tests.support.stack import ROOT, Process, eventually

CONTRACT_LIMITS = {
    "PURCHASE_LIMIT_ADDRESS": "10/h",
    "PURCHASE_LIMIT_USER": "30/h",
    "PURCHASE_LIMIT_EMAIL": "5/h",
}


class DoorProcess:
    """One line of the Procfile on a port of its own."""

    def __init__(self, settings: Settings, folder: Path, variables: Mapping[str, str]) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        own = environment(settings.database_url, settings.redis_url, STATE_DIR=str(folder), PORT=str(self.port))
        command = ("/bin/sh", "-c", read_procfile(ROOT)["web"])
        log = folder / f"web-{self.port}.log"
        surroundings = {"PATH": path, "HOME": str(folder), "LANG": "C.UTF-8"}
        self.process = Process("web", command, {**surroundings, **own, **variables}, log)

    def wait_until_ready(self) -> None:
        eventually(self._answers, 30, lambda: f"the door is not ready:\n{self.process.log[-3000:]}")

    def stop(self) -> None:
        if self.process.is_running:
            self.process.kill()

    def _answers(self) -> bool:
        assert self.process.is_running, self.process.log[-3000:]
        try:
            return httpx2.get(f"{self.url}/healthz").status_code == 200
        except httpx2.TransportError:
            return False

    @property
    def memory_bytes(self) -> int:
        """Proportional set size of the process, of which nothing is counted twice."""
        rollup = Path(f"/proc/{self.process.pid}/smaps_rollup").read_text()
        return next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:")) * 1024


@contextmanager
def running_door(settings: Settings, folder: Path, before: str = "", **variables: str) -> Iterator[DoorProcess]:
    """`before` is what the shell does first, such as `ulimit`."""
    door = DoorProcess(settings, folder, variables)
    if before:
        door.process.become(f"{before}; {door.process.command}")
    try:
        door.process.start()
        door.wait_until_ready()
        yield door
    finally:
        door.stop()


@contextmanager
def running_doors(settings: Settings, folder: Path, count: int, **variables: str) -> Iterator[list[DoorProcess]]:
    doors = [DoorProcess(settings, folder, variables) for _ in range(count)]
    with ExitStack() as stack:
        for door in doors:
            stack.callback(door.stop)
            door.process.start()
        for door in doors:
            door.wait_until_ready()
        yield doors
