"""A real `billing up` over a small Procfile."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from tests.support.processes import assert_gone, family_of

WEB = """
import os
from http.server import BaseHTTPRequestHandler, HTTPServer

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/readyz" else 404)
        self.end_headers()

    def log_message(self, *words):
        pass

HTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""
WORKER = """
import subprocess, sys, time
child = subprocess.Popen(["sleep", "1000"])
print("worker_ready", flush=True)
time.sleep(1000)
"""
STUBBORN = """
import os, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
if os.fork() == 0:
    time.sleep(1000)
print("worker_ready", flush=True)
time.sleep(1000)
"""
WEB_LINE = "web: exec python web.py\n"
WORKER_LINE = "payments: exec python worker.py celery worker\n"
STUBBORN_LINE = "payments: exec python stubborn.py celery worker\n"

NOWHERE = "postgresql://u:p@127.0.0.1:1/d"
STRIPE = {
    "STRIPE_SECRET_KEY": "sk_test_somebody",
    "STRIPE_PUBLISHABLE_KEY": "pk_test_somebody",
    "STRIPE_WEBHOOK_SECRET": "whsec_somebody",
}


def nothing_embedded(port: int) -> dict[str, str]:
    """An environment in which every service is somebody else's, and nobody asks it anything."""
    urls = {"DATABASE_URL": NOWHERE, "REDIS_URL": "redis://127.0.0.1:1/0"}
    return {"APP_ENV": "staging", "PORT": str(port), **urls, **STRIPE}


def servers_embedded(port: int) -> dict[str, str]:
    return {"PORT": str(port), **STRIPE}


def fake_checkout(folder: Path, procfile: str) -> None:
    scripts = {"web.py": WEB, "worker.py": WORKER, "stubborn.py": STUBBORN, "Procfile": procfile}
    for name, content in scripts.items():
        (folder / name).write_text(content)


class Up:
    def __init__(self, folder: Path, environment: Mapping[str, str], *options: str) -> None:
        self._log = folder / "log"
        command = [str(Path(sys.executable).with_name("billing")), "up", *options]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                command, cwd=folder, env={"PATH": os.environ["PATH"], **environment}, stdout=log, stderr=log
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def said(self) -> str:
        return self._log.read_text(errors="backslashreplace")

    @property
    def family(self) -> list[int]:
        return family_of(self.pid)

    def until(self, words: str, times: int = 1, within: float = 30) -> None:
        deadline = time.monotonic() + within
        while self.said.count(words) < times:
            assert self._process.poll() is None, f"ended before {words!r}:\n{self.said}"
            assert time.monotonic() < deadline, f"never said {words!r}:\n{self.said}"
            time.sleep(0.02)

    def until_ready(self) -> None:
        self.until("Ready in")

    def send(self, signal_number: int) -> None:
        self._process.send_signal(signal_number)

    def wait(self, within: float = 30) -> int:
        return self._process.wait(within)

    def stop(self) -> int:
        self.send(signal.SIGINT)
        return self.wait()

    def kill_if_running(self) -> None:
        if self._process.poll() is None:
            family = self.family
            self._process.kill()
            self._process.wait()
            assert_gone(family)
