"""The doctor finds what is wrong before a buyer does, and says how to mend it."""

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import redis
from rich.console import Console
from sqlalchemy import text

from billing import migrate
from billing.cli import doctor as doctor_command
from billing.db import Begin
from billing.local.ports import free_port
from tests.cli.support import Billing
from tests.support.environment import make_settings
from tests.support.factories import add_purchase
from tests.support.servers import RunningValkey


@dataclass
class Answering:
    """What looks like Stripe; it counts who asks with which key."""

    port: int = 0
    status: int = 200
    skew: timedelta = timedelta()
    keys: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@pytest.fixture
def stripe(variables: dict[str, str]) -> Iterator[Answering]:
    answering = Answering()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answering.keys.append(self.headers["Authorization"])
            self.send_response_only(answering.status)
            self.send_header("Date", format_datetime(datetime.now(UTC) + answering.skew, usegmt=True))
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  (http.server's name)
            """Nothing to read in a test's output."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        answering.port = server.server_port
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        variables |= {"STRIPE_API_BASE": answering.url, "PORT": str(free_port())}
        yield answering
        server.shutdown()


def found(billing: Billing) -> dict[str, dict[str, Any]]:
    """Findings by their subject."""
    said = billing("doctor", "--json")
    findings = {finding["subject"]: finding for finding in said.json["findings"]}
    reds = [finding for finding in said.json["findings"] if finding["health"] == "red"]
    assert said.json["ok"] is (not reds)
    assert said.status == (1 if reds else 0)
    assert all(finding["mend"] for finding in said.json["findings"] if finding["health"] != "ok")
    return findings


def reds(billing: Billing) -> dict[str, str]:
    """What is wrong, and what is said of it."""
    return {
        subject: f"{finding['detail']}; {finding['mend']}"
        for subject, finding in found(billing).items()
        if finding["health"] == "red"
    }


def test_everything_is_looked_at_and_well(billing: Billing, stripe: Answering) -> None:
    findings = found(billing)
    assert {subject for subject, finding in findings.items() if finding["health"] != "ok"} == {"durability", "workers"}
    assert set(findings) == {
        "Python",
        "packages",
        "time zones",
        "settings",
        "STRIPE_WEBHOOK_SECRET",
        "extra `local`",
        "STATE_DIR",
        "PORT",
        "PostgreSQL",
        "clock of PostgreSQL",
        "migrations",
        "durability",
        "ledger",
        "role",
        "plans",
        "workers",
        "REDIS_URL",
        "REDIS_URL eviction",
        "broker",
        "Stripe",
        "clock of Stripe",
        "calls to Stripe",
        "MAIL_URL",
    }
    assert stripe.keys == ["Bearer sk_test_sandbox_of_the_billing_pipeline"]


@pytest.mark.usefixtures("stripe")
def test_lines_for_pipes_and_a_table_for_people(billing: Billing, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = billing("doctor")
    assert plain.status == 0
    assert "ok       migrations: the schema is at" in plain.out
    assert "warning  workers: no worker is connected; mend: start the workers" in plain.out
    wide = Console(width=400, force_terminal=True)
    with wide.capture() as drawn:
        wide.print(doctor_command.table_of(list(doctor_command.examine())))
    assert "no worker is connected" in drawn.get()
    assert "\x1b[33mwarning" in drawn.get()


def test_each_wrong_setting_is_told_with_its_mend(billing: Billing, variables: dict[str, str]) -> None:
    variables |= {"PORT": "no", "BUSINESS_TIMEZONE": "Lisbon", "STRIPE_WEBHOOK_SECRET": "x", "DATABASE_URL": ""}
    assert set(reds(billing)) == {"PORT", "BUSINESS_TIMEZONE", "STRIPE_WEBHOOK_SECRET", "DATABASE_URL"}
    assert "make run" in reds(billing)["DATABASE_URL"]
    assert "Python" in found(billing)


@pytest.mark.usefixtures("stripe")
@pytest.mark.parametrize(
    ("secret", "words"),
    [
        ("whsec_sandbox_of_the_billing_pipeline", "anybody could sign"),
        ("whsec_short", "cut off"),
        ("whsec_" + "ä" * 32, ""),
    ],
)
def test_a_webhook_secret_that_cannot_be_the_endpoints_is_red(
    billing: Billing, variables: dict[str, str], secret: str, words: str
) -> None:
    variables |= {"STRIPE_SECRET_KEY": "sk_test_mine", "STRIPE_WEBHOOK_SECRET": f"whsec_{'a' * 32},{secret}"}
    assert words in reds(billing)["STRIPE_WEBHOOK_SECRET"]


@pytest.mark.usefixtures("stripe")
def test_a_database_that_is_away_is_red_and_tells_no_password(billing: Billing, variables: dict[str, str]) -> None:
    _, _, rest = variables["DATABASE_URL"].partition("@")
    variables["DATABASE_URL"] = f"postgresql://nobody:canary@{rest}"
    told = reds(billing)["PostgreSQL"]
    assert "password authentication failed" in told
    assert "canary" not in told
    variables["DATABASE_URL"] = "postgresql://u:canary@127.0.0.1:1/billing"
    told = reds(billing)["PostgreSQL"]
    assert "127.0.0.1:1" in told
    assert "canary" not in told


@pytest.mark.usefixtures("stripe")
def test_a_schema_of_another_version_is_red(billing: Billing, begin: Begin) -> None:
    for revision, words in (("0001", "billing migrate"), ("9999", "deploy the version")):
        with begin() as session:
            session.execute(text("UPDATE alembic_version SET version_num = :revision"), {"revision": revision})
        assert words in reds(billing)["migrations"]
    with begin() as session:
        session.execute(text("DROP TABLE alembic_version"))
    assert "nothing was ever migrated" in reds(billing)["migrations"]


@pytest.mark.usefixtures("stripe")
def test_no_plan_on_sale_is_red_and_a_missing_default_is_a_warning(billing: Billing, begin: Begin) -> None:
    with begin() as session:
        session.execute(text("UPDATE pricing_plan SET code = 'ours' WHERE code = 'basic'"))
    assert "default basic" in found(billing)["plans"]["detail"]
    with begin() as session:
        session.execute(text("UPDATE pricing_plan SET is_active = false"))
    assert "load-defaults" in reds(billing)["plans"]


@pytest.mark.usefixtures("stripe")
def test_less_durability_is_red_outside_development(billing: Billing, variables: dict[str, str]) -> None:
    """The tests' own server writes with fsync off."""
    variables["APP_ENV"] = "staging"
    assert "fsync" in reds(billing)["durability"]
    assert found(billing)["role"]["health"] == "warning"


@pytest.mark.usefixtures("stripe")
def test_a_ledger_without_its_guards_is_red(billing: Billing, begin: Begin) -> None:
    with begin() as session:
        session.execute(text("ALTER TABLE hour_entry DISABLE TRIGGER append_only"))
    assert "ENABLE TRIGGER" in reds(billing)["ledger"]


@pytest.fixture
def role(variables: dict[str, str], begin: Begin) -> Iterator[str]:
    """The application's own role, as `billing migrate` leaves it."""
    owner = variables["DATABASE_URL"]
    with begin() as session:
        session.execute(text("CREATE ROLE doctors_patient LOGIN PASSWORD 'secret'"))
    application = f"postgresql://doctors_patient:secret@{owner.partition('@')[2]}"
    variables |= {"DATABASE_URL": application, "DATABASE_OWNER_URL": owner}
    migrate.upgrade(make_settings(application, variables["REDIS_URL"], DATABASE_OWNER_URL=owner))
    yield "doctors_patient"
    with begin() as session:
        session.execute(text("DROP OWNED BY doctors_patient"))
        session.execute(text("DROP ROLE doctors_patient"))


@pytest.mark.usefixtures("stripe")
def test_a_role_of_its_own_may_add_to_the_ledger_and_no_more(billing: Billing, begin: Begin, role: str) -> None:
    assert reds(billing) == {}
    assert f"{role} may only" in found(billing)["role"]["detail"]
    for grant, words in (
        (f"GRANT UPDATE ON hour_entry TO {role}", "UPDATE hour_entry"),
        (f"GRANT CREATE ON SCHEMA public TO {role}", "create tables"),
        (f"ALTER ROLE {role} SUPERUSER", "superuser"),
    ):
        with begin() as session:
            session.execute(text(grant))
        assert words in reds(billing)["role"]


@pytest.mark.usefixtures("stripe")
def test_a_role_without_rights_is_red(billing: Billing, begin: Begin, role: str) -> None:
    with begin() as session:
        session.execute(text(f"REVOKE INSERT ON hour_entry FROM {role}"))
    assert "may not even" in reds(billing)["role"]
    with begin() as session:
        session.execute(text(f"REVOKE ALL ON dead_letter, plan_on_sale FROM {role}"))
    assert "permission denied" in reds(billing)["PostgreSQL"]


@pytest.mark.usefixtures("stripe")
def test_an_owner_that_cannot_migrate_is_red(billing: Billing, variables: dict[str, str], role: str) -> None:
    variables["DATABASE_URL"], variables["DATABASE_OWNER_URL"] = (
        variables["DATABASE_OWNER_URL"],
        variables["DATABASE_URL"],
    )
    assert f"GRANT CREATE ON SCHEMA public TO {role}" in reds(billing)["DATABASE_OWNER_URL"]


@pytest.mark.usefixtures("stripe")
def test_work_that_nobody_takes_is_red(billing: Billing, begin: Begin) -> None:
    add_purchase(begin, at=datetime.now(UTC))
    for seconds, health in ((60, "warning"), (130, "red")):
        with begin() as session:
            statement = "UPDATE purchase SET due_at = clock_timestamp() - make_interval(secs => :seconds)"
            session.execute(text(statement), {"seconds": seconds})
        assert found(billing)["workers"]["health"] == health


@pytest.mark.usefixtures("stripe")
def test_what_gave_up_is_pointed_out(billing: Billing, begin: Begin) -> None:
    add_purchase(begin, at=datetime.now(UTC))
    with begin() as session:
        given_up = "state = 'failed', due_at = NULL, hint_at = NULL, gave_up_at = now()"
        session.execute(text(f"UPDATE purchase SET {given_up}"))  # noqa: S608
    assert found(billing)["dead letters"]["mend"] == "see `billing deadletters list`"


@pytest.mark.usefixtures("stripe")
def test_an_evicting_or_missing_valkey_is_red(
    billing: Billing, variables: dict[str, str], valkey: RunningValkey
) -> None:
    """It would drop hints and limits when it is full, and nobody would hear of it."""
    with redis.Redis.from_url(valkey.url()) as client:
        client.config_set("maxmemory-policy", "allkeys-lru")
        try:
            assert "noeviction" in reds(billing)["REDIS_URL eviction"]
        finally:
            client.config_set("maxmemory-policy", "noeviction")
    for url in ("redis://:canary@127.0.0.1:1/0", f"redis://:canary@127.0.0.1:{valkey.port}/0"):
        variables["REDIS_URL"] = url
        told = reds(billing)["REDIS_URL"]
        assert "mend REDIS_URL" in told
        assert "canary" not in told


@contextmanager
def saying(words: bytes) -> Iterator[int]:
    """A server that greets with these words; gives its port."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def greet() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(8)
                connection.sendall(words)

        thread = threading.Thread(target=greet, daemon=True)
        thread.start()
        yield server.getsockname()[1]
        thread.join(timeout=5)


@pytest.mark.usefixtures("stripe")
def test_a_rabbitmq_is_greeted(billing: Billing, variables: dict[str, str]) -> None:
    for words, health in ((b"\x01\x00\x00", "ok"), (b"HTTP/1.1 400", "red")):
        with saying(words) as port:
            variables["BROKER_URL"] = f"amqp://guest:canary@127.0.0.1:{port}//"
            assert found(billing)["broker"]["health"] == health
    variables["BROKER_URL"] = "amqp://guest:canary@127.0.0.1:1//"
    assert "cannot be reached at 127.0.0.1:1" in reds(billing)["broker"]
    variables["BROKER_URL"] = variables["REDIS_URL"].replace("/0", "/7")
    assert found(billing)["BROKER_URL eviction"]["health"] == "ok"


@pytest.mark.parametrize(
    ("status", "health", "words"),
    [
        (401, "red", "dashboard"),
        (403, "red", "restricted key"),
        (404, "red", "STRIPE_API_BASE"),
        (429, "warning", "purchases wait"),
        (503, "warning", "purchases wait"),
    ],
)
def test_what_stripe_answers_says_what_to_mend(
    billing: Billing, stripe: Answering, status: int, health: str, words: str
) -> None:
    stripe.status = status
    finding = found(billing)["Stripe"]
    assert finding["health"] == health
    assert words in finding["mend"]


def test_a_stripe_that_cannot_be_reached_is_red(billing: Billing, variables: dict[str, str]) -> None:
    variables["PORT"] = str(free_port())
    assert "make run" in reds(billing)["Stripe"]


def test_a_clock_that_is_wrong_is_red(billing: Billing, stripe: Answering) -> None:
    """Signatures, tokens and expiries are all judged by it."""
    stripe.skew = timedelta(minutes=-2)
    assert "NTP" in reds(billing)["clock of Stripe"]


@pytest.mark.usefixtures("stripe")
def test_a_port_of_somebody_else_and_a_folder_of_nobody_are_red(
    billing: Billing, variables: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        variables |= {"PORT": str(taken.getsockname()[1]), "STATE_DIR": str(tmp_path / "file")}
        found_red = reds(billing)
    assert "taken by something else" in found_red["PORT"]
    assert "STATE_DIR" in found_red["STATE_DIR"]


def test_it_runs_as_a_command_of_its_own(variables: dict[str, str], tmp_path: Path) -> None:
    command = Path(sys.executable).with_name("billing")
    done = subprocess.run(
        [command, "doctor"], env={"PATH": os.defpath, **variables}, cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 1
    assert done.stderr == ""
    assert "red      Stripe: Stripe's sandbox cannot be reached" in done.stdout
