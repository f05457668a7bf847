"""Messages that are none of ours: counted, never kept."""

from datetime import datetime, timedelta

from sqlmodel import select

from billing.db import Begin
from billing.failures import UnreadableFacts, record_unreadable
from billing.models import UnreadableMessage


def rows(begin: Begin) -> list[UnreadableMessage]:
    with begin() as session:
        return list(session.exec(select(UnreadableMessage).order_by(UnreadableMessage.queue)))


def facts(body: bytes = b"garbage", *, queue: str = "webhooks", task: object = "x") -> UnreadableFacts:
    return UnreadableFacts.of(queue=queue, task=task, reason="not a message", body=body)


def test_the_same_message_again_only_counts(begin: Begin, now: datetime) -> None:
    """One that loops for a night must not fill a table."""
    for minutes in range(3):
        record_unreadable(begin, facts(), now=now + timedelta(minutes=minutes))
    (row,) = rows(begin)
    assert (row.times, row.size_bytes, row.queue, row.task) == (3, 7, "webhooks", "x")
    assert (row.first_at, row.last_at) == (now, now + timedelta(minutes=2))


def test_different_messages_are_different_rows(begin: Begin, now: datetime) -> None:
    for each in (facts(), facts(b"other"), facts(queue="money"), facts(task="y")):
        record_unreadable(begin, each, now=now)
    assert len(rows(begin)) == 4


def test_nothing_of_its_bytes_is_kept(begin: Begin, now: datetime) -> None:
    """They may hold anything: a secret, a name, a character that no column takes."""
    task = "sk_test_abcdefghijkl\0\ud800\n" + "x" * 1000
    record_unreadable(begin, facts(b"pi_1_secret_canary", task=task), now=now)
    (row,) = rows(begin)
    assert "canary" not in row.model_dump_json()
    assert "abcdefghijkl" not in row.task
    assert row.task.isprintable()
    assert len(row.task) <= 255


def test_a_task_may_be_anything(begin: Begin, now: datetime) -> None:
    for task in (None, 7, ["x"], {"a": b"\xff"}):
        record_unreadable(begin, facts(task=task), now=now)
    assert len(rows(begin)) == 4
