"""The door's line to the database breaks at a commit: the caller is told to come again, and coming again is safe."""

from collections.abc import Callable, Iterator

import pytest
from httpx2 import Response
from sqlalchemy import text
from starlette.testclient import TestClient

from billing.config import Settings
from billing.db import Begin
from tests.support.cutting import Cut, CuttingLine, cutting_line
from tests.web.lessons import Platform
from tests.web.support import Tokens, buy, deliver
from web.app import create_app

EVENT = b'{"id": "evt_1", "object": "event", "type": "payment_intent.succeeded"}'
Act = Callable[[], Response]


@pytest.fixture
def line(database_url: str) -> Iterator[CuttingLine]:
    with cutting_line(database_url) as line:
        yield line


@pytest.fixture
def client(settings: Settings, line: CuttingLine) -> Iterator[TestClient]:
    moved = settings.model_copy(update={"database_url": line.url})
    with TestClient(create_app(moved), raise_server_exceptions=False, client=("192.0.2.7", 4711)) as client:
        yield client


@pytest.fixture
def platform(client: TestClient, begin: Begin, settings: Settings, tokens: Tokens) -> Platform:
    """The tutoring platform, with a student who has hours."""
    platform = Platform(client, begin, settings, tokens)
    platform.student()
    assert client.get("/readyz").status_code == 200  # a connection is open before a commit is waited for
    return platform


def count(begin: Begin, table: str) -> int:
    with begin() as session:
        return int(session.execute(text(f"SELECT count(*) FROM {table}")).scalar_one())  # noqa: S608


@pytest.mark.parametrize("cut", Cut)
@pytest.mark.parametrize(("table", "status"), [("purchase", 503), ("webhook_event", 503), ("consumption", 202)])
def test_what_was_asked_for_at_a_lost_commit_is_there_once_after_a_repeat(
    client: TestClient, begin: Begin, line: CuttingLine, platform: Platform, table: str, status: int, cut: Cut
) -> None:
    """Nobody can know whether it was done: the caller is told so, or the door itself does it once more."""
    acts: dict[str, Act] = {
        "purchase": lambda: buy(client, key="order-1"),
        "webhook_event": lambda: deliver(client, EVENT),
        "consumption": lambda: platform.book(Idempotency_Key="lesson-1"),
    }
    line.cut_next(cut)
    assert acts[table]().status_code == status
    assert (line.cuts, count(begin, table)) == (1, int(cut is Cut.AFTER or status != 503))
    repeats = [acts[table]() for _ in range(2)]
    assert {answer.status_code for answer in repeats} <= {200, 202}
    assert repeats[0].json() == repeats[1].json()
    assert count(begin, table) == 1
