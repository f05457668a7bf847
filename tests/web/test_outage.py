"""Without its database or without Valkey each route answers within its bound, and goes on by itself afterwards."""

import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from httpx2 import Response
from starlette.testclient import TestClient

from billing.config import Settings
from tests.support.database import fill_template
from tests.support.servers import RunningServer, running_postgres, running_valkey
from tests.web.support import API, Tokens, buy, deliver, wish
from web.app import create_app

BOUND_SECONDS = 2.5
EVENT = b'{"id": "evt_1", "object": "event", "type": "x"}'

Asks = Mapping[str, Callable[[], Response]]


def needing_the_database(
    client: TestClient, status_url: str, user: dict[str, str]
) -> dict[str, Callable[[], Response]]:
    """Everything that a row is read or written for."""
    reads = {
        name: lambda path=path: client.get(f"{API}{path}", headers=user)
        for name, path in {
            "balance": "student-balance/",
            "history": "student-balance/history/",
            "purchases": "student-balance/purchases/",
            "ledger": "student-balance/ledger/",
            "booking": "student-balance/check-booking/?duration_hours=1",
        }.items()
    }
    return {
        **reads,
        "purchase": lambda: buy(client),
        "purchase of a user": lambda: buy(client, **user),
        "purchase, waited for": lambda: buy(client, Prefer="wait=1"),
        "webhook": lambda: deliver(client, EVENT),
        "status": lambda: client.get(status_url, headers=user),
        "cancel": lambda: client.post(f"{status_url}cancel/", headers=user),
        "ready": lambda: client.get("/readyz"),
    }


def needing_nobody(client: TestClient, user: dict[str, str]) -> dict[str, Callable[[], Response]]:
    return {
        "plans": lambda: client.get(f"{API}pricing-plans/"),
        "config": lambda: client.get(f"{API}stripe/config/", headers=user),
        "live": lambda: client.get("/healthz"),
    }


def statuses(asks: Asks) -> dict[str, int]:
    """All at once, each within the bound."""

    def timed(ask: Callable[[], Response]) -> tuple[int, float]:
        began = time.monotonic()
        return ask().status_code, time.monotonic() - began

    with ThreadPoolExecutor(len(asks)) as pool:
        answers = {name: pool.submit(timed, ask) for name, ask in asks.items()}
    late = {name: answer.result()[1] for name, answer in answers.items() if answer.result()[1] > BOUND_SECONDS}
    assert late == {}
    return {name: answer.result()[0] for name, answer in answers.items()}


def wait_until_well(asks: Asks) -> None:
    deadline = time.monotonic() + 10
    while set(statuses(asks).values()) - {200, 201, 202}:
        assert time.monotonic() < deadline


@contextmanager
def troubled(server: RunningServer, trouble: str) -> Iterator[None]:
    getattr(server, trouble)()
    try:
        yield
    finally:
        server.thaw() if trouble == "freeze" else server.start()


@pytest.mark.parametrize("trouble", ["stop", "freeze"])
def test_without_the_database_every_route_says_so_within_its_bound(
    settings: Settings, tokens: Tokens, trouble: str
) -> None:
    """A caller who hears nothing presses the button again; one who hears 503 knows that nothing happened."""
    with running_postgres() as own:
        fill_template(own.url())
        moved = settings.model_copy(update={"database_url": own.url()})
        with TestClient(create_app(moved), raise_server_exceptions=False) as client:
            user = tokens.of()
            status_url = buy(client, **user).json()["status_url"]
            needing, others = needing_the_database(client, status_url, user), needing_nobody(client, user)
            assert set(statuses(others).values()) == {200}
            streams = {"events": lambda: client.get(f"{status_url}events/", headers=user)}
            with troubled(own, trouble):
                for _ in range(2):
                    found = statuses({**needing, **streams, **others})
                    assert found == {**dict.fromkeys([*needing, *streams], 503), **dict.fromkeys(others, 200)}
            wait_until_well({**needing, **others})


@pytest.mark.parametrize("trouble", ["stop", "freeze"])
def test_without_valkey_every_route_answers_as_ever(settings: Settings, tokens: Tokens, trouble: str) -> None:
    """Counters, hints and wake-ups are conveniences: the row is what matters."""
    with running_valkey() as own:
        moved = settings.model_copy(update={"redis_url": own.url(), "broker_url": own.url()})
        with TestClient(create_app(moved), raise_server_exceptions=False) as client:
            user = tokens.of()
            status_url = buy(client, key="order-1", **user).json()["status_url"]
            asks = {
                **needing_the_database(client, status_url, user),
                **needing_nobody(client, user),
                "repeat": lambda: buy(client, key="order-1", **user),
                "status, waited for": lambda: client.get(status_url, headers={**user, "Prefer": "wait=1"}),
            }
            as_ever = statuses(asks)
            assert set(as_ever.values()) <= {200, 201, 202}
            with troubled(own, trouble):
                for _ in range(3):
                    assert statuses(asks) == as_ever
            wait_until_well(asks)


def test_without_both_a_purchase_is_503_within_its_bound(settings: Settings) -> None:
    """The waits for the one and for the other do not add up beyond it."""
    with running_postgres() as postgres, running_valkey() as valkey:
        fill_template(postgres.url())
        urls = {"database_url": postgres.url(), "redis_url": valkey.url(), "broker_url": valkey.url()}
        with TestClient(create_app(settings.model_copy(update=urls)), raise_server_exceptions=False) as client:
            buy(client)
            with troubled(postgres, "freeze"), troubled(valkey, "freeze"):
                assert statuses({str(n): lambda: buy(client, wish()) for n in range(5)}) == dict.fromkeys("01234", 503)
