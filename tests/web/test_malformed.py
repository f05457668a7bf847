"""Whatever arrives, the answer is one of the contract's, and the process goes on as if nothing had been.

`MALFORMED_REQUESTS=10000` sends more than the suite does by itself.
"""

import asyncio
import json
import os
import re
from collections import Counter
from collections.abc import Iterator
from http import HTTPStatus

import httpx2
import pytest
from starlette.testclient import TestClient

from tests.support.database import TEMPLATE
from tests.support.doors import DoorProcess, running_door
from tests.support.environment import make_settings
from tests.support.servers import RunningPostgres, RunningValkey
from tests.web.rubbish import bodies, chunked, in_chunks, raw_requests, request
from tests.web.support import API, INITIATE, wish

COUNT = int(os.environ.get("MALFORMED_REQUESTS", "2000"))
AT_ONCE = 40
QUIET_SECONDS = 0.25
MEGABYTE = 1024 * 1024

HEAD = re.compile(rb"HTTP/1\.1 ([0-9]{3}) [^\r\n]*\r\n(.*?)\r\n\r\n", re.DOTALL)
LENGTH = re.compile(rb"content-length: ([0-9]+)", re.IGNORECASE)
DOCUMENTED = {100, 200, 202, 304, 307, 400, 401, 404, 405, 408, 409, 413, 415, 422, 431}

Answers = list[tuple[int, bytes]]


@pytest.fixture(scope="module")
def door(
    postgres: RunningPostgres, valkey: RunningValkey, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[DoorProcess]:
    postgres.create_database("web_malformed", template=TEMPLATE)
    settings = make_settings(postgres.url("web_malformed"), valkey.url(3))
    with running_door(settings, tmp_path_factory.mktemp("malformed")) as running:
        yield running


def parsed(told: bytes) -> Answers:
    """The status and body of each answer, as far as they are complete."""
    answers, at = Answers(), 0
    while head := HEAD.match(told, at):
        length = LENGTH.search(head[2])
        at = head.end() + (int(length[1]) if length else 0)
        if at > len(told):
            break
        answers.append((int(head[1]), told[head.end() : at]))
    return answers


async def ask(port: int, data: bytes) -> Answers:
    """All answers that come until the connection ends or nothing more does."""
    told = b""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(data)
        while some := await asyncio.wait_for(reader.read(65536), QUIET_SECONDS):
            told += some
    except (TimeoutError, ConnectionError):
        pass
    finally:
        writer.close()
    return parsed(told)


async def ask_all(port: int, seed: int, count: int) -> list[tuple[bytes, Answers]]:
    requests, found = raw_requests(seed, count), list[tuple[bytes, Answers]]()

    async def ask_on() -> None:
        for data in requests:
            found.append((data, await ask(port, data)))

    await asyncio.gather(*(ask_on() for _ in range(AT_ONCE)))
    return found


def test_nothing_that_arrives_is_a_server_error(door: DoorProcess) -> None:
    """A request that makes a server stumble is soon sent by somebody on purpose."""
    asyncio.run(ask_all(door.port, seed=1, count=400))
    before = door.memory_bytes
    found = asyncio.run(ask_all(door.port, seed=2, count=COUNT))
    assert len(found) == COUNT
    statuses = Counter(status for _, answers in found for status, _ in answers)
    wrong = [(data[:300], answers) for data, answers in found if {status for status, _ in answers} - DOCUMENTED]
    assert wrong == [], statuses
    assert {200, 202, 400, 401, 404, 405, 431} <= set(statuses), statuses
    shapeless = [
        (data[:300], body) for data, answers in found for status, body in answers if not is_shaped(status, body)
    ]
    assert shapeless == []
    assert door.process.is_running
    stumbles = ("unexpected_error", "Traceback", "Exception", '"status": 5')
    assert [line for line in door.process.log.splitlines() if any(word in line for word in stumbles)] == []
    assert door.memory_bytes - before < 25 * MEGABYTE
    assert httpx2.post(f"{door.url}{INITIATE}", json=wish()).status_code == 202


def is_shaped(status: int, body: bytes) -> bool:
    """HEAD has no body, and is not among the mutations' methods often enough to tell it apart."""
    if status < 400 or not body:
        return True
    told = json.loads(body)
    return told["success"] is False and {"error_type", "message", "request_id"} <= set(told)


def test_a_thousand_mutated_purchases_get_documented_answers_only(shared_client: TestClient) -> None:
    """Between accepted and refused there is nothing."""
    headers = {"Content-Type": "application/json"}
    found = Counter[int]()
    for body in bodies(seed=3, count=max(1000, COUNT // 2)):
        answer = shared_client.post(INITIATE, content=body, headers=headers)
        assert answer.status_code in (202, 400, 409, 413), body[:500]
        assert is_shaped(answer.status_code, answer.content)
        found[answer.status_code] += 1
    assert set(found) == {202, 400, 409, 413}


@pytest.mark.parametrize(
    ("data", "status", "error_type"),
    [
        (b"GET / HTTP/9.9\r\n\r\n", 400, "bad_request"),
        (request(b"POST", INITIATE.encode(), b"X: " + b"y" * 40_000), 431, "headers_too_large"),
        (b"GET /healthz HTTP/1.1\r\nX: " + b"y" * 40_000, 431, "headers_too_large"),
        (b"GET /" + b"y" * 40_000, 431, "headers_too_large"),
        (request(b"POST", INITIATE.encode(), *(b"X-%d: y" % n for n in range(5000))), 431, "headers_too_large"),
    ],
)
def test_what_the_server_refuses_by_itself_has_the_one_shape(
    door: DoorProcess, data: bytes, status: int, error_type: str
) -> None:
    """A client reads every refusal in one way, also those that no route has seen."""
    ((found, body),) = asyncio.run(ask(door.port, data))
    assert (found, json.loads(body)["error_type"]) == (status, error_type)


def test_refusals_of_the_server_carry_the_security_headers(door: DoorProcess) -> None:
    answer = httpx2.get(f"{door.url}/healthz", headers={"X-Long": "y" * 40_000})
    assert answer.status_code == HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["Connection"] == "close"
    assert answer.headers["X-Request-Id"] == answer.json()["request_id"]
    assert "Server" not in answer.headers


def test_a_crowd_in_one_pipe_is_refused(door: DoorProcess) -> None:
    """A quarter of a megabyte would be ten thousand requests at once otherwise."""
    answers = asyncio.run(ask(door.port, b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n" * 5000))
    assert len(answers) < 100
    few = asyncio.run(ask(door.port, b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n" * 10))
    assert [status for status, _ in few] == [200] * 10


def test_fields_after_the_body_say_nothing(door: DoorProcess) -> None:
    """A proxy judged the head; what comes later must not change who is asking."""
    body = json.dumps(wish()).encode()
    trailer = b"Authorization: Bearer x\r\nContent-Type: text/plain\r\n"
    ((status, _),) = asyncio.run(ask(door.port, chunked(in_chunks(body, trailer=trailer))))
    assert status == 202


@pytest.mark.parametrize("upgrade", ["h2c", "websocket"])
def test_an_upgrade_that_is_offered_is_declined_by_answering(door: DoorProcess, upgrade: str) -> None:
    """Common HTTP clients offer HTTP/2 with their first request and go on without."""
    offer = {"Connection": "Upgrade, HTTP2-Settings", "Upgrade": upgrade, "HTTP2-Settings": "AAMAAABkAAQAAP__"}
    with httpx2.Client(base_url=door.url) as client:
        assert [client.get("/healthz", headers=offer).status_code for _ in range(3)] == [200] * 3
    assert "Unsupported upgrade" not in door.process.log


def test_a_body_that_is_too_large_is_told_so_while_it_is_sent(door: DoorProcess) -> None:
    """413 must reach a client that is still sending."""
    for size in (70_000, 1_000_000, 8_000_000):
        answer = httpx2.post(f"{door.url}{INITIATE}", json={"x": "y" * size}, timeout=10)
        assert (answer.status_code, answer.json()["error_type"]) == (413, "payload_too_large")
    assert httpx2.get(f"{door.url}{API}pricing-plans/").status_code == 200
