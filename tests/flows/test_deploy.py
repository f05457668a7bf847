"""A release is deployed piece by piece while people buy: old code works on the new schema, beside new code."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from billing import ledger
from billing.ids import new_id
from billing.migrate import newest_revision
from tests.releases import REVISION, unpacked
from tests.support.database import TEMPLATE
from tests.support.servers import RunningPostgres, RunningValkey
from tests.support.stack import PREFIX, Stack, running_stack

WORKERS = ("payments", "webhooks", "hours")


@pytest.fixture
def stack(postgres: RunningPostgres, valkey: RunningValkey, tmp_path: Path) -> Iterator[Stack]:
    """The schema is the new one; every process of the pipeline is of the release before."""
    name = f"deploy_{new_id().hex[:8]}"
    postgres.create_database(name, template=TEMPLATE)
    old = unpacked(tmp_path / "old")
    with running_stack(postgres, valkey, tmp_path, "sandbox", DATABASE_URL=postgres.url(name)) as running:
        for process in ("web", *WORKERS):
            running.processes[process].come_from(old)
        running.start("web", *WORKERS)
        yield running


def renew(stack: Stack, name: str) -> None:
    """What a deployment does with one process: the old one drains, the new one takes its place."""
    stack.processes[name].stop()
    stack.processes[name].come_from(None)
    stack.start(name)


def buy_and_use(stack: Stack, email: str) -> None:
    """A package from the wish to the hours, and a lesson that takes some of them."""
    accepted = stack.buy(email)
    stack.pay(stack.wait_for(accepted, "pending"))
    stack.wait_for(accepted, "completed")
    lesson = {"student": {"email": email}, "session_id": new_id().hex, "hours": "1.50"}
    headers = {**stack.bearer("platform@example.com", "platform", "service"), "Prefer": "wait=20"}
    taken = stack.door.post(f"{PREFIX}/hour-consumptions/", json=lesson, headers=headers)
    assert taken.status_code == 201, taken.text
    left = stack.scalar(
        "SELECT minutes_left FROM student_balance JOIN student ON id = student_id WHERE email = :e", e=email
    )
    assert left == 510


def test_each_piece_of_a_release_can_be_deployed_alone(stack: Stack) -> None:
    """Migrations first, then workers, then doors, as the runbook says; each mixture of old and new is proven."""
    assert newest_revision() != REVISION, "the archive is of this release"
    buy_and_use(stack, "old@example.com")
    under_way = [stack.buy(f"under-way-{number}@example.com") for number in range(5)]
    for name in WORKERS:
        renew(stack, name)
    buy_and_use(stack, "mixed@example.com")
    renew(stack, "web")
    buy_and_use(stack, "new@example.com")
    for accepted in under_way:
        stack.pay(stack.wait_for(accepted, "pending"))
        stack.wait_for(accepted, "completed")
    assert ledger.violations(stack.begin) == []
