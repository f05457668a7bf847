"""A purchase as a stream: every step once, in order, whatever happens to the line."""

import itertools
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import httpx2
import pytest

from billing.config import Settings
from billing.db import begin, connect
from billing.models import Purchase
from billing.states import PurchaseState, Step
from tests.support.database import fill_template
from tests.support.factories import add_student
from tests.support.servers import running_postgres
from tests.web.following import Event, Worker, events_in, path_of, soon, stream_of
from tests.web.support import Tokens, served
from web import streams
from web.app import create_app

S = PurchaseState


@pytest.fixture
def port(settings: Settings) -> Iterator[int]:
    with served(create_app(settings)) as port:
        yield port


@pytest.fixture
def door(port: int) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=20) as client:
        yield client


def all_of(door: httpx2.Client, worker: Worker, purchase: Purchase, told: str | None = None) -> list[Event]:
    """What a stream tells that ends by itself."""
    resumed = {} if told is None else {"Last-Event-ID": told}
    answer = door.get(path_of(purchase, "events/"), headers={**worker.key(purchase), **resumed})
    assert answer.status_code == (200 if answer.content else 204)
    return list(events_in(iter(answer.text.split("\n"))))


def test_every_step_is_told_as_it_happens_and_then_the_stream_ends(port: int, worker: Worker) -> None:
    purchase = worker.buy()
    with stream_of(port, purchase, worker.key(purchase)) as events:
        seen = [next(events)]
        worker.prepare(purchase)
        seen.append(next(events))
        worker.complete(purchase)
        seen += list(events)
    assert [event.last_step for event in seen] == ["accepted", "intent_created", "paid", "credited"]
    assert [event.data["status"] for event in seen] == ["queued", "pending", "completed", "completed"]
    assert seen[1].data["client_secret"] == "pi_1_secret_2"
    assert [int(event.id) for event in seen] == [0, 1, 2, 3]


def test_an_event_is_the_status_resource(door: httpx2.Client, worker: Worker) -> None:
    purchase = worker.buy()
    worker.prepare(purchase)
    worker.complete(purchase)
    *_, last = all_of(door, worker, purchase)
    assert last.data == door.get(path_of(purchase), headers=worker.key(purchase)).json()


def test_it_is_told_at_once(port: int, worker: Worker) -> None:
    """By the notification, not by the look each second."""
    purchase = worker.buy()
    with stream_of(port, purchase, worker.key(purchase)) as events:
        next(events)
        began = time.monotonic()
        worker.prepare(purchase)
        next(events)
        assert time.monotonic() - began < 0.5


@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_stream_resumes_behind_what_was_told(door: httpx2.Client, worker: Worker, place: int) -> None:
    """Wherever the line broke, the rest comes: nothing twice, nothing lost."""
    purchase = worker.buy()
    worker.prepare(purchase)
    worker.complete(purchase)
    told = all_of(door, worker, purchase)
    assert all_of(door, worker, purchase, told[place].id) == told[place + 1 :]


def test_a_browser_that_was_told_everything_is_told_not_to_come_back(door: httpx2.Client, worker: Worker) -> None:
    purchase = worker.buy()
    worker.prepare(purchase)
    worker.complete(purchase)
    last = all_of(door, worker, purchase)[-1]
    headers = {**worker.key(purchase), "Last-Event-ID": last.id}
    assert door.get(path_of(purchase, "events/"), headers=headers).status_code == 204


@pytest.mark.parametrize("told", ["", "x", "-1", "999", "1 2", "9" * 30, "0-zzzzzzzz", "é"])
def test_an_id_of_nothing_starts_anew(door: httpx2.Client, worker: Worker, told: str) -> None:
    """Another purchase's, or rubbish: told twice is better than never told."""
    purchase = worker.buy()
    worker.prepare(purchase)
    worker.complete(purchase)
    headers = [(b"last-event-id", told.encode()), (b"x-access-token", worker.key(purchase)["X-Access-Token"].encode())]
    answer = door.get(path_of(purchase, "events/"), headers=headers)
    assert len(list(events_in(iter(answer.text.split("\n"))))) == 4


def test_trouble_without_a_step_is_told_once_even_over_a_broken_line(port: int, worker: Worker) -> None:
    """While Stripe is away the purchase stays queued and says why: no step, and still a change."""
    purchase = worker.buy()
    headers = worker.key(purchase)
    trouble: dict[str, Any] = {"error_type": "api_connection_error", "error_message": "Away."}
    with stream_of(port, purchase, headers) as events:
        first = next(events)
        worker.change(purchase, **trouble)
        second = next(events)
    assert (first.data["message"] == second.data["message"], second.data["message"]) == (False, "Away.")
    with stream_of(port, purchase, {**headers, "Last-Event-ID": first.id}) as events:
        assert next(events) == second
    with stream_of(port, purchase, {**headers, "Last-Event-ID": second.id}) as events:
        worker.change(purchase, error_message="Still away.")
        third = next(events)
        worker.prepare(purchase)
        fourth = next(events)
    assert (third.data["message"], fourth.last_step) == ("Still away.", "intent_created")
    assert len({first.id, second.id, third.id, fourth.id}) == 4


def test_a_declined_payment_may_still_succeed_so_the_stream_stays(port: int, worker: Worker) -> None:
    purchase = worker.buy()
    worker.prepare(purchase)
    with stream_of(port, purchase, worker.key(purchase)) as events:
        list(itertools.islice(events, 2))
        worker.change(purchase, (Step.PAYMENT_FAILED, S.FAILED), error_type="card_error", error_message="Declined.")
        declined = next(events)
        assert (declined.data["status"], declined.data["client_secret"]) == ("failed", "pi_1_secret_2")
        worker.complete(purchase)
        assert [event.last_step for event in events] == ["paid", "credited"]


@pytest.mark.parametrize("state", [S.COMPLETED, S.CANCELLED, S.EXPIRED, S.REFUNDED])
def test_a_settled_purchase_ends_its_stream(door: httpx2.Client, worker: Worker, state: PurchaseState) -> None:
    purchase = worker.buy(state, student_id=add_student(worker.begin, at=worker.now))
    (only,) = all_of(door, worker, purchase)
    assert only.data["status"] == state


def test_a_failure_without_an_intent_ends_its_stream(door: httpx2.Client, worker: Worker) -> None:
    purchase = worker.buy(S.FAILED, payment_intent_id=None, error_type="api_error", error_message="No.")
    assert len(all_of(door, worker, purchase)) == 1


def test_a_secret_that_is_erased_is_in_no_old_step(door: httpx2.Client, worker: Worker) -> None:
    purchase = worker.buy()
    worker.prepare(purchase)
    worker.complete(purchase)
    events = all_of(door, worker, purchase)
    assert {event.data["client_secret"] for event in events} == {None}
    assert [event.data["payment_intent_id"] is None for event in events] == [True, False, False, False]


def test_proxies_are_told_to_pass_it_on_and_keep_nothing(port: int, door: httpx2.Client, worker: Worker) -> None:
    purchase = worker.buy()
    with door.stream("GET", path_of(purchase, "events/"), headers=worker.key(purchase)) as answer:
        kept = {name: answer.headers[name] for name in ("Content-Type", "Cache-Control", "X-Accel-Buffering")}
    assert kept == {
        "Content-Type": "text/event-stream; charset=utf-8",
        "Cache-Control": "no-store",
        "X-Accel-Buffering": "no",
    }


def test_a_quiet_line_is_kept_alive(port: int, worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where news comes that is none: proxies count bytes."""
    monkeypatch.setattr(streams, "PULSE_SECONDS", 0.5)
    purchase = worker.buy()
    with (
        soon(lambda: worker.tell(purchase.id)),
        httpx2.Client(base_url=f"http://127.0.0.1:{port}") as client,
        client.stream("GET", path_of(purchase, "events/"), headers=worker.key(purchase)) as answer,
    ):
        began, beats = time.monotonic(), 0
        for line in answer.iter_lines():
            beats += line.startswith(":")
            if beats == 3:
                break
    assert 1.4 < time.monotonic() - began < 2.5


def test_it_ends_after_its_time(port: int, worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "STREAM_SECONDS", 0.5)
    purchase = worker.buy()
    with stream_of(port, purchase, worker.key(purchase)) as events:
        assert [event.id for event in events] == ["0"]


def test_there_is_room_for_so_many_and_again_when_one_leaves(
    port: int, door: httpx2.Client, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "MOST_STREAMS", 2)
    purchase = worker.buy()
    headers = worker.key(purchase)
    with stream_of(port, purchase, headers) as first:
        next(first)
        with stream_of(port, purchase, headers) as second:
            next(second)
            refused = door.get(path_of(purchase, "events/"), headers=headers)
            assert (refused.status_code, refused.json()["error_type"]) == (503, "unavailable")
            assert "Retry-After" in refused.headers
        deadline = time.monotonic() + 5
        while True:
            with door.stream("GET", path_of(purchase, "events/"), headers=headers) as third:
                if third.status_code == 200:
                    break
            assert time.monotonic() < deadline, "who hung up still has a place"


def test_a_stream_is_its_buyers_alone(door: httpx2.Client, worker: Worker, tokens: Tokens) -> None:
    purchase = worker.buy(S.CANCELLED, caller_sub="user-1")
    path = path_of(purchase, "events/")
    assert door.get(path, headers=tokens.of("user-1")).status_code == 200
    assert door.get(path, headers=worker.key(purchase)).status_code == 200
    token = worker.key(purchase)["X-Access-Token"]
    assert door.get(path, params={"access_token": token}).status_code == 200
    for headers in ({}, tokens.of("user-2"), {"X-Access-Token": "x"}):
        assert door.get(path, headers=headers).status_code == 404
    assert door.get(path, params={"access_token": token[:-1]}).status_code == 404


def test_a_database_that_restarts_breaks_no_stream(settings: Settings, worker: Worker) -> None:
    """What cannot be read now is read when it can be: nobody has to reconnect."""
    with running_postgres() as own:
        fill_template(own.url())
        engine = connect(own.url(), "tests")
        moved = replace(worker, begin=partial(begin, engine))
        purchase = moved.buy()
        with (
            served(create_app(settings.model_copy(update={"database_url": own.url()}))) as port,
            stream_of(port, purchase, moved.key(purchase)) as events,
        ):
            next(events)
            own.stop()
            moved.tell(purchase.id)
            own.start()
            moved.prepare(purchase, tell=False)
            moved.complete(purchase, tell=False)
            assert [event.last_step for event in events] == ["intent_created", "paid", "credited"]
        engine.dispose()


def test_its_head_can_be_asked_for(door: httpx2.Client, worker: Worker) -> None:
    purchase = worker.buy()
    answer = door.head(path_of(purchase, "events/"), headers=worker.key(purchase))
    assert (answer.status_code, answer.content) == (200, b"")
