"""A guest's hours are there when the account that proves the address first comes by."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import pytest
from sqlalchemy import text
from starlette.testclient import TestClient

from billing import ledger
from billing.clock import utc_now
from billing.db import Begin
from billing.messages import LinkStudent
from billing.states import LotOrigin
from billing.student_links import follow_link
from tests.support.factories import add_student
from tests.support.leases import UnrenewedLeases
from tests.web.support import Tokens

BALANCE = "/api/finances/api/student-balance/"
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


def give_hours(begin: Begin, student_id: int, minutes: int) -> None:
    source = f"grant:{student_id}:{minutes}"
    grant = ledger.Credit(student_id, LotOrigin.GRANT, source, None, minutes, 0, "eur", NOON, None, NOON)
    with begin() as session:
        ledger.credit(session, [grant])


@contextmanager
def worker(begin: Begin) -> Iterator[None]:
    """Sees to every wish, as a hinted worker does."""
    stopped = threading.Event()

    def run() -> None:
        while not stopped.wait(0.02):
            with begin() as session:
                due = session.execute(text("SELECT id FROM student_link WHERE due_at IS NOT NULL")).scalars().all()
            for link_id in due:
                follow_link(begin, UnrenewedLeases(), LinkStudent(link_id=link_id), now=utc_now())

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        stopped.set()
        thread.join()


def remaining(client: TestClient, tokens: Tokens, **claims: object) -> str:
    answer = client.get(BALANCE, headers=tokens.of("ana", email="ana@example.com", **claims))
    assert answer.status_code == 200, answer.text
    return str(answer.json()["balance_summary"]["remaining_hours"])


def test_the_first_call_shows_what_guests_bought_to_a_known_account(
    client: TestClient, tokens: Tokens, begin: Begin
) -> None:
    account = add_student(begin, "old@example.com", at=NOON, external_id="ana")
    give_hours(begin, account, 60)
    give_hours(begin, add_student(begin, "ana@example.com", at=NOON), 600)
    with worker(begin):
        assert remaining(client, tokens) == "11.00"
    assert ledger.violations(begin) == []


def test_without_a_worker_the_first_call_is_answered_all_the_same(
    client: TestClient, tokens: Tokens, begin: Begin
) -> None:
    """It waits for a second at most; the wish is kept, and the next call shows the rest."""
    account = add_student(begin, "old@example.com", at=NOON, external_id="ana")
    give_hours(begin, account, 60)
    give_hours(begin, add_student(begin, "ana@example.com", at=NOON), 600)
    assert remaining(client, tokens) == "1.00"


def test_an_unverified_address_matches_nobody(client: TestClient, tokens: Tokens, begin: Begin) -> None:
    give_hours(begin, add_student(begin, "ana@example.com", at=NOON), 600)
    assert remaining(client, tokens, email_verified=False) == "0.00"
    with begin() as session:
        assert session.execute(text("SELECT count(*) FROM student_link")).scalar_one() == 0


@pytest.mark.parametrize("calls", [5])
def test_a_caller_who_is_known_is_not_asked_about_again(
    client: TestClient, tokens: Tokens, begin: Begin, calls: int
) -> None:
    """One wish, and for a while not even the question."""
    give_hours(begin, add_student(begin, "ana@example.com", at=NOON), 600)
    with worker(begin):
        for _ in range(calls):
            assert remaining(client, tokens) == "10.00"
    with begin() as session:
        found = session.execute(text("SELECT external_id, attempts FROM student_link")).all()
    assert [tuple(row) for row in found] == [("ana", 1)]
