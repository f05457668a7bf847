"""Marks: events say that something changed, one worker asks what is true, whatever becomes of the workers."""

from dataclasses import replace
from datetime import datetime

import pytest
from sqlalchemy import text

from billing.db import Begin
from billing.deployment import Deployment
from billing.errors import LeaseLostError
from billing.gateway import InvalidRequestError, RefundThere, StripeCrowdedError
from billing.ids import new_id
from billing.messages import AskStripe
from billing.secrets import Vault
from billing.stale.ask import ask_stripe
from tests.support.gateway import FakeGateway
from tests.support.leases import UnrenewedLeases
from tests.support.office import Returns, intent_of, unreachable


class Dead(BaseException):
    """What a SIGKILL looks like from inside: nothing after it runs."""


@pytest.fixture
def returns(begin: Begin, deployment: Deployment, vault: Vault, now: datetime) -> Returns:
    return Returns(begin, deployment, vault, now)


def test_many_events_are_one_question(returns: Returns) -> None:
    """A refund alone brings three events; Stripe is asked once for all of them."""
    purchase = returns.sold()
    for kind in ("refund.created", "charge.refunded", "refund.updated"):
        returns.hear(kind, {"payment_intent": intent_of(purchase)})
    (mark,) = returns.marks()
    assert (mark.marks, AskStripe(mark_id=mark.id or 0) in returns.hints.sent) == (3, True)
    returns.ask()
    returns.ask()
    assert (returns.gateway.looks, returns.marks()[0].due_at) == (1, None)


def test_a_mark_is_asked_about_a_hundred_times_if_it_is_marked_so_often(returns: Returns) -> None:
    """Tries of an earlier question do not count against the next one: it is the same row for years."""
    purchase = returns.sold()
    for _ in range(12):
        returns.hear_of_refunds(purchase)
    assert returns.gateway.looks == 12
    assert returns.marks()[0].gave_up_at is None


def test_a_worker_that_died_while_it_asked_is_followed_by_another(returns: Returns) -> None:
    purchase = returns.sold()
    returns.gateway.refund_elsewhere(intent_of(purchase), 14_000)
    returns.leases = UnrenewedLeases(seconds=0.001)
    returns.desk = replace(returns.desk, leases=returns.leases)
    returns.gateway.troubles = [Dead()]
    with pytest.raises(Dead):
        returns.hear_of_refunds(purchase)
    returns.hear("charge.refunded", {"payment_intent": intent_of(purchase)})
    returns.ask()
    assert returns.minutes(purchase) == {"refunded": 600}


def test_a_worker_that_froze_while_it_asked_changes_nothing(returns: Returns) -> None:
    """Its answer is older than what another has applied meanwhile."""
    purchase = returns.sold()
    made = returns.gateway.refund_elsewhere(intent_of(purchase), 14_000, "pending")
    returns.hear("charge.refunded", {"payment_intent": intent_of(purchase)})
    (mark,) = returns.marks()
    message, other = AskStripe(mark_id=mark.id or 0), replace(returns.desk, leases=UnrenewedLeases())

    class Slow(FakeGateway):
        def list_refunds(self, payment_intent_id: str) -> list[RefundThere]:
            before = list(other.gateway.list_refunds(payment_intent_id))
            returns.gateway.change_refund(made.id, status="failed")
            ask_stripe(other, message)
            return before

    slow = replace(returns.desk, gateway=Slow(returns.desk.now), leases=UnrenewedLeases(seconds=0.001))
    with pytest.raises(LeaseLostError):
        ask_stripe(slow, message)
    returns.prove()
    assert (returns.refunds(), returns.minutes(purchase)) == ([], {"left": 600})


def test_what_kills_its_workers_is_a_dead_letter_until_the_next_event(returns: Returns) -> None:
    purchase = returns.sold()
    returns.leases = UnrenewedLeases(seconds=0.001, lost_claims=3)
    returns.desk = replace(returns.desk, leases=returns.leases)
    returns.gateway.troubles = [Dead() for _ in range(3)]
    returns.hear("charge.refunded", {"payment_intent": intent_of(purchase)})
    for _ in range(3):
        with pytest.raises(Dead):
            returns.ask()
    returns.ask()
    assert returns.marks()[0].gave_up_at is not None
    returns.gateway.refund_elsewhere(intent_of(purchase), 14_000)
    returns.hear_of_refunds(purchase)
    assert returns.minutes(purchase) == {"refunded": 600}
    assert returns.marks()[0].gave_up_at is None


def test_a_mark_that_was_made_once_more_while_it_was_asked_about_begins_anew(returns: Returns) -> None:
    """An answer came, so trouble of before is over: the next one is waited for a second, not half a minute."""
    purchase = returns.sold()
    quiet = returns.gateway

    class Slow(FakeGateway):
        def list_refunds(self, payment_intent_id: str) -> list[RefundThere]:
            returns.desk = replace(returns.desk, gateway=quiet)
            found = list(quiet.list_refunds(payment_intent_id))
            returns.hear("charge.refunded", {"payment_intent": payment_intent_id})
            return found

    quiet.troubles = [unreachable() for _ in range(3)]
    returns.hear("charge.refunded", {"payment_intent": intent_of(purchase)})
    for _ in range(3):
        returns.ask()
    (troubled,) = returns.marks()
    assert troubled.deferrals == 3
    returns.desk = replace(returns.desk, gateway=Slow(returns.desk.now))
    with returns.desk.begin() as session:
        session.execute(text("UPDATE stale_mark SET due_at = clock_timestamp()"))
    ask_stripe(returns.desk, AskStripe(mark_id=troubled.id or 0))
    (mark,) = returns.marks()
    assert mark.due_at is not None
    assert (mark.attempts, mark.deferrals, mark.last_error) == (0, 0, None)


def test_trouble_that_may_pass_is_asked_through(returns: Returns) -> None:
    purchase = returns.sold()
    returns.gateway.refund_elsewhere(intent_of(purchase), 14_000)
    returns.gateway.troubles = [unreachable() for _ in range(3)]
    returns.hear("charge.refunded", {"payment_intent": intent_of(purchase)})
    for _ in range(4):
        returns.ask()
    assert returns.minutes(purchase) == {"refunded": 600}


def test_what_stripe_does_not_know_is_left_to_people(returns: Returns) -> None:
    returns.gateway.troubles = [InvalidRequestError()]
    returns.hear_of_refunds(returns.sold())
    (mark,) = returns.marks()
    assert (mark.due_at, mark.gave_up_at is None) == (None, False)


def test_a_second_hint_asks_nobody(returns: Returns) -> None:
    purchase = returns.sold()
    returns.hear_of_refunds(purchase)
    ask_stripe(returns.desk, AskStripe(mark_id=returns.marks()[0].id or 0))
    ask_stripe(returns.desk, AskStripe(mark_id=new_id().int % 1_000_000 + 1_000))
    assert returns.gateway.looks == 1


def test_an_event_never_waits_for_a_worker_that_asks(returns: Returns) -> None:
    """Marking takes no lock that is held while Stripe thinks: a batch of events must not stand still."""
    purchase = returns.sold()

    class Watching(FakeGateway):
        def list_refunds(self, payment_intent_id: str) -> list[RefundThere]:
            with returns.desk.begin() as session:
                session.execute(text("SET LOCAL lock_timeout = '1ms'"))
                session.execute(text("SELECT * FROM stale_mark FOR UPDATE"))
                session.execute(text("SELECT * FROM purchase FOR UPDATE"))
            return []

    returns.hear("charge.refunded", {"payment_intent": intent_of(purchase)})
    returns.desk = replace(returns.desk, gateway=Watching(returns.desk.now))
    returns.ask()
    assert returns.marks()[0].due_at is None


def test_no_place_under_our_own_limits_is_no_trouble_of_what_was_to_be_asked(returns: Returns) -> None:
    """However often there was none: a case is for what Stripe says, and the next real wait is the first one."""
    pending = returns.work(returns.buy())
    made = returns.gateway.raise_dispute(intent_of(pending), 14_000)
    returns.gateway.troubles.extend([StripeCrowdedError(0.05)] * 5)
    returns.hear_of_dispute(made.id)
    for _ in range(2):
        returns.ask()
    (mark,) = returns.marks()
    assert mark.deferrals <= 2
    assert returns.cases() == []
