"""How much may be bought within a while, and that nobody is counted for what he did not get."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import redis
from httpx2 import Response
from sqlalchemy import text
from starlette.testclient import TestClient

from billing.config import Settings
from billing.db import Begin
from tests.support.doors import CONTRACT_LIMITS
from tests.support.servers import RunningValkey, running_valkey
from tests.web.support import Tokens, buy, wish
from web.app import create_app

GUEST = ("192.0.2.7", 4711)


def limited(settings: Settings, **changes: Any) -> Settings:
    contract = {name.lower(): limit for name, limit in CONTRACT_LIMITS.items()}
    return settings.model_copy(update={**contract, **changes})


def opened(settings: Settings, address: str = GUEST[0]) -> TestClient:
    return TestClient(create_app(settings), raise_server_exceptions=False, client=(address, 4711))


@pytest.fixture
def door(settings: Settings) -> Iterator[TestClient]:
    """With the contract's limits."""
    with opened(limited(settings)) as client:
        yield client


def emails(count: int, of: str = "buyer") -> list[str]:
    return [f"{of}-{number}@example.com" for number in range(count)]


def statuses(client: TestClient, addresses: list[str], **headers: str) -> list[int]:
    return [buy(client, wish(address), **headers).status_code for address in addresses]


def assert_refused(answer: Response, at_most: int = 3600) -> None:
    assert (answer.status_code, answer.json()["error_type"]) == (429, "rate_limit_error")
    assert 0 < int(answer.headers["Retry-After"]) <= at_most


def test_the_eleventh_guest_purchase_of_an_hour_is_refused(door: TestClient) -> None:
    """Cards are tried out by people who buy in crowds."""
    assert statuses(door, emails(10)) == [202] * 10
    refused = buy(door, wish("one-more@example.com"))
    assert_refused(refused)
    assert int(refused.headers["Retry-After"]) > 3500


def test_a_user_may_buy_thirty_whatever_his_address_did(door: TestClient, tokens: Tokens) -> None:
    """Users of one school share an address; each is known by name."""
    assert statuses(door, emails(10)) == [202] * 10
    assert statuses(door, emails(30, "student"), **tokens.of("user-1")) == [202] * 30
    assert_refused(buy(door, wish("another@example.com"), **tokens.of("user-1")))
    assert buy(door, wish("another@example.com"), **tokens.of("user-2")).status_code == 202


def test_five_for_one_email_whoever_buys(door: TestClient, tokens: Tokens) -> None:
    """Nobody is flooded with purchases, from whatever accounts and however his address is written."""
    written = ["ana@example.com", " Ana@Example.com ", "ANA@EXAMPLE.COM"]
    assert statuses(door, written) == [202] * 3
    assert buy(door, wish(written[0]), **tokens.of("user-1")).status_code == 202
    assert buy(door, wish(written[1]), **tokens.of("user-2")).status_code == 202
    assert_refused(buy(door, wish(written[2]), **tokens.of("user-3")))
    assert_refused(buy(door, wish(written[0])))
    assert buy(door, wish("eva@example.com")).status_code == 202


def test_what_was_refused_is_not_counted(door: TestClient, begin: Begin) -> None:
    """A typing error costs nobody his place."""
    for _ in range(12):
        assert buy(door, wish(plan_id=999)).status_code == 400
        assert buy(door, wish(expected_price_eur="1.00")).status_code == 409
        assert buy(door, wish(plan_id=5, expected_price_eur="1.00")).status_code == 409
        assert buy(door, {}).status_code == 400
        assert buy(door, Authorization="Bearer rubbish").status_code == 401
    assert statuses(door, emails(10)) == [202] * 10
    for _ in range(3):
        assert_refused(buy(door, wish("one-more@example.com")))


def test_repeats_of_a_key_are_not_counted_and_answered_beyond_the_limit(door: TestClient) -> None:
    """Whoever presses the button again must hear of his purchase, however much was bought since."""
    first = buy(door, key="order-1")
    for _ in range(12):
        assert buy(door, key="order-1").json()["task_id"] == first.json()["task_id"]
    assert statuses(door, emails(9)) == [202] * 9
    assert_refused(buy(door, wish("one-more@example.com")))
    again = buy(door, key="order-1")
    assert (again.status_code, again.headers["Idempotent-Replayed"]) == (202, "true")
    assert again.json()["task_id"] == first.json()["task_id"]
    assert buy(door, wish(plan_id=3), key="order-1").status_code == 422
    assert_refused(buy(door, wish("one-more@example.com"), key="order-2"))


def test_twenty_at_once_with_one_key_take_one_place(door: TestClient) -> None:
    """The places of a double click are one place: its twin is not refused, and neither is the next purchase."""
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda _: buy(door, key="order-1"), range(20)))
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.json()["task_id"] for answer in answers}) == 1
    assert statuses(door, ["ana@example.com"] * 5) == [202] * 4 + [429]


def test_the_window_rolls(settings: Settings) -> None:
    """The place that was taken first is free again first, after its time and not at the full hour."""
    with opened(limited(settings, purchase_limit_address="2/s")) as client:
        assert statuses(client, emails(1)) == [202]
        time.sleep(0.6)
        assert statuses(client, emails(1)) == [202]
        assert_refused(buy(client), at_most=1)
        time.sleep(0.5)
        assert statuses(client, emails(2)) == [202, 429]
        time.sleep(0.6)
        assert statuses(client, emails(2)) == [202, 429]


@pytest.mark.parametrize(
    ("first", "second", "together"),
    [
        ("192.0.2.7", "192.0.2.8", False),
        ("192.0.2.7", "::ffff:192.0.2.7", True),
        ("2001:db8:0:1::1", "2001:db8:0:1:ffff::9", True),
        ("2001:db8:0:1::1", "2001:db8:0:2::1", False),
    ],
)
def test_an_address_is_a_host_or_a_network_of_64_bits(
    settings: Settings, first: str, second: str, together: bool
) -> None:
    """One line of an IPv6 provider has 2^64 addresses; counting each would count nobody."""
    few = limited(settings, purchase_limit_address="1/h")
    with opened(few, first) as one, opened(few, second) as other:
        assert statuses(one, emails(1)) == [202]
        assert statuses(other, emails(1)) == [429 if together else 202]


def test_a_forwarded_address_counts_only_from_a_listed_proxy(settings: Settings) -> None:
    """Otherwise a header would buy another ten."""
    with opened(limited(settings)) as client:
        forged = [
            buy(client, wish(email), **{"X-Forwarded-For": f"198.51.100.{n}"}) for n, email in enumerate(emails(11))
        ]
        assert [answer.status_code for answer in forged] == [202] * 10 + [429]


def test_behind_a_listed_proxy_the_nearest_foreign_hop_counts(settings: Settings) -> None:
    """What stands left of it, the buyer may have written himself."""
    proxied = Settings.model_validate({**limited(settings).model_dump(), "trusted_proxies": "192.0.2.0/24"})
    with opened(proxied) as client:
        hops = [f"203.0.113.{number}, 198.51.100.1, 192.0.2.9" for number in range(11)]
        answers = [
            buy(client, wish(email), **{"X-Forwarded-For": hop}) for hop, email in zip(hops, emails(11), strict=True)
        ]
        assert [answer.status_code for answer in answers] == [202] * 10 + [429]
        assert buy(client, wish("eva@example.com"), **{"X-Forwarded-For": "198.51.100.2"}).status_code == 202


def test_counts_outlive_a_restart_of_the_door(settings: Settings) -> None:
    """A deployment in the busy hour does not hand out fresh places."""
    with opened(limited(settings)) as client:
        assert statuses(client, emails(7)) == [202] * 7
    with opened(limited(settings)) as client:
        assert statuses(client, emails(4)) == [202] * 3 + [429]


def test_what_is_counted_leaves_valkey_after_its_window(settings: Settings, valkey_url: str) -> None:
    """And names nobody while it is there."""
    with opened(limited(settings, purchase_limit_address="2/s", purchase_limit_email="2/s")) as client:
        buy(client)
        buy(client)
        buy(client)
        with redis.Redis.from_url(valkey_url) as valkey:
            names = [name.decode() for name in valkey.scan_iter("{limits}*")]
            assert len(names) == 4
            assert not any("ana" in name or "192.0.2" in name for name in names)
            time.sleep(1.2)
            assert list(valkey.scan_iter("{limits}*")) == []


@pytest.fixture
def own_valkey() -> Iterator[RunningValkey]:
    with running_valkey() as server:
        yield server


@pytest.mark.parametrize("trouble", ["stop", "freeze"])
def test_without_valkey_the_door_counts_by_itself_and_at_once(
    settings: Settings, own_valkey: RunningValkey, trouble: str
) -> None:
    """A buyer neither waits for a counter nor is sent away for one; and the limit still holds."""
    with opened(limited(settings, redis_url=own_valkey.url())) as client:
        assert statuses(client, emails(4)) == [202] * 4
        getattr(own_valkey, trouble)()
        seconds = []
        for email in emails(6, "later"):
            began = time.monotonic()
            assert buy(client, wish(email)).status_code == 202
            seconds.append(time.monotonic() - began)
        assert seconds[0] < 0.25
        assert max(seconds[1:]) < 0.1
        assert_refused(buy(client, wish("one-more@example.com")))


@pytest.mark.parametrize("trouble", ["stop", "freeze"])
def test_what_was_counted_meanwhile_is_told_to_valkey(
    settings: Settings, own_valkey: RunningValkey, trouble: str
) -> None:
    """Another door learns of it when Valkey is back, and nothing that was refused meanwhile is among it."""
    mine = limited(settings, redis_url=own_valkey.url())
    with opened(mine) as client:
        getattr(own_valkey, trouble)()
        assert statuses(client, emails(7)) == [202] * 7
        assert buy(client, wish(plan_id=999)).status_code == 400
        own_valkey.thaw() if trouble == "freeze" else own_valkey.start()
        wait_until_counted(own_valkey, 7)
        assert statuses(client, emails(1, "later")) == [202]
    with opened(mine) as client:
        assert statuses(client, emails(3, "last")) == [202, 202, 429]


def wait_until_counted(valkey: RunningValkey, places: int) -> None:
    deadline = time.monotonic() + 10
    with redis.Redis.from_url(valkey.url()) as asking:
        while True:
            names = [name for name in asking.scan_iter("{limits}:address:*") if not name.endswith(b":by")]
            if sum(int(asking.zcard(name)) for name in names) == places:
                return
            assert time.monotonic() < deadline
            time.sleep(0.05)


def test_a_valkey_that_forgets_everything_gives_this_door_no_fresh_places(
    settings: Settings, own_valkey: RunningValkey
) -> None:
    """A flushed broker costs time, never a promise."""
    with (
        opened(limited(settings, redis_url=own_valkey.url())) as client,
        redis.Redis.from_url(own_valkey.url()) as valkey,
    ):
        assert statuses(client, emails(6)) == [202] * 6
        valkey.flushall()
        valkey.script_flush()
        assert statuses(client, emails(5, "later")) == [202] * 4 + [429]


def test_what_the_database_did_not_confirm_takes_no_place(door: TestClient, begin: Begin) -> None:
    """Such an answer means: nothing was bought, try again."""
    with begin() as session, ThreadPoolExecutor(8) as pool:
        session.execute(text("LOCK TABLE purchase IN ACCESS EXCLUSIVE MODE"))
        answers = list(pool.map(lambda _: buy(door), range(5)))
    assert {answer.status_code for answer in answers} <= {409, 503}
    assert statuses(door, ["ana@example.com"] * 6) == [202] * 5 + [429]
