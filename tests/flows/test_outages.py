"""A dependency is away while money moves: nothing is answered that is not kept, and nobody has to push afterwards."""

import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from billing.ids import new_id
from tests.support.database import TEMPLATE, fill_template
from tests.support.servers import RunningPostgres, RunningValkey, running_postgres
from tests.support.stack import PREFIX, Stack, eventually, running_stack

DOOR_SECONDS = 2.5


@pytest.fixture(scope="module")
def database() -> Iterator[RunningPostgres]:
    """A server of the module's own, that keeps what it confirmed when it is killed."""
    with running_postgres(synchronous_commit="on") as server:
        server.create_database(TEMPLATE)
        fill_template(server.url(TEMPLATE))
        yield server


@pytest.fixture(scope="module")
def stack(
    database: RunningPostgres, valkey: RunningValkey, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stack]:
    folder: Path = tmp_path_factory.mktemp("outages")
    with running_stack(database, valkey, folder, DATABASE_URL=database.url(TEMPLATE)) as running:
        yield running


def test_what_is_paid_while_the_database_is_away_is_credited_when_it_is_back(
    stack: Stack, database: RunningPostgres
) -> None:
    """Each delivery is answered 503 in time, so that Stripe sends it again: the sandbox in seconds, not in hours."""
    accepted = [stack.buy(f"{new_id().hex}@example.com") for _ in range(5)]
    prepared = [stack.wait_for(purchase, "pending") for purchase in accepted]
    database.kill()
    for status in prepared:
        stack.pay(status)
    (paid, *_) = stack.stripe.v1.events.list({"type": "payment_intent.succeeded"}).data
    for _ in range(3):
        began = time.monotonic()
        assert stack.control.post(f"/events/{paid.id}/deliver").json() == {"statuses": [503]}
        assert refused(stack) == (503, "unavailable")
        assert time.monotonic() - began < 2 * DOOR_SECONDS
    database.start()
    eventually(lambda: all(is_completed(stack, purchase) for purchase in accepted), 40)
    assert stack.scalar("SELECT count(*) FROM hour_lot") == stack.scalar("SELECT count(*) FROM purchase") == 5
    assert stack.scalar("SELECT count(*) FROM violation") == 0


def refused(stack: Stack) -> tuple[int, str]:
    body = {"plan_id": 2, "student_info": {"name": "Ana", "email": "ana@example.com"}}
    answer = stack.door.post(f"{PREFIX}/purchase/initiate/", json=body)
    return answer.status_code, answer.json()["error_type"]


def is_completed(stack: Stack, accepted: Mapping[str, Any]) -> bool:
    """False too while the door does not know, because its database starts."""
    headers = {"X-Access-Token": accepted["access_token"]}
    answer = stack.door.get(accepted["status_url"], headers=headers)
    return bool(answer.status_code == 200 and answer.json()["status"] == "completed")
