"""Something has run out at the door or behind it: what cannot be kept is not acknowledged, and it goes on by itself."""

import os
import resource
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest
from sqlalchemy import text
from starlette.testclient import TestClient

from billing.config import Settings
from billing.db import Begin
from tests.support.doors import DoorProcess, running_door
from tests.support.stack import eventually
from tests.web.support import INITIATE, buy, deliver, wish
from web.app import create_app

BOUND_SECONDS = 2.5
PATIENCE_SECONDS = 1.0
EVENT = b'{"id": "evt_1", "object": "event", "type": "payment_intent.succeeded"}'


def count(begin: Begin, table: str = "purchase") -> int:
    with begin() as session:
        return int(session.execute(text(f"SELECT count(*) FROM {table}")).scalar_one())  # noqa: S608


def test_fifty_clients_at_two_connections_are_answered_within_the_bound(
    settings: Settings, begin: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who is told to come again comes again, and everybody has bought once."""
    monkeypatch.setattr("web.door.CONNECTIONS", 2)
    with TestClient(create_app(settings), raise_server_exceptions=False) as client:

        def order(number: int) -> tuple[set[int], float]:
            statuses, slowest = set[int](), 0.0
            while 202 not in statuses:
                began = time.monotonic()
                statuses.add(buy(client, wish(f"{number}@example.com"), key=f"order-{number}").status_code)
                slowest = max(slowest, time.monotonic() - began)
                assert client.get("/readyz").status_code in (200, 503)
            return statuses, slowest

        with ThreadPoolExecutor(50) as pool:
            answers = list(pool.map(order, range(50)))
    assert set().union(*(statuses for statuses, _ in answers)) <= {202, 503}
    assert max(slowest for _, slowest in answers) < BOUND_SECONDS
    assert count(begin) == 50


SHORTAGES = {"no room on its disk": "53100", "no memory": "53200", "too many connections": "53300"}
"""Codes under which PostgreSQL reports them (PostgreSQL, "Error Codes", class 53); raised here by a trigger."""


@contextmanager
def short_of(begin: Begin, code: str) -> Iterator[None]:
    tables = ("purchase", "webhook_event")
    body = f"BEGIN RAISE EXCEPTION 'nothing is left' USING ERRCODE = '{code}'; END"
    with begin() as session:
        session.execute(text(f"CREATE FUNCTION run_short() RETURNS trigger LANGUAGE plpgsql AS $${body}$$"))
        for table in tables:
            trigger = f"CREATE TRIGGER run_short BEFORE INSERT ON {table} EXECUTE FUNCTION run_short()"
            session.execute(text(trigger))
    try:
        yield
    finally:
        with begin() as session:
            session.execute(text("DROP FUNCTION run_short CASCADE"))


@pytest.mark.parametrize("shortage", SHORTAGES)
def test_a_database_that_runs_short_is_answered_503_and_nothing_is_acknowledged(
    client: TestClient, begin: Begin, shortage: str
) -> None:
    acts: list[Callable[[], httpx2.Response]] = [lambda: buy(client, key="order-1"), lambda: deliver(client, EVENT)]
    with short_of(begin, SHORTAGES[shortage]):
        for answer in (act() for act in acts):
            assert (answer.status_code, answer.json()["error_type"]) == (503, "unavailable")
    assert (count(begin), count(begin, "webhook_event")) == (0, 0)
    assert [act().status_code for act in acts] == [202, 200]


def send(door: DoorProcess, key: str) -> httpx2.Response | None:
    """None where no answer came in time."""
    try:
        headers = {"Idempotency-Key": key}
        return httpx2.post(f"{door.url}{INITIATE}", json=wish(), headers=headers, timeout=PATIENCE_SECONDS)
    except httpx2.TransportError:
        return None


def is_accepted(answer: httpx2.Response | None) -> bool:
    return answer is not None and answer.status_code == 202


def test_a_door_without_file_handles_comes_back_when_there_are_some(settings: Settings, begin: Begin) -> None:
    """A connection that cannot be opened is no answer: whoever got none comes again, and buys once."""
    with running_door(settings, settings.state_dir) as door:
        assert is_accepted(send(door, "order-0"))
        pid, kind = door.process.pid, resource.RLIMIT_NOFILE
        before = resource.prlimit(pid, kind)
        resource.prlimit(pid, kind, (1, before[1]))
        answers = [send(door, f"order-{number}") for number in range(1, 4)]
        resource.prlimit(pid, kind, before)
        assert not [answer for answer in answers if answer is not None and answer.status_code < 500]
        eventually(lambda: all(is_accepted(send(door, f"order-{number}")) for number in range(1, 4)), 10)
    assert count(begin) == 4


def test_a_full_disk_under_the_log_stops_nobody(settings: Settings, begin: Begin) -> None:
    """Lines are lost, purchases are not."""
    with running_door(settings, settings.state_dir, before="exec 2>/dev/full") as door:
        assert all(is_accepted(send(door, f"order-{number}")) for number in range(3))
    assert count(begin) == 3


def test_a_log_that_nobody_reads_acknowledges_nothing_that_is_not_kept(
    settings: Settings, begin: Begin, tmp_path: Path
) -> None:
    """The pipe to the collector is full and the door stands still; once it is read again, so it goes on."""
    path = tmp_path / "log"
    os.mkfifo(path)
    pipe = os.open(path, os.O_RDWR | os.O_NONBLOCK)
    try:
        with running_door(settings, settings.state_dir, before=f"exec 2>{path}") as door:
            fill(pipe)
            answers = {key: send(door, key) for key in ("order-1", "order-2", "order-3")}
            assert None in answers.values()
            eventually(lambda: drained(pipe) and all(is_accepted(send(door, key)) for key in answers), 10)
    finally:
        os.close(pipe)
    assert count(begin) == 3


def fill(pipe: int) -> None:
    for size in (4096, 1):
        try:
            while True:
                os.write(pipe, b"\n" * size)
        except BlockingIOError:
            continue


def drained(pipe: int) -> bool:
    try:
        while os.read(pipe, 65_536):
            continue
    except BlockingIOError:
        return True
    return True
