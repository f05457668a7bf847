"""The whole pipeline as real processes: the Procfile's own commands against real servers and the sandbox."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import httpx2
import stripe
from sqlalchemy import text

from billing import db
from billing.cli.token import sign
from billing.config import SANDBOX_SECRET_KEY, SANDBOX_WEBHOOK_SECRET, Settings
from billing.local.child import Program, spawn_arguments
from billing.local.ports import free_port
from billing.local.procfile import read_procfile
from tests.support.database import connect
from tests.support.environment import environment
from tests.support.processes import family_of
from tests.support.servers import RunningPostgres, RunningValkey

ROOT = Path(__file__).resolve().parents[2]
PREFIX = "/api/finances/api"
WEBHOOKS = "/api/finances/webhooks/stripe/"
WORKERS = ("payments", "webhooks")
READY_SECONDS = 40
BROKER_URL = os.environ.get("BILLING_TEST_BROKER_URL")
"""Another broker than the embedded Valkey: a RabbitMQ, for whoever runs one."""


class Process:
    """One line of the Procfile, to be killed, frozen and started again."""

    def __init__(self, name: str, argv: tuple[str, ...], variables: Mapping[str, str], log: Path) -> None:
        self.name = name
        self._argv, self._variables = argv, variables
        self._log = log
        self._log_before = 0
        self._directory = ROOT
        self._running: subprocess.Popen[bytes] | None = None

    @property
    def command(self) -> str:
        return self._argv[-1]

    def become(self, command: str, **variables: str) -> None:
        """Run another command from the next start on."""
        self._argv = (*self._argv[:-1], command)
        self._variables = {**self._variables, **variables}

    def come_from(self, directory: Path | None) -> None:
        """Run the code of another place from the next start on; None is the code of here."""
        self._directory = directory or ROOT
        self._variables = {**self._variables, "PYTHONPATH": str(self._directory)}

    def start(self) -> None:
        self._log_before = len(self.log)
        program = Program(self.name, self._argv, self._variables, self._directory)
        with self._log.open("ab") as log:
            arguments = spawn_arguments(program)
            self._running = subprocess.Popen(
                program.argv, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, **arguments
            )

    @property
    def pid(self) -> int:
        assert self._running is not None
        return self._running.pid

    @property
    def log(self) -> str:
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    @property
    def log_of_this_start(self) -> str:
        return self.log[self._log_before :]

    def signal_all(self, number: int) -> None:
        for pid in family_of(self.pid):
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                continue

    def kill(self) -> None:
        """The whole family at once, as a machine that dies takes it."""
        self.signal_all(signal.SIGKILL)
        self.wait()

    def stop(self) -> None:
        if self._running is None:
            return
        os.kill(self.pid, signal.SIGTERM)
        self.wait()

    def wait(self) -> None:
        assert self._running is not None
        try:
            self._running.wait(timeout=15)
        except subprocess.TimeoutExpired:
            self.signal_all(signal.SIGKILL)
            self._running.wait()
        self._running = None

    @property
    def is_running(self) -> bool:
        return self._running is not None and self._running.poll() is None


class Stack:
    """The pipeline on ports and databases of its own; `door` speaks to it as a front end does."""

    def __init__(self, postgres: RunningPostgres, valkey: RunningValkey, folder: Path, **more: str) -> None:
        self.postgres, self.valkey = postgres, valkey
        self.port, self.sandbox_port = free_port(), free_port()
        self.sandbox_url = f"http://127.0.0.1:{self.sandbox_port}"
        self.url = f"http://127.0.0.1:{self.port}"
        variables = environment(
            more.pop("DATABASE_URL", postgres.url()),
            valkey.url(),
            STRIPE_API_BASE=self.sandbox_url,
            STATE_DIR=str(folder),
            PORT=str(self.port),
            **({"BROKER_URL": BROKER_URL} if BROKER_URL else {}),
            **more,
        )
        self.settings = Settings.load(variables)
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        mine = {"HOME": str(folder), "TMPDIR": str(folder)}  # what is killed leaves things behind
        self.variables = {"PATH": path, "LANG": "C.UTF-8", **mine, **variables}
        self._folder = folder
        self.processes = self._make_processes()
        self.door = httpx2.Client(base_url=self.url, timeout=20)
        self.control = httpx2.Client(base_url=f"{self.sandbox_url}/_sandbox", timeout=20)
        self.engine = connect(self.settings.database_url, pool_size=4)
        self.begin: db.Begin = partial(db.begin, self.engine)
        self.stripe = stripe.StripeClient(
            SANDBOX_SECRET_KEY, base_addresses={"api": self.sandbox_url}, max_network_retries=0
        )

    def _make_processes(self) -> dict[str, Process]:
        lines: dict[str, tuple[str, ...]] = {
            name: ("/bin/sh", "-c", line) for name, line in read_procfile(ROOT).items() if name != "release"
        }
        sandbox = ("-m", "billing.sandbox", "--port", str(self.sandbox_port), "--state", str(self._folder / "sandbox"))
        lines["sandbox"] = (sys.executable, *sandbox, "--webhook-url", f"{self.url}{WEBHOOKS}")
        return {name: self._process(name, argv) for name, argv in lines.items()}

    def _process(self, name: str, argv: tuple[str, ...]) -> Process:
        return Process(name, argv, self.variables, self._folder / f"{name}.log")

    def twin(self, name: str) -> Process:
        """A second process of this line, as on a second machine."""
        command = self.processes[name].command.replace(f"-n {name}@", f"-n {name}-twin@")
        twin = self._process(f"{name}-twin", ("/bin/sh", "-c", command))
        self.processes[twin.name] = twin
        return twin

    def start(self, *names: str) -> None:
        for name in names:
            self.processes[name].start()
        for name in names:
            self._wait_until_ready(name)

    def _wait_until_ready(self, name: str) -> None:
        process = self.processes[name]
        probes: dict[str, Callable[[], bool]] = {
            "web": lambda: self._answers(self.door, "/healthz"),
            "sandbox": lambda: self._answers(self.control, "/health"),
        }
        probe = probes.get(name, lambda: " ready" in process.log_of_this_start)
        eventually(probe, READY_SECONDS, lambda: f"{name} is not ready:\n{process.log[-3000:]}")

    @staticmethod
    def _answers(client: httpx2.Client, path: str) -> bool:
        try:
            return client.get(path).status_code == 200
        except httpx2.TransportError:
            return False

    def close(self) -> None:
        for process in self.processes.values():
            if process.is_running:
                process.kill()
        self.door.close()
        self.control.close()
        self.engine.dispose()

    def buy(self, email: str = "ana@example.com", **headers: str) -> dict[str, Any]:
        body = {"plan_id": 2, "student_info": {"name": "Ana", "email": email}}
        answer = self.door.post(f"{PREFIX}/purchase/initiate/", json=body, headers=headers)
        assert answer.status_code == 202, answer.text
        accepted: dict[str, Any] = answer.json()
        return accepted

    def status(self, accepted: Mapping[str, Any]) -> dict[str, Any]:
        headers = {"X-Access-Token": accepted["access_token"]}
        answer = self.door.get(accepted["status_url"], headers=headers)
        assert answer.status_code == 200, answer.text
        status: dict[str, Any] = answer.json()
        return status

    def wait_for(self, accepted: Mapping[str, Any], *states: str, seconds: float = 20) -> dict[str, Any]:
        found: dict[str, Any] = {}

        def reached() -> bool:
            found.update(self.status(accepted))
            return found["status"] in states

        eventually(reached, seconds, lambda: f"wanted {states}, found {found}")
        return found

    def pay(self, status: Mapping[str, Any], method: str = "pm_card_visa") -> stripe.PaymentIntent:
        return self.stripe.v1.payment_intents.confirm(status["payment_intent_id"], {"payment_method": method})

    def bearer(self, email: str = "ana@example.com", sub: str = "ana", *roles: str) -> dict[str, str]:
        token = sign(self.settings, sub=sub, email=email, name="Ana", roles=list(roles or ("student",)))
        return {"Authorization": f"Bearer {token}"}

    def hours(self, email: str = "ana@example.com", sub: str = "ana") -> str:
        answer = self.door.get(f"{PREFIX}/student-balance/", headers=self.bearer(email, sub))
        assert answer.status_code == 200, answer.text
        return str(answer.json()["balance_summary"]["remaining_hours"])

    def deliver(self, body: bytes) -> httpx2.Response:
        """An event at the webhook route, signed as Stripe signs."""
        header = stripe.WebhookSignature.generate_signature_header(body.decode(), SANDBOX_WEBHOOK_SECRET)
        return self.door.post(WEBHOOKS, content=body, headers={"Stripe-Signature": header})

    def scalar(self, statement: str, **values: object) -> Any:
        with self.begin() as session:
            return session.execute(text(statement), values).scalar_one()


@contextmanager
def running_stack(
    postgres: RunningPostgres, valkey: RunningValkey, folder: Path, *names: str, **more: str
) -> Iterator[Stack]:
    stack = Stack(postgres, valkey, folder, **more)
    try:
        stack.start(*(names or ("sandbox", "web", *WORKERS)))
        yield stack
    finally:
        stack.close()


def eventually(reached: Callable[[], bool], seconds: float, complaint: Callable[[], str] = lambda: "") -> float:
    """Wait until it is true; returns the seconds that it took."""
    start = time.monotonic()
    while not reached():
        assert time.monotonic() - start < seconds, f"not within {seconds} s; {complaint()}"
        time.sleep(0.02)
    return time.monotonic() - start
