"""News of a subscription in any order and any doubling ends in Stripe's state: all orders of every story are told."""

import json
from collections import Counter
from datetime import datetime
from typing import Any

import pytest

from billing.db import Begin
from billing.deployment import Deployment
from billing.secrets import Vault
from tests.support.subscribers import STUDENT, Subscribers
from tests.support.subscription_scripts import SCRIPTS, tell

ORDERS = {
    "subscribe": 360,
    "renew": 60,
    "a renewal fails and recovers": 60,
    "begin and cancel at once": 60,
    "cancel at the end of the period": 60,
    "upgrade and renew": 60,
}
ENDS: dict[str, tuple[str, list[int]]] = {
    "subscribe": ("active", [900]),
    "renew": ("active", [120, 900]),
    "a renewal fails and recovers": ("active", [120, 900]),
    "begin and cancel at once": ("canceled", [900]),
    "cancel at the end of the period": ("canceled", [900]),
    "upgrade and renew": ("active", [900, 3000]),
}
"""The status, and what is left of each lot: of what the first period left two hours live on, unless it is changed to a
plan that has no such promise."""


AT_ONCE = 60
"""Orders that one test tells, beside the first of them all, which every test tells."""
PARTS = [(story, part) for story, count in ORDERS.items() for part in range(count // AT_ONCE)]


@pytest.mark.parametrize(("story", "part"), PARTS)
def test_every_order_ends_in_the_same_state(
    begin: Begin, deployment: Deployment, vault: Vault, now: datetime, story: str, part: int
) -> None:
    """Stripe promises no order and no single delivery; what a student has must not depend on either."""
    subscribers = Subscribers(begin, deployment, vault, now)
    subscribers.allow_rollover(STUDENT, 120)
    first, *_ = orders = SCRIPTS[story].orders()
    ends = tell(subscribers, SCRIPTS[story], [first, *orders[part :: len(orders) // AT_ONCE]])
    counted = Counter(json.dumps(end, sort_keys=True) for end in ends.values())
    assert list(counted.values()) == [AT_ONCE + 1], "\n".join(counted)
    assert summary(next(iter(ends.values()))) == ENDS[story]
    assert [mark for mark in subscribers.marks() if mark[4]] == []
    subscribers.prove()


def test_all_orders_are_told() -> None:
    """Every permutation of the news of each story, one piece of them doubled."""
    assert {story: len(script.orders()) for story, script in SCRIPTS.items()} == ORDERS


def summary(end: Any) -> tuple[str, list[int]]:
    return end["subscription"][0][0], [lot["minutes_left"] for lot in end["lots"]]
