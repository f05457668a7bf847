"""A row is worked by one worker at a time, and whatever becomes of that worker, by another."""

import threading
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from sqlalchemy import text

from billing import work
from billing.db import Begin
from billing.errors import LeaseLostError
from billing.ids import new_id
from billing.models import Purchase, WebhookEvent
from billing.work import Claim, LeaseTerms
from tests.support.factories import add_event, add_purchase, event_body

TERMS = LeaseTerms(seconds=8, lost_claims=3)
GONE = LeaseTerms(seconds=0.001, lost_claims=3)


def claim(begin: Begin, purchase_id: UUID, terms: LeaseTerms = TERMS) -> Claim[Purchase] | None:
    with begin() as session:
        return work.claim(session, Purchase, purchase_id, terms)


def claim_events(begin: Begin, limit: int, terms: LeaseTerms = TERMS) -> Claim[WebhookEvent] | None:
    with begin() as session:
        return work.claim_batch(session, WebhookEvent, limit, terms)


def add_events(begin: Begin, now: datetime, count: int) -> list[int]:
    return [add_event(begin, event_body("a.test", {"id": "x"}, at=now), at=now) for _ in range(count)]


def columns(begin: Begin, purchase_id: UUID) -> dict[str, object]:
    with begin() as session:
        statement = text("SELECT *, due_at > clock_timestamp() AS is_later FROM purchase WHERE id = :id")
        return dict(session.execute(statement, {"id": purchase_id}).mappings().one())


def test_a_claimed_row_is_in_one_pair_of_hands(begin: Begin, now: datetime) -> None:
    """A repeated hint must not start work that runs."""
    purchase = add_purchase(begin, at=now)
    first = claim(begin, purchase.id)
    assert first is not None
    assert first.row.attempts == 1
    assert claim(begin, purchase.id) is None


def test_two_workers_that_claim_at_once_get_different_rows(begin: Begin, now: datetime) -> None:
    """SKIP LOCKED: nobody waits for a neighbour, and nobody gets the neighbour's rows."""
    ids = add_events(begin, now, 40)
    claims: list[Claim[WebhookEvent] | None] = []
    barrier = threading.Barrier(4)

    def take() -> None:
        barrier.wait()
        claims.append(claim_events(begin, 10))

    threads = [threading.Thread(target=take) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    taken = [row.id for one in claims if one is not None for row in one.rows]
    while rest := claim_events(begin, 10):
        taken += [row.id for row in rest.rows]
    assert sorted(taken, key=lambda row_id: row_id or 0) == ids


def test_a_row_whose_worker_died_is_free_when_its_lease_ends(begin: Begin, now: datetime) -> None:
    """A killed worker renews nothing, so its row is worked again within the lease."""
    purchase = add_purchase(begin, at=now)
    assert claim(begin, purchase.id, GONE) is not None
    again = claim(begin, purchase.id)
    assert again is not None
    assert again.row.attempts == 2


def test_a_frozen_worker_that_wakes_changes_nothing(begin: Begin, now: datetime) -> None:
    """Its lease has ended and another has the row: it must find out before it writes."""
    purchase = add_purchase(begin, at=now)
    frozen = claim(begin, purchase.id, GONE)
    other = claim(begin, purchase.id)
    assert frozen is not None
    assert other is not None
    with pytest.raises(LeaseLostError), begin() as session:
        work.resume(session, frozen)
    with begin() as session:
        assert [row.id for row in work.resume(session, other)] == [purchase.id]


def test_a_frozen_worker_that_wakes_first_may_still_finish(begin: Begin, now: datetime) -> None:
    """Safety rests on the token, not on time: nobody else has it, so the work is good."""
    purchase = add_purchase(begin, at=now)
    frozen = claim(begin, purchase.id, GONE)
    assert frozen is not None
    with begin() as session:
        (row,) = work.resume(session, frozen)
        work.put_off(row, timedelta(seconds=5), "later")
    assert columns(begin, purchase.id)["is_later"] is True


def test_a_renewed_lease_keeps_others_out(begin: Begin, now: datetime) -> None:
    """A living worker may take its time."""
    purchase = add_purchase(begin, at=now)
    mine = claim(begin, purchase.id, GONE)
    assert mine is not None
    work.renew(begin, [mine.token], 8)
    assert claim(begin, purchase.id) is None


def test_renewing_a_lost_claim_renews_nothing(begin: Begin, now: datetime) -> None:
    purchase = add_purchase(begin, at=now)
    lost = claim(begin, purchase.id, GONE)
    other = claim(begin, purchase.id, GONE)
    assert lost is not None
    assert other is not None
    work.renew(begin, [lost.token], 8)
    assert claim(begin, purchase.id) is not None


def test_a_batch_takes_only_rows_that_were_never_tried(begin: Begin, now: datetime) -> None:
    """A row that killed its worker must not kill the next one with two hundred neighbours in its hands."""
    tried, *fresh = add_events(begin, now, 3)
    claim_events(begin, 1, GONE)
    batch = claim_events(begin, 10)
    assert batch is not None
    assert [row.id for row in batch.rows] == fresh
    with begin() as session:
        alone = work.claim_tried(session, WebhookEvent, TERMS)
    assert alone is not None
    assert [row.id for row in alone.rows] == [tried]


def test_rows_that_others_took_meanwhile_are_left_out(begin: Begin, now: datetime) -> None:
    """A late worker finishes what is still its own."""
    first, second = add_events(begin, now, 2)
    late = claim_events(begin, 2, GONE)
    assert late is not None
    with begin() as session:
        assert work.claim_tried(session, WebhookEvent, TERMS) is not None
    with begin() as session:
        assert [row.id for row in work.resume(session, late)] == [second]
    assert first


def test_a_row_that_was_put_off_is_not_due_until_then(begin: Begin, now: datetime) -> None:
    """Waiting is a due time in the row; no worker sleeps for it."""
    purchase = add_purchase(begin, at=now)
    mine = claim(begin, purchase.id)
    assert mine is not None
    with begin() as session:
        (row,) = work.resume(session, mine)
        work.put_off(row, timedelta(seconds=30), "busy")
    found = columns(begin, purchase.id)
    assert found["last_error"] == "busy"
    assert found["is_later"] is True
    assert claim(begin, purchase.id) is None


def test_claims_that_were_handed_back_do_not_wear_a_row_out(begin: Begin, now: datetime) -> None:
    """An hour of a service that is away is not the row's fault."""
    purchase = add_purchase(begin, at=now)
    for _ in range(10):
        mine = claim(begin, purchase.id)
        assert mine is not None
        assert not work.is_worn_out(mine.row, TERMS)
        with begin() as session:
            (row,) = work.resume(session, mine)
            work.put_off(row, timedelta(), "busy")


def test_claims_that_were_lost_wear_a_row_out(begin: Begin, now: datetime) -> None:
    """So many workers died over it that it must be what kills them."""
    purchase = add_purchase(begin, at=now)
    worn = [work.is_worn_out(one.row, TERMS) for one in (claim(begin, purchase.id, GONE) for _ in range(4)) if one]
    assert worn == [False, False, False, True]


def test_a_dead_letter_is_closed_and_listed(begin: Begin, now: datetime) -> None:
    """What gave up is a row that people find, and that no worker touches."""
    purchase = add_purchase(begin, at=now)
    mine = claim(begin, purchase.id)
    assert mine is not None
    with begin() as session:
        (row,) = work.resume(session, mine)
        row.state = row.state.FAILED
        work.give_up(row, "killed every worker")
    assert claim(begin, purchase.id) is None
    with begin() as session:
        letter = session.execute(text("SELECT kind, subject, reason FROM dead_letter")).one()
    assert tuple(letter) == ("purchase", str(purchase.id), "killed every worker")


def test_a_row_that_is_not_there_is_nobodys_work(begin: Begin) -> None:
    """A forged message names any id it likes."""
    assert claim(begin, new_id()) is None


def test_the_database_says_when_not_the_worker(begin: Begin) -> None:
    """A worker whose clock is a year off neither starts early nor waits for ever."""
    purchase = add_purchase(begin, at=datetime(2031, 1, 1, tzinfo=UTC))
    assert claim(begin, purchase.id) is not None
