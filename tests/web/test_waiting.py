"""Many who wait, a channel that fails, a database that is away: what waiting costs, and what it survives."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import pytest
import redis
from httpx2 import Response
from sqlalchemy import text
from starlette.testclient import TestClient
from starlette.types import ASGIApp, Message

from billing.config import Settings
from billing.db import Begin
from billing.messages import PurchaseChanged
from billing.secrets import Vault
from tests.support.backlog import PURCHASES
from tests.support.database import fill_template
from tests.support.factories import STANDARD_CENTS, STANDARD_MINUTES, add_student
from tests.support.servers import RunningValkey, running_postgres, running_valkey
from tests.support.statements import counted
from tests.web.following import Worker, path_of, soon
from tests.web.support import INITIATE, Tokens, wish
from web.app import create_app

CROWD = 1_000
QUEUE = text("""
    UPDATE purchase SET state = 'queued', payment_intent_id = NULL, due_at = now(), hint_at = now() RETURNING id
""")
MOVE = text("""
    WITH moved AS (
        UPDATE purchase SET state = 'pending', payment_intent_id = 'pi_' || id, due_at = NULL, hint_at = NULL
        WHERE id = ANY(CAST(:ids AS uuid[])) RETURNING id
    )
    INSERT INTO purchase_transition (purchase_id, step, state, cause, at)
    SELECT id, 'intent_created', 'pending', 'test', now() FROM moved
""")


@pytest.fixture
def ids(begin: Begin, worker: Worker) -> list[UUID]:
    """A thousand purchases that wait for their intents."""
    facts = {"ids": [add_student(begin, at=worker.now)], "students": 1, "events": CROWD}
    with begin() as session:
        session.execute(PURCHASES, {**facts, "name": "waiting", "cents": STANDARD_CENTS, "minutes": STANDARD_MINUTES})
        return list(session.execute(QUEUE).scalars())


@asynccontextmanager
async def alive(app: ASGIApp) -> AsyncIterator[None]:
    """The application's life in the loop of the test."""
    inbox: asyncio.Queue[Message] = asyncio.Queue()
    outbox: asyncio.Queue[Message] = asyncio.Queue()
    scope = {"type": "lifespan", "asgi": {"version": "3.0"}}
    life = asyncio.ensure_future(app(scope, inbox.get, outbox.put))
    await inbox.put({"type": "lifespan.startup"})
    assert (await outbox.get())["type"] == "lifespan.startup.complete"
    yield
    await inbox.put({"type": "lifespan.shutdown"})
    assert (await outbox.get())["type"] == "lifespan.shutdown.complete"
    await life


async def get(app: ASGIApp, path: str, headers: dict[str, str]) -> int:
    """Ask without a socket, and give the status."""
    statuses: list[int] = []

    async def receive() -> Message:
        await asyncio.sleep(60)
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    raw = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    scope = {"type": "http", "method": "GET", "path": path, "raw_path": path.encode(), "root_path": "", "headers": raw}
    await app({**scope, "query_string": b"", "client": ("127.0.0.1", 1), "http_version": "1.1"}, receive, send)
    return statuses[0]


Scene = Callable[[ASGIApp], Coroutine[Any, Any, None]]


def play(settings: Settings, scene: Scene) -> None:
    async def run() -> None:
        app = create_app(settings)
        async with alive(app):
            await scene(app)

    asyncio.run(run())


def crowd(app: ASGIApp, ids: Sequence[UUID], vault: Vault) -> list[asyncio.Task[int]]:
    """A thousand callers who wait for their secrets."""
    return [
        asyncio.create_task(
            get(
                app,
                f"/api/finances/api/purchase/{purchase_id}/",
                {"X-Access-Token": vault.access_token(purchase_id), "Prefer": "wait=30"},
            )
        )
        for purchase_id in ids
    ]


async def quiet(statements: list[str]) -> None:
    """Until everybody has read and waits."""
    while True:
        before = len(statements)
        await asyncio.sleep(0.5)
        if len(statements) - before <= 1:
            return


def move_and_tell(begin: Begin, valkey_url: str, ids: Sequence[UUID]) -> None:
    with begin() as session:
        session.execute(MOVE, {"ids": list(ids)})
    with redis.Redis.from_url(valkey_url) as client:
        changes = [PurchaseChanged(purchase_id=purchase_id) for purchase_id in ids]
        client.publish(PurchaseChanged.channel, PurchaseChanged.together(changes))


def test_a_thousand_who_wait_cost_one_statement_a_second(
    settings: Settings, ids: list[UUID], vault: Vault, begin: Begin
) -> None:
    """And their answers, when all purchases change at once, a handful."""

    async def scene(app: ASGIApp) -> None:
        with counted() as statements:
            waiting = crowd(app, ids, vault)
            await quiet(statements)
            asking = len(statements)
            await asyncio.sleep(3)
            resting = len(statements) - asking
            await asyncio.to_thread(move_and_tell, begin, settings.redis_url, ids)
            answered = await asyncio.gather(*waiting)
            answering = len(statements) - asking - resting
        assert set(answered) == {200}
        assert asking < 30
        assert resting <= 4
        assert answering < 30

    play(settings, scene)


def test_a_thousand_who_wait_for_one_purchase_share_one_look(
    settings: Settings, worker: Worker, vault: Vault, begin: Begin
) -> None:
    purchase = worker.buy()

    async def scene(app: ASGIApp) -> None:
        with counted() as statements:
            waiting = crowd(app, [purchase.id] * CROWD, vault)
            await quiet(statements)
            before = len(statements)
            began = time.monotonic()
            await asyncio.to_thread(move_and_tell, begin, settings.redis_url, [purchase.id])
            await asyncio.gather(*waiting)
            seconds = time.monotonic() - began
        reads = [statement for statement in statements[before:] if "purchase_transition" in statement]
        assert len([statement for statement in reads if "array_agg" in statement]) <= 2
        assert seconds < 2

    play(settings, scene)


def test_nobody_is_waited_for_when_nobody_waits(settings: Settings) -> None:
    async def scene(app: ASGIApp) -> None:
        with counted() as statements:
            await asyncio.sleep(2.2)
        assert statements == []

    play(settings, scene)


@pytest.fixture
def own_valkey() -> Iterator[RunningValkey]:
    with running_valkey() as server:
        yield server
        server.thaw()


def wait_for_prepared(client: TestClient, worker: Worker, *, tell: bool) -> float:
    """How long after its change a purchase is answered."""
    purchase = worker.buy()
    changed: list[float] = []

    def prepare() -> None:
        worker.prepare(purchase, tell=tell)
        changed.append(time.monotonic())

    with soon(prepare):
        answer = client.get(path_of(purchase), headers={**worker.key(purchase), "Prefer": "wait=10"})
    answered = time.monotonic()
    assert (answer.status_code, answer.json()["status"]) == (200, "pending")
    return answered - changed[0]


@pytest.mark.parametrize("trouble", ["freeze", "stop"])
def test_without_valkey_the_look_each_second_finds_it_and_the_channel_comes_back(
    settings: Settings, worker: Worker, own_valkey: RunningValkey, trouble: str
) -> None:
    worker.valkey_url = own_valkey.url()
    moved = settings.model_copy(update={"redis_url": own_valkey.url(), "broker_url": own_valkey.url()})
    with TestClient(create_app(moved), raise_server_exceptions=False) as client:
        assert wait_for_prepared(client, worker, tell=True) < 0.5
        getattr(own_valkey, trouble)()
        assert wait_for_prepared(client, worker, tell=False) < 1.5
        own_valkey.thaw() if trouble == "freeze" else own_valkey.start()
        deadline = time.monotonic() + 15
        while not heard(own_valkey):
            assert time.monotonic() < deadline, "the door does not listen any more"
            time.sleep(0.05)
        assert min(wait_for_prepared(client, worker, tell=True) for _ in range(3)) < 0.2


def heard(valkey: RunningValkey) -> bool:
    with redis.Redis.from_url(valkey.url()) as client:
        return bool(dict(client.pubsub_numsub(PurchaseChanged.channel))[PurchaseChanged.channel.encode()])


def test_a_door_that_starts_without_valkey_answers_all_the_same(settings: Settings, worker: Worker) -> None:
    gone = settings.model_copy(update={"redis_url": "redis://127.0.0.1:1/0", "broker_url": "redis://127.0.0.1:1/0"})
    with TestClient(create_app(gone), raise_server_exceptions=False) as client:
        assert wait_for_prepared(client, worker, tell=False) < 1.5


def test_an_accepted_purchase_is_a_202_whatever_happens_while_it_is_waited_for(
    settings: Settings, tokens: Tokens
) -> None:
    """It is committed: the caller must learn its id, and finds the outcome later."""
    with running_postgres() as own:
        fill_template(own.url())
        moved = settings.model_copy(update={"database_url": own.url()})
        with TestClient(create_app(moved), raise_server_exceptions=False) as client:
            client.get("/readyz")
            with soon(own.freeze):
                began = time.monotonic()
                answer: Response = client.post(INITIATE, json=wish(), headers={"Prefer": "wait=3", **tokens.of()})
            own.thaw()
            assert (answer.status_code, answer.json()["status"]) == (202, "queued")
            assert 3 <= time.monotonic() - began < 3.7


def test_what_has_gone_leaves_nothing_behind(settings: Settings, worker: Worker) -> None:
    """A caller that hangs up is not waited for any longer."""
    purchase = worker.buy()
    hung_up = asyncio.Event()

    async def receive() -> Message:
        await hung_up.wait()
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        raise AssertionError(message)

    async def scene(app: ASGIApp) -> None:
        headers = [(name.lower().encode(), value.encode()) for name, value in worker.key(purchase).items()]
        path = path_of(purchase)
        scope = {"type": "http", "method": "GET", "path": path, "raw_path": path.encode(), "root_path": ""}
        waiting = app(
            {**scope, "headers": [*headers, (b"prefer", b"wait=30")], "query_string": b"", "http_version": "1.1"},
            receive,
            send,
        )
        asking = asyncio.ensure_future(waiting)
        await asyncio.sleep(0.3)
        hung_up.set()
        await asyncio.wait_for(asking, timeout=1)
        with counted() as statements:
            await asyncio.sleep(1.5)
        assert statements == []

    play(settings, scene)
