"""The Stripe stand-in as a service of this machine; the stand-in itself is `billing.sandbox`."""

import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from billing.clock import FILE as CLOCK
from billing.config import SANDBOX_PUBLISHABLE_KEY, SANDBOX_SECRET_KEY, SANDBOX_WEBHOOK_SECRET
from billing.local.child import Program
from billing.local.ports import LOOPBACK
from billing.local.probe import answers_ok
from billing.local.service import Service

WEBHOOK_PATH = "/api/finances/webhooks/stripe/"
KEYS = {
    "STRIPE_SECRET_KEY": SANDBOX_SECRET_KEY,
    "STRIPE_PUBLISHABLE_KEY": SANDBOX_PUBLISHABLE_KEY,
    "STRIPE_WEBHOOK_SECRET": SANDBOX_WEBHOOK_SECRET,
}


class Sandbox(Service):
    def __init__(self, state: Path, port: int, door: str, environment: Mapping[str, str]) -> None:
        self._data = state / "sandbox"
        self._clock = state / CLOCK
        self._door = door
        self._environment = environment
        self.port = port

    @property
    def keys(self) -> dict[str, str]:
        """A webhook secret that somebody has set is the one that it signs with."""
        given = self._environment.get("STRIPE_WEBHOOK_SECRET", "").strip()
        return {**KEYS, "STRIPE_WEBHOOK_SECRET": given or SANDBOX_WEBHOOK_SECRET}

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self.port}"

    def wipe(self) -> None:
        """With the clock that everybody else follows: a new sandbox has the machine's time."""
        self._clock.unlink(missing_ok=True)
        if self._data.exists():
            shutil.rmtree(self._data)

    def prepare(self) -> None:
        self._data.mkdir(mode=0o700, exist_ok=True)

    @property
    def program(self) -> Program:
        words = ["-m", "billing.sandbox", "--port", str(self.port), "--state", str(self._data)]
        return Program(
            name="sandbox",
            argv=(sys.executable, *words, "--webhook-url", f"{self._door}{WEBHOOK_PATH}"),
            environment={**self._environment, **self.keys},
            folder=Path.cwd(),
        )

    def is_ready(self, pid: int) -> bool:
        return pid > 0 and answers_ok(LOOPBACK, self.port, "/_sandbox/health")
