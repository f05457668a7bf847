"""What staff ask for, through every process: done while they wait, or as soon as there is a worker."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import httpx2
import pytest

from billing import ledger
from tests.support.database import TEMPLATE
from tests.support.factories import add_student, minutes_left
from tests.support.records import DAY, bought
from tests.support.servers import RunningPostgres, RunningValkey
from tests.support.stack import PREFIX, Stack, eventually, running_stack

REASON = "Ana was ill."


@pytest.fixture(scope="module")
def stack(
    postgres: RunningPostgres, valkey: RunningValkey, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stack]:
    """The door and the workers of hours and sweeps; Stripe is not asked for any of this."""
    postgres.create_database("flow_staff", template=TEMPLATE)
    folder = tmp_path_factory.mktemp("flow_staff")
    url = postgres.url("flow_staff")
    with running_stack(postgres, valkey, folder, "web", "hours", "maintenance", DATABASE_URL=url) as running:
        yield running


@pytest.fixture
def package(stack: Stack, request: pytest.FixtureRequest) -> int:
    """A package that expired three days ago, of a student of its own."""
    now = datetime.now(UTC)
    student = add_student(stack.begin, f"{request.node.name[:40]}@example.com", at=now)
    return bought(stack.begin, student, at=now, expires_at=now - 3 * DAY).transaction_id or 0


def ask(stack: Stack, path: str, body: dict[str, Any], **headers: str) -> httpx2.Response:
    who = stack.bearer("staff@example.com", "staff-1", "staff")
    return stack.door.post(f"{PREFIX}/admin/{path}/", json={"reason": REASON, **body}, headers={**who, **headers})


def owner_of(stack: Stack, package: int) -> int:
    return int(stack.scalar("SELECT student_id FROM purchase WHERE transaction_id = :id", id=package))


def test_a_sweep_and_an_extension_are_done_while_staff_wait(stack: Stack, package: int) -> None:
    """Swept with all other expired hours, and brought back for one student."""
    swept = ask(stack, "process-expired-packages", {}, Prefer="wait=20")
    assert (swept.status_code, swept.json()["run"]["status"]) == (200, "finished"), swept.text
    assert minutes_left(stack.begin, owner_of(stack, package)) == 0
    wish = {"extension_days": 7, "extend_from_now": True}
    extended = ask(stack, f"packages/{package}/extend", wish, Prefer="wait=20")
    assert (extended.status_code, extended.json()["hours_remaining"]) == (200, "10.00"), extended.text
    assert minutes_left(stack.begin, owner_of(stack, package)) == 600
    assert ledger.violations(stack.begin) == []


def test_what_was_accepted_without_a_worker_is_done_by_the_next(stack: Stack, package: int) -> None:
    """A machine that dies takes no wish with it."""
    stack.processes["hours"].kill()
    wish = {"extension_days": 7, "extend_from_now": True}
    accepted = ask(stack, f"packages/{package}/extend", wish, Prefer="wait=0").json()
    assert accepted["status"] == "requested"
    stack.start("hours")

    def status() -> str:
        who = stack.bearer("staff@example.com", "staff-1", "admin")
        return str(stack.door.get(accepted["status_url"], headers=who).json()["status"])

    eventually(lambda: status() == "done", 30, status)
    assert minutes_left(stack.begin, owner_of(stack, package)) == 600
