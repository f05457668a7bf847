"""Thousands of rows that wait, and every worker has a sweeper: what they hint, and what they do not."""

import threading
from collections import Counter
from collections.abc import Iterator

import orjson
import pytest
import redis
from sqlalchemy import text

from billing.config import Settings
from billing.db import Begin
from tests.support.backlog import add_backlog
from workers.hints import Publisher
from workers.sweeper import MOST_AT_ONCE, sweep

SWEEPERS = 2
LINKS = text("""
    INSERT INTO student_link (id, external_id, email, name, request_id, requested_at, due_at, hint_at)
    SELECT gen_random_uuid(), 'account-' || n, n || '@example.com', 'Ana', 'request-of-a-test', now(),
        clock_timestamp(), clock_timestamp()
    FROM generate_series(1, :rows) AS n
""")


@pytest.fixture
def queues(valkey_url: str) -> Iterator["redis.Redis"]:
    with redis.Redis.from_url(valkey_url) as client:
        yield client


def sweep_together(begin: Begin, settings: Settings, rows: int) -> int:
    """Rounds of two sweepers at once, just enough for so many rows; how many hints they say they have sent."""
    sent: list[int] = []
    rounds = rows // MOST_AT_ONCE // SWEEPERS
    barrier = threading.Barrier(SWEEPERS)

    def run() -> None:
        publisher = Publisher(settings)
        barrier.wait()
        sent.extend(sweep(begin, publisher) for _ in range(rounds))
        publisher.close()

    threads = [threading.Thread(target=run) for _ in range(SWEEPERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(sent)


def database_time(begin: Begin) -> float:
    with begin() as session:
        return float(session.execute(text("SELECT extract(epoch FROM clock_timestamp())")).scalar_one())


def is_pushed_once(begin: Begin, table: str, rows: int, since: float) -> bool:
    """Each row was hinted once, and its next hint is two seconds after that one at the earliest."""
    question = f"""
        SELECT bool_and(hints = 1 AND extract(epoch FROM hint_at) >= :since + 2) AND count(*) = :rows FROM {table}
    """  # noqa: S608
    with begin() as session:
        return bool(session.execute(text(question), {"since": since, "rows": rows}).scalar_one())


def test_two_sweepers_hint_each_of_many_rows_once(settings: Settings, begin: Begin, queues: "redis.Redis") -> None:
    """They share the rows, and a long queue is not made longer by copies."""
    rows = 4_000
    with begin() as session:
        session.execute(LINKS, {"rows": rows})
    began = database_time(begin)
    assert sweep_together(begin, settings, rows) == rows
    assert is_pushed_once(begin, "student_link", rows, began)
    messages: list[bytes] = queues.lrange("hours", 0, -1)  # type: ignore[assignment]
    hinted = Counter(orjson.loads(message)["body"] for message in messages)
    assert (len(hinted), set(hinted.values())) == (rows, {1})


def test_ten_thousand_waiting_events_are_a_few_dozen_hints(
    settings: Settings, begin: Begin, queues: "redis.Redis"
) -> None:
    """One hint brings two hundred events into work: a round of five hundred is three hints."""
    rows = 10_000
    add_backlog(begin, settings, events=rows, students=100)
    began = database_time(begin)
    most = rows // MOST_AT_ONCE * 3
    assert sweep_together(begin, settings, rows) == most
    assert is_pushed_once(begin, "webhook_event", rows, began)
    assert queues.llen("webhooks") == most
