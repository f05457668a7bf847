"""Waiting for what is asked of hours: woken by the worker, safe without any of its helpers, and never for longer."""

import asyncio
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2
import pytest
import redis
from httpx2 import Response
from starlette.testclient import TestClient
from starlette.types import Message

from billing import db
from billing.config import Settings
from billing.db import Begin
from billing.ids import new_id
from billing.messages import Change
from tests.support.database import connect, fill_template
from tests.support.doors import running_door
from tests.support.servers import RunningValkey, running_postgres, running_valkey
from tests.support.statements import counted
from tests.web.following import soon
from tests.web.lessons import CONSUMPTIONS, Platform, held, lesson, refusal_of
from tests.web.support import Tokens
from tests.web.test_waiting import play
from web.app import create_app

SOON_SECONDS = 0.3
WOKEN_SECONDS = 0.5
"""So much later at most, by the notification; the look each second may take twice as long."""


@pytest.fixture
def platform(client: TestClient, begin: Begin, settings: Settings, tokens: Tokens) -> Platform:
    platform = Platform(client, begin, settings, tokens)
    platform.student("ana", minutes=60_000)
    return platform


def timed(ask: Callable[[], Response]) -> tuple[Response, float]:
    began = time.monotonic()
    return ask(), time.monotonic() - began


def test_a_decision_wakes_who_waits_for_it(platform: Platform) -> None:
    answer, seconds = timed(platform.booked_at_once)
    assert answer.status_code == 201
    assert SOON_SECONDS < seconds < SOON_SECONDS + WOKEN_SECONDS
    answer, seconds = timed(lambda: platform.asked_at_once(answer.json()["id"], "refund", {"reason": "x"}))
    assert answer.status_code == 200
    assert SOON_SECONDS < seconds < SOON_SECONDS + WOKEN_SECONDS


def test_a_lost_notification_costs_a_second(platform: Platform) -> None:
    with soon(lambda: platform.work(tell=False)):
        answer, seconds = timed(lambda: platform.book(Prefer="wait=10"))
    assert (answer.status_code, seconds < SOON_SECONDS + 1.5) == (201, True)


def test_a_notification_about_nothing_ends_no_wait(platform: Platform, valkey_url: str) -> None:
    """Anybody who reaches the channel can send ids; each is one look at a row."""

    def tell() -> None:
        (row,) = platform.rows("SELECT id FROM consumption_act")
        with redis.Redis.from_url(valkey_url) as client:
            client.publish(Change.channel, f"{row[0]} {new_id()} rubbish")

    with soon(tell):
        answer, seconds = timed(lambda: platform.book(Prefer="wait=1"))
    assert (answer.status_code, seconds > 1) == (202, True)


def test_what_takes_longer_is_a_202_that_says_where(platform: Platform) -> None:
    answer, seconds = timed(lambda: platform.book(Prefer="wait=1"))
    assert (answer.status_code, answer.json()["status"]) == (202, "requested")
    assert 1 <= seconds < 1.5
    assert (answer.headers["Preference-Applied"], answer.headers["Retry-After"]) == ("wait=1", "1")
    platform.work()
    assert platform.get(answer.headers["Location"])["status"] == "consumed"


@pytest.mark.parametrize("wait", [None, "wait=soon", "wait=0"])
def test_who_does_not_ask_does_not_wait(platform: Platform, wait: str | None) -> None:
    answer, seconds = timed(lambda: platform.book(**({"Prefer": wait} if wait else {})))
    assert (answer.status_code, seconds < 0.5) == (202, True)
    assert answer.headers.get("Preference-Applied") == ("wait=0" if wait == "wait=0" else None)


def test_what_is_decided_already_is_answered_at_once(platform: Platform) -> None:
    record = platform.booked(held())
    answer, seconds = timed(lambda: platform.book({**held(), "hours": "1.5"}, Prefer="wait=30"))
    assert (answer.status_code, answer.json()["id"], seconds < 0.5) == (201, record["id"], True)


def test_a_crowd_that_waits_shares_its_looks(platform: Platform) -> None:
    """Thirty who wait cost one statement a second, and their answers a handful beside the records themselves."""
    with ThreadPoolExecutor(30) as pool:
        asked = [pool.submit(platform.book, lesson(f"s{number}"), Prefer="wait=20") for number in range(30)]
        while platform.counts[0] < 30:
            time.sleep(0.05)
        time.sleep(0.3)
        with counted() as statements:
            time.sleep(2)
            resting = [one for one in statements if "staff_act" in one]
        with counted() as statements:
            platform.work()
            answers = [answer.result() for answer in asked]
        looks = [one for one in statements if "staff_act" in one]
    assert {answer.status_code for answer in answers} == {201}
    assert 1 <= len(resting) <= 3
    assert len(looks) <= 4


def test_nobody_is_looked_for_who_has_gone(platform: Platform, settings: Settings) -> None:
    """A caller that hangs up is not waited for any longer."""
    body = b'{"student": {"external_id": "ana"}, "session_id": "s1", "minutes": 60}'
    hung_up = asyncio.Event()
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Message:
        if messages:
            return messages.pop()
        await hung_up.wait()
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        raise AssertionError(message)

    async def scene(app: object) -> None:
        given = {**platform.headers, "Content-Type": "application/json", "Prefer": "wait=30"}
        headers = [(name.lower().encode(), value.encode()) for name, value in given.items()]
        scope = {"type": "http", "method": "POST", "path": CONSUMPTIONS, "raw_path": CONSUMPTIONS.encode()}
        more = {"root_path": "", "headers": headers, "query_string": b"", "http_version": "1.1"}
        asking = asyncio.ensure_future(app({**scope, **more}, receive, send))  # type: ignore[operator]
        await asyncio.sleep(0.5)
        hung_up.set()
        await asyncio.wait_for(asking, timeout=1)
        with counted() as statements:
            await asyncio.sleep(1.5)
        assert statements == []

    play(settings, scene)
    assert platform.counts == (1, 1)


def test_a_door_that_stops_answers_who_waits(platform: Platform, settings: Settings, tmp_path: Path) -> None:
    """It is committed: the 202 says where to look."""
    with running_door(settings, tmp_path) as door, ThreadPoolExecutor(1) as pool:
        headers = {**platform.headers, "Prefer": "wait=30"}
        waiting = pool.submit(httpx2.post, f"{door.url}{CONSUMPTIONS}", json=lesson(), headers=headers, timeout=40)
        while platform.counts[0] < 1:
            time.sleep(0.05)
        time.sleep(0.5)
        began = time.monotonic()
        door.process.signal_all(signal.SIGTERM)
        assert waiting.result().status_code == 202
        assert time.monotonic() - began < 2


@pytest.fixture
def own_valkey() -> Iterator[RunningValkey]:
    with running_valkey() as server:
        yield server
        server.thaw()


@pytest.mark.parametrize("trouble", ["freeze", "stop"])
def test_without_a_broker_hours_are_accepted_and_decided(
    settings: Settings, begin: Begin, tokens: Tokens, own_valkey: RunningValkey, trouble: str
) -> None:
    """Hints and wake-ups are conveniences: the row is what matters."""
    moved = settings.model_copy(update={"redis_url": own_valkey.url(), "broker_url": own_valkey.url()})
    with TestClient(create_app(moved), raise_server_exceptions=False) as client:
        platform = Platform(client, begin, moved, tokens)
        platform.student("ana")
        getattr(own_valkey, trouble)()
        answer, seconds = timed(platform.book)
        assert (answer.status_code, seconds < 0.5) == (202, True)
        with soon(lambda: platform.work(tell=False)):
            answer, seconds = timed(lambda: platform.book(lesson("s2"), Prefer="wait=10"))
        assert (answer.status_code, seconds < SOON_SECONDS + 1.5) == (201, True)


@pytest.mark.parametrize("trouble", ["freeze", "stop"])
def test_without_the_database_every_route_says_so_within_its_bound(
    settings: Settings, tokens: Tokens, trouble: str
) -> None:
    """503 means that nothing happened, or that asking again finds what did."""
    with running_postgres() as own:
        fill_template(own.url())
        moved = settings.model_copy(update={"database_url": own.url()})
        with TestClient(create_app(moved), raise_server_exceptions=False) as client:
            client.get("/readyz")
            some, headers = f"{CONSUMPTIONS}{new_id()}/", tokens.of("platform", roles=["service"])
            getattr(own, trouble)()
            asks: list[Callable[[], Response]] = [
                lambda: client.post(CONSUMPTIONS, json=lesson(), headers=headers),
                lambda: client.post(CONSUMPTIONS, json=lesson(), headers={**headers, "Prefer": "wait=5"}),
                lambda: client.post(f"{some}capture/", json={}, headers=headers),
                lambda: client.get(some, headers=headers),
                lambda: client.get(f"{some}acts/{new_id()}/", headers=headers),
            ]
            with ThreadPoolExecutor(len(asks)) as pool:
                answers = list(pool.map(timed, asks))
            own.thaw() if trouble == "freeze" else own.start()
    assert [refusal_of(answer) for answer, _ in answers] == [(503, "unavailable")] * len(asks)
    assert max(seconds for _, seconds in answers) < 2.5


def test_what_is_accepted_is_a_202_whatever_happens_while_it_is_waited_for(settings: Settings, tokens: Tokens) -> None:
    """It is committed: the caller must learn its id, and finds the outcome later."""
    with running_postgres() as own:
        fill_template(own.url())
        moved = settings.model_copy(update={"database_url": own.url()})
        with TestClient(create_app(moved), raise_server_exceptions=False) as client:
            engine = connect(own.url())
            platform = Platform(client, lambda: db.begin(engine), moved, tokens)
            platform.student("ana")
            client.get("/readyz")
            with soon(own.freeze):
                answer, seconds = timed(lambda: platform.book(Prefer="wait=3"))
            own.thaw()
            engine.dispose()
            assert (answer.status_code, answer.json()["status"]) == (202, "requested")
            assert 3 <= seconds < 3.7
