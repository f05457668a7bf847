"""Hours for lessons through every process, as the tutoring platform takes them."""

import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest

from billing.ids import new_id
from tests.support.database import TEMPLATE
from tests.support.factories import add_student
from tests.support.hours import add_lot
from tests.support.servers import RunningPostgres, RunningValkey
from tests.support.stack import PREFIX, Stack, eventually, running_stack

CONSUMPTIONS = f"{PREFIX}/hour-consumptions/"
WORKER_SECONDS = 0.9
"""The hint, the claim, the commit and the word of it; the look each second alone would take longer."""


@pytest.fixture(scope="module")
def stack(
    postgres: RunningPostgres, valkey: RunningValkey, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stack]:
    postgres.create_database("flow_of_hours", template=TEMPLATE)
    folder: Path = tmp_path_factory.mktemp("flow_of_hours")
    with running_stack(postgres, valkey, folder, "web", "hours", DATABASE_URL=postgres.url("flow_of_hours")) as running:
        yield running


@pytest.fixture
def student(stack: Stack) -> str:
    """Somebody new with twenty hours, half of them in a package that expires first."""
    return with_hours(stack, 600, 600)


def with_hours(stack: Stack, *lots: int) -> str:
    name, now = new_id().hex, datetime.now(UTC)
    student_id = add_student(stack.begin, f"{name}@example.com", at=now, external_id=name)
    for number, minutes in enumerate(lots, start=1):
        add_lot(stack.begin, student_id, minutes, at=now, expires_at=now + number * timedelta(days=10))
    return name


def platform(stack: Stack, wait: int | None = 20) -> dict[str, str]:
    prefer = {} if wait is None else {"Prefer": f"wait={wait}"}
    return {**stack.bearer("platform@example.com", "platform", "service"), **prefer}


def book(stack: Stack, *students: str, wait: int | None = 20, **fields: Any) -> httpx2.Response:
    named = [{"external_id": name} for name in students]
    who = {"student": named[0]} if len(named) == 1 else {"students": named}
    body = {**who, "session_id": new_id().hex, "hours": "1.50", **fields}
    return stack.door.post(CONSUMPTIONS, json=body, headers=platform(stack, wait))


def hold(stack: Stack, *students: str, **fields: Any) -> httpx2.Response:
    ends_at = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    return book(stack, *students, mode="hold", ends_at=ends_at, **fields)


def ask(stack: Stack, booking: dict[str, Any], act: str, **body: Any) -> httpx2.Response:
    return stack.door.post(f"{CONSUMPTIONS}{booking['id']}/{act}/", json=body, headers=platform(stack))


def remaining(stack: Stack, name: str) -> str:
    return stack.hours(f"{name}@example.com", name)


def nothing_is_broken(stack: Stack) -> None:
    assert stack.scalar("SELECT count(*) FROM violation") == 0
    assert stack.scalar("SELECT count(*) FROM consumption_act WHERE due_at IS NOT NULL") == 0


def test_a_lesson_is_paid_while_the_platform_waits(stack: Stack, student: str) -> None:
    """One request, one answer, with the packages that paid."""
    book(stack, student)  # connections and imports of a new pipeline
    began = time.monotonic()
    answer = book(stack, student, hours="9")
    seconds = time.monotonic() - began
    assert (answer.status_code, answer.json()["status"]) == (201, "consumed")
    assert [part["minutes"] for part in answer.json()["packages"]] == [510, 30]
    assert remaining(stack, student) == "9.50"
    assert seconds < WORKER_SECONDS


def test_a_hold_is_captured_and_given_back(stack: Stack, student: str) -> None:
    """Held hours are not there for anything else; what was not needed comes back."""
    held = hold(stack, student, hours="20").json()
    assert (held["status"], remaining(stack, student)) == ("held", "0.00")
    assert book(stack, student).status_code == 409
    captured = ask(stack, held, "capture", hours="12")
    assert (captured.status_code, captured.json()["hours_consumed"]) == (200, "12.00")
    assert remaining(stack, student) == "8.00"
    refunded = ask(stack, held, "refund", hours="1.25", reason="It ended early.")
    assert (refunded.status_code, refunded.json()["hours_returned"]) == (200, "1.25")
    assert remaining(stack, student) == "9.25"
    released = ask(stack, held, "release")
    assert (released.status_code, released.json()["error_type"]) == (409, "invalid_state")


def test_a_group_pays_together_or_not_at_all(stack: Stack, student: str) -> None:
    poor, other = with_hours(stack, 30), with_hours(stack, 600)
    refused = book(stack, student, poor)
    assert (refused.status_code, refused.json()["error_type"]) == (409, "insufficient_balance")
    paid = book(stack, student, other)
    assert (paid.status_code, paid.json()["status"]) == (201, "consumed")
    assert [remaining(stack, name) for name in (student, poor, other)] == ["18.50", "0.50", "8.50"]


def test_a_hundred_at_once_take_what_there_is_and_no_more(stack: Stack, student: str) -> None:
    """Eighty quarters of an hour are twenty hours: nobody is lost, nobody is served twice."""
    with ThreadPoolExecutor(25) as pool:
        answers = list(pool.map(lambda _: book(stack, student, hours="0.25"), range(100)))
    assert sorted(answer.status_code for answer in answers) == [201] * 80 + [409] * 20
    refusals = {answer.json()["error_type"] for answer in answers if answer.status_code == 409}
    assert refusals == {"insufficient_balance"}
    assert remaining(stack, student) == "0.00"
    nothing_is_broken(stack)


def test_the_same_lesson_twenty_times_at_once_is_paid_once(stack: Stack, student: str) -> None:
    session_id = new_id().hex
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda _: book(stack, student, session_id=session_id), range(20)))
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert remaining(stack, student) == "18.50"


def test_what_waits_for_a_worker_is_settled_when_one_comes(stack: Stack, student: str) -> None:
    """Every 202 is kept, whatever becomes of the worker."""
    worker = stack.processes["hours"]
    worker.kill()
    accepted = [book(stack, student, wait=None, hours="1").json() for _ in range(25)]
    assert {one["status"] for one in accepted} == {"requested"}
    worker.start()
    eventually(lambda: not open_acts(stack), 30)
    found = [stack.door.get(one["status_url"], headers=platform(stack)).json()["status"] for one in accepted]
    assert (found.count("consumed"), found.count("refused")) == (20, 5)
    assert remaining(stack, student) == "0.00"
    nothing_is_broken(stack)


@pytest.mark.parametrize("at", ["after the acts' claim", "after the acts' commit"])
def test_a_worker_killed_around_a_decision_takes_hours_once(
    stack: Stack, student: str, tmp_path: Path, at: str
) -> None:
    """Killed with a claim in its hands, or before anybody heard of the commit: the next one finds what is true."""
    worker = stack.processes["hours"]
    command = worker.command
    worker.stop()
    worker.become(command.replace("workers.app", "tests.support.dying"), DIE_AT=at, DIE_ONCE=str(tmp_path / "died"))
    worker.start()
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(book, stack, student, wait=30)
        eventually(lambda: not worker.is_running, 20, lambda: "the worker did not die")
        worker.become(command)
        worker.start()
        assert waiting.result().status_code == 201
    assert remaining(stack, student) == "18.50"
    nothing_is_broken(stack)


def test_a_frozen_worker_wakes_to_nothing(stack: Stack, student: str) -> None:
    """Its lease ran out meanwhile, and another decided: it changes nothing when it goes on."""
    worker, other = stack.processes["hours"], stack.twin("hours")
    other.start()
    eventually(lambda: " ready" in other.log, 30, lambda: other.log[-2000:])
    worker.signal_all(signal.SIGSTOP)
    try:
        assert book(stack, student, wait=30).status_code == 201
    finally:
        worker.signal_all(signal.SIGCONT)
    assert book(stack, student).status_code == 201
    other.stop()
    assert remaining(stack, student) == "17.00"
    nothing_is_broken(stack)


def open_acts(stack: Stack) -> int:
    return int(stack.scalar("SELECT count(*) FROM consumption_act WHERE due_at IS NOT NULL"))


def test_no_name_of_a_student_is_in_any_log(stack: Stack, student: str) -> None:
    book(stack, student)
    for name in ("web", "hours"):
        assert student not in stack.processes[name].log
