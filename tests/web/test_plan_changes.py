"""A price that was changed is the price that every door shows."""

import time
from collections.abc import Iterator

import httpx2
import pytest
from sqlalchemy import text

from billing.config import Settings
from billing.db import Begin
from tests.support.doors import DoorProcess, running_doors
from tests.web.support import API

PLANS = f"{API}pricing-plans/"
WITHIN_SECONDS = 2.0

NEW_PRICE = text("""
    INSERT INTO pricing_plan_version (plan_id, version, name, description, plan_type, minutes, price_cents, currency,
        validity_days, effective_from)
    SELECT plan_id, max(version) + 1, max(name), max(description), max(plan_type), max(minutes), :cents, 'eur',
        max(validity_days), clock_timestamp()
    FROM pricing_plan_version WHERE plan_id = 1 GROUP BY plan_id
""")


@pytest.fixture
def doors(settings: Settings, begin: Begin) -> Iterator[list[DoorProcess]]:
    with running_doors(settings, settings.state_dir, 2) as running:
        yield running
    with begin() as session:
        session.execute(text("DELETE FROM pricing_plan_version WHERE plan_id = 1 AND version > 1"))


def price(door: DoorProcess) -> str:
    answer = httpx2.get(f"{door.url}{PLANS}", timeout=5)
    assert answer.status_code == 200
    return str(answer.json()[0]["price_eur"])


def test_a_new_price_shows_at_every_door_within_two_seconds(doors: list[DoorProcess], begin: Begin) -> None:
    """Nobody is to see the old price at one door and the new one at another for longer than that."""
    for cents, shown in ((8_000, "80.00"), (8_100, "81.00"), (8_200, "82.00")):
        assert all(price(door) != shown for door in doors)
        with begin() as session:
            session.execute(NEW_PRICE, {"cents": cents})
        changed = time.monotonic()
        waiting = list(doors)
        while waiting:
            waiting = [door for door in waiting if price(door) != shown]
            assert time.monotonic() - changed < WITHIN_SECONDS
            time.sleep(0.02)
        assert {price(door) for door in doors} == {shown}


def test_what_a_browser_keeps_is_asked_for_again_at_either_door(doors: list[DoorProcess]) -> None:
    """The tag is of what is shown, not of the process that shows it."""
    first, second = (httpx2.get(f"{door.url}{PLANS}") for door in doors)
    assert first.headers["ETag"] == second.headers["ETag"]
    for door in doors:
        known = {"If-None-Match": first.headers["ETag"]}
        for method in ("GET", "HEAD"):
            again = httpx2.request(method, f"{door.url}{PLANS}", headers=known)
            assert (again.status_code, again.content, again.headers["ETag"]) == (304, b"", first.headers["ETag"])
            assert "content-length" not in again.headers or again.headers["content-length"] == "0"
        head = httpx2.head(f"{door.url}{PLANS}")
        assert (head.status_code, head.headers["content-length"]) == (200, str(len(first.content)))
