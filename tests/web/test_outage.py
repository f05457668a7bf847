"""Without its database the door says so within its bound, and goes on by itself afterwards."""

import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor

import pytest
from httpx2 import Response
from starlette.testclient import TestClient

from billing.config import Settings
from tests.support.database import fill_template
from tests.support.servers import running_postgres
from tests.web.support import API, Tokens, buy, deliver
from web.app import create_app

BOUND_SECONDS = 2.5
EVENT = b'{"id": "evt_1", "object": "event", "type": "x"}'


def statuses(asks: Mapping[str, Callable[[], Response]]) -> dict[str, int]:
    """All at once."""
    with ThreadPoolExecutor(len(asks)) as pool:
        answers = {name: pool.submit(ask) for name, ask in asks.items()}
    return {name: answer.result().status_code for name, answer in answers.items()}


@pytest.mark.parametrize("trouble", ["stop", "freeze"])
def test_every_route_is_503_within_its_bound_and_recovers(settings: Settings, tokens: Tokens, trouble: str) -> None:
    with running_postgres() as own:
        fill_template(own.url())
        moved = settings.model_copy(update={"database_url": own.url()})
        with TestClient(create_app(moved), raise_server_exceptions=False) as client:
            status_url = buy(client, **tokens.of()).json()["status_url"]
            client.get(f"{API}pricing-plans/")
            asks = {
                "purchase": lambda: buy(client),
                "webhook": lambda: deliver(client, EVENT),
                "status": lambda: client.get(status_url, headers=tokens.of()),
                "balance": lambda: client.get(f"{API}student-balance/", headers=tokens.of()),
                "ready": lambda: client.get("/readyz"),
            }
            getattr(own, trouble)()
            began = time.monotonic()
            assert statuses(asks) == dict.fromkeys(asks, 503)
            assert time.monotonic() - began < BOUND_SECONDS
            assert client.get(f"{API}pricing-plans/").status_code == 200
            assert client.get("/healthz").status_code == 200
            own.thaw() if trouble == "freeze" else own.start()
            deadline = time.monotonic() + 10
            while set(statuses(asks).values()) - {200, 202}:
                assert time.monotonic() < deadline
