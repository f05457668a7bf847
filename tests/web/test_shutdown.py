"""A door that is asked to stop does so at once, however many wait in it."""

import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import httpx2
import pytest

from billing.config import Settings
from billing.states import PurchaseState
from tests.support.doors import DoorProcess, running_door
from tests.web.following import Worker, path_of, stream_of

END_SECONDS = 2.0
CANARY = "canary"


@pytest.fixture
def door(settings: Settings, tmp_path: Path) -> Iterator[DoorProcess]:
    with running_door(settings, tmp_path) as door:
        yield door


def end(door: DoorProcess, number: int = signal.SIGTERM) -> float:
    """How long it takes to stop."""
    began = time.monotonic()
    os.kill(door.process.pid, number)
    door.process.wait()
    return time.monotonic() - began


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_open_streams_and_long_polls_end_with_the_process(door: DoorProcess, worker: Worker, number: int) -> None:
    """The server waits for open connections, and they would wait for ten minutes."""
    purchase = worker.buy()
    headers = {**worker.key(purchase), "Prefer": "wait=30"}
    url = f"{door.url}{path_of(purchase)}"
    with ExitStack() as stack, ThreadPoolExecutor(8) as pool:
        streams = [stack.enter_context(stream_of(door.port, purchase, worker.key(purchase))) for _ in range(50)]
        assert [next(events).id for events in streams] == ["0"] * 50
        client = stack.enter_context(httpx2.Client(timeout=40))
        polls = [pool.submit(client.get, url, headers=headers) for _ in range(8)]
        time.sleep(1.5)  # until the door has them: what still knocks when it closes is nobody's promise
        assert end(door, number) < END_SECONDS
        assert [list(events) for events in streams] == [[]] * 50  # complete, not cut off
        assert {poll.result().status_code for poll in polls} == {200}
    assert not [line for line in door.process.log.splitlines() if '"level": "info"' not in line]


def test_no_token_of_a_follower_is_logged(door: DoorProcess, worker: Worker) -> None:
    """An EventSource can only put its token into the query string; logs are read by many."""
    purchase = worker.buy(PurchaseState.CANCELLED)
    token = worker.key(purchase)["X-Access-Token"]
    events, cancel = (f"{door.url}{path_of(purchase, more)}" for more in ("events/", "cancel/"))
    answers = [
        httpx2.get(events, params={"access_token": token}),
        httpx2.get(events, params={"access_token": CANARY}),
        httpx2.post(cancel, params={"access_token": CANARY}),
    ]
    assert [answer.status_code for answer in answers] == [200, 404, 404]
    end(door)
    assert "/events/" in door.process.log
    assert not [word for word in (token, CANARY, "access_token") if word in door.process.log]
