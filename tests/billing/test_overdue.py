"""Hints that were lost are sent again, and a long queue is not flooded with copies."""

import threading
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import text

from billing import work
from billing.db import Begin
from billing.messages import EventsWaiting, Message, PreparePayment
from billing.models import Purchase
from billing.states import PurchaseState
from billing.work import LeaseTerms, take_overdue
from tests.support.factories import add_event, add_purchase, event_body

EARLIER = "UPDATE {table} SET hint_at = clock_timestamp() - interval '1 ms' WHERE due_at IS NOT NULL"


def let_hints_fall_due(begin: Begin, table: str = "purchase") -> None:
    with begin() as session:
        session.execute(text(EARLIER.format(table=table)))


def seconds_to_next_hint(begin: Begin) -> float:
    with begin() as session:
        statement = text("SELECT extract(epoch FROM hint_at - clock_timestamp()) FROM purchase")
        return float(session.execute(statement).scalar_one())


def ids_of(messages: list[Message]) -> list[UUID]:
    return [message.purchase_id for message in messages if isinstance(message, PreparePayment)]


def test_a_row_whose_hint_was_lost_is_hinted_again(begin: Begin, now: datetime) -> None:
    """The broker may lose anything at any time: the row is the queue of record."""
    purchase = add_purchase(begin, at=now)
    assert take_overdue(begin) == [PreparePayment(purchase_id=purchase.id)]


def test_a_waiting_row_is_hinted_ever_more_rarely(begin: Begin, now: datetime) -> None:
    """Ten thousand rows in a long queue must not become a hundred thousand messages."""
    add_purchase(begin, at=now)
    waits = []
    for _ in range(8):
        let_hints_fall_due(begin)
        assert len(take_overdue(begin)) == 1
        assert take_overdue(begin) == []
        waits.append(round(seconds_to_next_hint(begin)))
    assert waits == [2, 4, 8, 16, 32, 60, 60, 60]


def test_two_sweepers_hint_each_row_once(begin: Begin, now: datetime) -> None:
    """Every worker has a sweeper, and they share the rows."""
    expected = {add_purchase(begin, at=now).id for _ in range(60)}
    found: list[UUID] = []
    barrier = threading.Barrier(2)

    def sweep() -> None:
        barrier.wait()
        for _ in range(4):
            found.extend(ids_of(take_overdue(begin, limit=20)))

    threads = [threading.Thread(target=sweep) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == sorted(expected)


def test_a_row_that_is_being_worked_is_not_hinted_before_its_lease_ends(begin: Begin, now: datetime) -> None:
    """A hint for it would find it taken."""
    purchase = add_purchase(begin, at=now)
    with begin() as session:
        work.claim(session, Purchase, purchase.id, LeaseTerms(seconds=8))
    assert take_overdue(begin) == []
    let_hints_fall_due(begin)
    assert ids_of(take_overdue(begin)) == [purchase.id]


def test_a_row_that_was_put_off_is_hinted_when_it_is_due(begin: Begin, now: datetime) -> None:
    purchase = add_purchase(begin, at=now)
    with begin() as session:
        claim = work.claim(session, Purchase, purchase.id, LeaseTerms())
        assert claim is not None
        work.put_off(claim.row, timedelta(seconds=30), "busy")
    assert take_overdue(begin) == []
    assert 25 < seconds_to_next_hint(begin) < 31


def test_a_finished_row_is_never_hinted(begin: Begin, now: datetime) -> None:
    add_purchase(begin, at=now, state=PurchaseState.PENDING)
    assert take_overdue(begin) == []


def test_a_heap_of_events_becomes_a_few_hints(begin: Begin, now: datetime) -> None:
    """One hint brings a batch: a message for each event would cost more than the event."""
    for _ in range(401):
        add_event(begin, event_body("a.test", {"id": "x"}, at=now), at=now)
    assert take_overdue(begin) == [EventsWaiting()] * 3
