"""Clients that never finish what they began are cut; others beside them notice nothing."""

import asyncio
import json
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest

from tests.support.database import TEMPLATE
from tests.support.doors import DoorProcess, running_door
from tests.support.environment import make_settings
from tests.support.servers import RunningPostgres, RunningValkey
from tests.web.support import API, INITIATE, WEBHOOK, wish

HALF_OPEN = 200
GIVE_UP_SECONDS = 30

HEAD = b"POST %b HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
INITIATE_HEAD, WEBHOOK_HEAD, NOWHERE_HEAD = (HEAD % path.encode() for path in (INITIATE, WEBHOOK, "/nowhere"))
BEGUN = b"Content-Length: 4000\r\n\r\n{"
CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n1000\r\n{"

HOSTILE: Mapping[str, tuple[bytes, bytes]] = {
    "silent": (b"", b""),
    "half a head": (INITIATE_HEAD, b""),
    "a head that trickles": (INITIATE_HEAD + b"X-Slow: ", b"x"),
    "half a body": (INITIATE_HEAD + BEGUN, b""),
    "a body that trickles": (INITIATE_HEAD + BEGUN, b"x"),
    "a chunk that trickles": (INITIATE_HEAD + CHUNKED, b"x"),
    "an event that trickles": (WEBHOOK_HEAD + BEGUN, b"x"),
    "a body that nobody reads": (NOWHERE_HEAD + BEGUN, b"x"),
}


@pytest.fixture(scope="module")
def door(
    postgres: RunningPostgres, valkey: RunningValkey, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[DoorProcess]:
    postgres.create_database("web_slow", template=TEMPLATE)
    settings = make_settings(postgres.url("web_slow"), valkey.url(2))
    with running_door(settings, tmp_path_factory.mktemp("slow")) as running:
        yield running


@dataclass
class Cut:
    """What became of a connection: after how many seconds it ended, and what was told before."""

    kind: str
    seconds: float
    told: bytes


@asynccontextmanager
async def connected(port: int) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield reader, writer
    finally:
        writer.close()


async def trickle(writer: asyncio.StreamWriter, drop: bytes) -> None:
    while drop:
        await asyncio.sleep(0.5)
        writer.write(drop)


async def hold_open(port: int, kind: str) -> Cut:
    first, drop = HOSTILE[kind]
    async with connected(port) as (reader, writer):
        began = time.monotonic()
        writer.write(first)
        trickling = asyncio.create_task(trickle(writer, drop))
        told = await read_until_cut(reader)
        trickling.cancel()
        return Cut(kind, time.monotonic() - began, told)


async def read_until_cut(reader: asyncio.StreamReader) -> bytes:
    told = b""
    try:
        async with asyncio.timeout(GIVE_UP_SECONDS):
            while some := await reader.read(65536):
                told += some
    except ConnectionError:
        pass
    return told


async def never_read(port: int) -> Cut:
    """Asks on and on, and takes no answer."""
    await asyncio.sleep(1)  # while the crowd arrives, questions would be taken for a flood
    loop, began = asyncio.get_running_loop(), time.monotonic()
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect(("127.0.0.1", port))
        client.setblocking(False)
        try:
            async with asyncio.timeout(GIVE_UP_SECONDS):
                while True:
                    await loop.sock_sendall(client, f"GET {API}pricing-plans/ HTTP/1.1\r\nHost: x\r\n\r\n".encode())
                    await asyncio.sleep(0.004)
        except ConnectionError:
            return Cut("answers unread", time.monotonic() - began, b"")


async def stay_idle(port: int) -> Cut:
    async with connected(port) as (reader, writer):
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        began = time.monotonic()
        told = await read_until_cut(reader)
        return Cut("idle", time.monotonic() - began, told)


async def ask_ordinarily(url: str, until: Callable[[], bool]) -> list[float]:
    """Seconds of each purchase and each look at the plans, on new connections as well as on kept ones."""
    seconds = []
    async with httpx2.AsyncClient(base_url=url, timeout=GIVE_UP_SECONDS) as kept:
        while not until():
            async with httpx2.AsyncClient(base_url=url, timeout=GIVE_UP_SECONDS) as new:
                for client in (kept, new):
                    began = time.monotonic()
                    assert (await client.post(INITIATE, json=wish())).status_code == 202
                    assert (await client.get(f"{API}pricing-plans/")).status_code == 200
                    seconds.append(time.monotonic() - began)
            await asyncio.sleep(0.2)
    return seconds


@dataclass
class Siege:
    cuts: list[Cut]
    ordinary: list[float]

    def of(self, kind: str) -> list[Cut]:
        return [cut for cut in self.cuts if cut.kind == kind]


async def lay_siege(door: DoorProcess) -> Siege:
    """All at once, because each of them takes its ten seconds."""
    kinds = [kind for kind in HOSTILE for _ in range(HALF_OPEN // len(HOSTILE))]
    hostile: list[Awaitable[Cut]] = [hold_open(door.port, kind) for kind in kinds]
    gathered = asyncio.gather(*hostile, never_read(door.port), stay_idle(door.port))
    ordinary = await ask_ordinarily(door.url, gathered.done)
    return Siege(await gathered, ordinary)


@pytest.fixture(scope="module")
def siege(door: DoorProcess) -> Siege:
    return asyncio.run(lay_siege(door))


def test_two_hundred_half_open_sockets_stop_nobody(siege: Siege) -> None:
    """One person with one laptop could close the shop otherwise."""
    assert len(siege.ordinary) > 20
    assert sorted(siege.ordinary)[len(siege.ordinary) // 2] < 0.25
    assert max(siege.ordinary) < 2


@pytest.mark.parametrize("kind", HOSTILE)
def test_whoever_does_not_finish_is_cut(siege: Siege, kind: str) -> None:
    """Ten seconds are long for a few kilobytes."""
    cuts = siege.of(kind)
    assert len(cuts) == HALF_OPEN // len(HOSTILE)
    assert max(cut.seconds for cut in cuts) < 13
    assert min(cut.seconds for cut in cuts) > (4 if kind == "a body that nobody reads" else 9)


@pytest.mark.parametrize("kind", [kind for kind in HOSTILE if "silent" not in kind and "nobody" not in kind])
def test_who_began_a_request_is_told_why_it_ended(siege: Siege, kind: str) -> None:
    """A client on a bad line can say what went wrong."""
    for cut in siege.of(kind):
        head, _, body = cut.told.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 408 Request Timeout\r\n")
        assert b"connection: close" in head.lower()
        assert json.loads(body)["error_type"] == "request_timeout"


def test_whoever_takes_no_answers_is_cut(siege: Siege) -> None:
    """What he does not fetch would stay in our memory."""
    assert 9 < siege.of("answers unread")[0].seconds < 25


def test_an_idle_connection_is_closed(siege: Siege) -> None:
    (idle,) = siege.of("idle")
    assert 4 < idle.seconds < 8
    assert idle.told.startswith(b"HTTP/1.1 200 OK\r\n")


def test_full_of_idle_connections_the_door_still_answers(
    postgres: RunningPostgres, valkey: RunningValkey, tmp_path: Path
) -> None:
    """When there is no room, those go who have waited longest without asking anything."""
    settings = make_settings(postgres.url("web_slow"), valkey.url(2))
    with running_door(settings, tmp_path, before="ulimit -n 160") as door:
        crowd = [socket.create_connection(("127.0.0.1", door.port)) for _ in range(300)]
        try:
            assert httpx2.get(f"{door.url}/healthz").status_code == 200
            assert httpx2.post(f"{door.url}{INITIATE}", json=wish()).status_code == 202
            assert is_cut(crowd[0])
            assert not is_cut(crowd[-1])
        finally:
            for client in crowd:
                client.close()


def is_cut(client: socket.socket) -> bool:
    client.setblocking(False)
    try:
        return client.recv(1) == b""
    except BlockingIOError:
        return False
    except ConnectionResetError:
        return True
