"""Real workers while Stripe is in trouble: purchases wait, their buyers read why, and all go on when it is over."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.servers import RunningPostgres, RunningValkey
from tests.support.stack import Stack, eventually, running_stack

REFUSED = {"match": {}, "do": {"status": 401}}


@pytest.fixture
def stack(
    postgres: RunningPostgres, valkey: RunningValkey, valkey_url: str, database_url: str, tmp_path: Path
) -> Iterator[Stack]:
    with running_stack(postgres, valkey, tmp_path, "sandbox", "web", "payments", DATABASE_URL=database_url) as stack:
        yield stack


def creates(stack: Stack) -> int:
    found = stack.control.get("/requests").json()["requests"]
    return sum(one["method"] == "POST" and one["path"] == "/v1/payment_intents" for one in found)


def test_a_key_that_stripe_refuses_parks_purchases_until_it_takes_it_again(stack: Stack) -> None:
    """One create finds out; however many buyers come, no other is sent, and nobody has to do anything afterwards."""
    stack.control.post("/faults", json=[REFUSED]).raise_for_status()
    first = stack.buy("first@example.com")
    eventually(lambda: stack.status(first).get("error_type") is not None, 20)
    others = [stack.buy(f"buyer{number}@example.com") for number in range(6)]
    eventually(lambda: all("paused" in stack.status(one)["message"] for one in others), 30)
    assert {stack.status(one)["status"] for one in others} == {"queued"}
    assert creates(stack) == 1
    stack.control.delete("/faults").raise_for_status()
    for one in (first, *others):
        stack.wait_for(one, "pending", seconds=60)
    assert creates(stack) == 8
