"""A message that kills whoever takes it, with a real pool: what it costs is counted in its row, and ends."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from billing.clock import utc_now
from billing.config import Settings
from billing.ids import new_id
from billing.messages import EventsWaiting
from tests.support.database import TEMPLATE
from tests.support.factories import add_event, event_body
from tests.support.servers import RunningPostgres, RunningValkey
from tests.support.stack import Stack, eventually
from workers.hints import Publisher

LOST_CLAIMS = 3
POISON = "poison.created"


@pytest.fixture
def stack(postgres: RunningPostgres, valkey: RunningValkey, valkey_url: str, tmp_path: Path) -> Iterator[Stack]:
    name = f"poison_{new_id().hex[:8]}"
    postgres.create_database(name, template=TEMPLATE)
    terms = {"WORK_LEASE_SECONDS": "0.5", "WORK_LOST_CLAIMS": str(LOST_CLAIMS)}
    stack = Stack(postgres, valkey, tmp_path, DATABASE_URL=postgres.url(name), **terms)
    webhooks = stack.processes["webhooks"]
    webhooks.become(webhooks.command.replace("workers.app", "tests.support.poisoned"), POISON=POISON)
    stack.start("webhooks")
    yield stack
    stack.close()


def hint(settings: Settings) -> None:
    publisher = Publisher(settings)
    publisher.publish([EventsWaiting()])
    publisher.close()


def test_an_event_that_kills_each_process_of_the_pool_is_given_up_and_others_proceed(stack: Stack) -> None:
    """Neither for ever, as with a broker that gives it out again, nor forgotten, as Celery does of itself."""
    webhooks = stack.processes["webhooks"]
    kinds = ["payout.paid", POISON, "payout.failed"]
    rows = {
        kind: add_event(stack.begin, event_body(kind, {"id": "po_1"}, at=utc_now()), at=utc_now()) for kind in kinds
    }
    hint(stack.settings)
    dead = "SELECT state = 'dead' AND gave_up_at IS NOT NULL AND due_at IS NULL FROM webhook_event WHERE id = :id"
    eventually(lambda: bool(stack.scalar(dead, id=rows[POISON])), 30, lambda: webhooks.log[-3000:])
    assert stack.scalar("SELECT attempts FROM webhook_event WHERE id = :id", id=rows[POISON]) == LOST_CLAIMS + 1
    assert webhooks.log.count("WorkerLostError") >= LOST_CLAIMS
    worked = "SELECT count(*) FROM webhook_event WHERE state = 'ignored'"
    eventually(lambda: bool(stack.scalar(worked) == 2), 15, lambda: webhooks.log[-3000:])
    assert webhooks.is_running
