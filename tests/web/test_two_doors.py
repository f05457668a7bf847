"""Two door processes on one database: whichever a caller meets, the answer is the same."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle

import httpx2
import pytest
from sqlalchemy import text

from billing.config import Settings
from billing.db import Begin
from tests.support.doors import CONTRACT_LIMITS, DoorProcess, running_doors
from tests.web.support import INITIATE, wish

NO_EMAIL_LIMIT = {**CONTRACT_LIMITS, "PURCHASE_LIMIT_EMAIL": "1000/h"}


@pytest.fixture
def doors(settings: Settings) -> Iterator[list[DoorProcess]]:
    with running_doors(settings, settings.state_dir, 2, **NO_EMAIL_LIMIT) as running:
        yield running


def buy_at(door: DoorProcess, email: str = "ana@example.com", **headers: str) -> httpx2.Response:
    return httpx2.post(f"{door.url}{INITIATE}", json=wish(email), headers=headers, timeout=20)


def count_purchases(begin: Begin) -> int:
    with begin() as session:
        return int(session.execute(text("SELECT count(*) FROM purchase")).scalar_one())


def test_the_eleventh_guest_purchase_is_refused_whichever_door_it_meets(doors: list[DoorProcess], begin: Begin) -> None:
    """Behind a load balancer nobody chooses his process, and nobody gets ten at each."""
    turns = cycle(doors)
    assert [buy_at(next(turns)).status_code for _ in range(10)] == [202] * 10
    assert [buy_at(door).status_code for door in doors] == [429, 429]
    assert count_purchases(begin) == 10


def test_forty_at_once_get_exactly_ten_places(doors: list[DoorProcess], begin: Begin) -> None:
    """Places are taken, not looked at: no two doors give the last one away."""
    with ThreadPoolExecutor(40) as pool:
        answers = list(pool.map(buy_at, doors * 20))
    found = sorted(answer.status_code for answer in answers)
    assert found == [202] * 10 + [429] * 30
    assert count_purchases(begin) == 10


def test_one_key_at_both_doors_at_once_is_one_purchase(doors: list[DoorProcess], begin: Begin) -> None:
    """A page that sends twice, through a balancer that spreads, still buys once, and takes one place."""
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda door: buy_at(door, **{"Idempotency-Key": "order-1"}), doors * 10))
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.json()["task_id"] for answer in answers}) == 1
    assert sum("Idempotent-Replayed" in answer.headers for answer in answers) == 19
    assert count_purchases(begin) == 1
    turns = cycle(doors)
    assert [buy_at(next(turns)).status_code for _ in range(10)] == [202] * 9 + [429]
