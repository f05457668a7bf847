"""Purchases that nobody paid for a day end at Stripe first, and here then."""

from datetime import datetime, timedelta

import pytest

from billing.db import Begin
from billing.deployment import Deployment
from billing.gateway import InvalidRequestError
from billing.messages import PreparePayment
from billing.models import Purchase
from billing.purchases.abandon import close_abandoned
from billing.purchases.cancel import REQUEST
from billing.secrets import Vault
from billing.states import PurchaseState
from tests.support.factories import add_purchase, add_student, intent_body, minutes_left
from tests.support.office import Returns, intent_of, unreachable

P = PurchaseState
DAY = 24 * 60


@pytest.fixture
def returns(begin: Begin, deployment: Deployment, vault: Vault, now: datetime) -> Returns:
    return Returns(begin, deployment, vault, now)


def unpaid(returns: Returns) -> Purchase:
    """A purchase with its intent, as a buyer left it."""
    return returns.work(returns.buy())


def abandon(returns: Returns) -> list[PreparePayment]:
    found = close_abandoned(returns.desk.begin, now=returns.desk.now)
    return [message for message in found if isinstance(message, PreparePayment)]


def cancel(returns: Returns, purchase: Purchase) -> None:
    """As the door notes the wish."""
    with returns.desk.begin() as session:
        session.execute(REQUEST, {"id": purchase.id, "now": returns.desk.now})


def test_after_a_day_to_the_instant_a_purchase_is_abandoned(returns: Returns) -> None:
    purchase = unpaid(returns)
    returns.pass_time(DAY - 0.001)
    assert abandon(returns) == []
    returns.pass_time(0.001)
    assert abandon(returns) == [PreparePayment(purchase_id=purchase.id)]
    ended = returns.work(purchase)
    assert (ended.state, ended.client_secret, ended.due_at) == (P.EXPIRED, None, None)
    (intent,) = returns.gateway.intents.values()
    assert intent.status == "canceled"


def test_a_declined_purchase_is_abandoned_too(returns: Returns) -> None:
    purchase = unpaid(returns)
    body = intent_body(purchase, returns.desk.deployment, status="requires_payment_method")
    assert returns.hear("payment_intent.payment_failed", body) == "applied"
    returns.pass_time(DAY)
    abandon(returns)
    assert returns.work(purchase).state is P.EXPIRED


@pytest.mark.parametrize("state", [P.QUEUED, P.PROCESSING, P.COMPLETED, P.CANCELLED, P.EXPIRED])
def test_what_is_not_waiting_for_its_buyer_is_left_alone(returns: Returns, state: PurchaseState) -> None:
    """A bank may take days for a payment that is being processed; a queued one is our own work."""
    owner = add_student(returns.desk.begin, at=returns.desk.now)
    add_purchase(returns.desk.begin, at=returns.desk.now, state=state, student_id=owner)
    returns.pass_time(30 * DAY)
    assert abandon(returns) == []


def test_a_failed_purchase_without_an_intent_is_over_already(returns: Returns) -> None:
    returns.fail_with(InvalidRequestError())
    assert returns.work(returns.buy()).state is P.FAILED
    returns.pass_time(DAY)
    assert abandon(returns) == []


def test_a_second_tick_wishes_nothing_twice(returns: Returns) -> None:
    unpaid(returns)
    returns.pass_time(DAY)
    assert len(abandon(returns)) == 1
    assert abandon(returns) == []


def test_many_are_abandoned_in_chunks(returns: Returns, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("billing.purchases.abandon.CHUNK", 2)
    for _ in range(5):
        add_purchase(returns.desk.begin, at=returns.desk.now, state=P.PENDING)
    returns.pass_time(DAY)
    assert len({message.purchase_id for message in abandon(returns)}) == 5


def test_what_was_paid_meanwhile_is_credited(returns: Returns) -> None:
    """Stripe refuses to cancel what it has the money for: then the buyer has the hours."""
    purchase = unpaid(returns)
    returns.pass_time(DAY)
    abandon(returns)
    (intent,) = returns.gateway.intents.values()
    returns.gateway.change(intent.id, status="succeeded", amount_received_cents=14_000)
    done = returns.work(purchase)
    assert (done.state, done.abandoned_at) == (P.COMPLETED, None)
    assert minutes_left(returns.desk.begin, done.student_id or 0) == 600
    returns.prove()


def test_what_stripe_refuses_is_tried_again_in_the_next_hour(returns: Returns) -> None:
    """A payment whose processing we have not heard of cannot be cancelled: it stays as it is until then."""
    purchase = unpaid(returns)
    returns.pass_time(DAY)
    abandon(returns)
    (intent,) = returns.gateway.intents.values()
    returns.gateway.change(intent.id, status="processing")
    kept = returns.work(purchase)
    assert (kept.state, kept.abandoned_at, kept.cancel_requested_at, kept.due_at) == (P.PENDING, None, None, None)
    returns.gateway.change(intent.id, status="requires_payment_method")
    returns.pass_time(60)
    assert len(abandon(returns)) == 1
    assert returns.work(purchase).state is P.EXPIRED
    assert len(set(returns.gateway.cancels)) == 2


def test_a_stripe_that_is_away_is_waited_for(returns: Returns) -> None:
    purchase = unpaid(returns)
    returns.pass_time(DAY)
    abandon(returns)
    returns.fail_with(unreachable())
    assert returns.work(purchase).state is P.PENDING
    assert returns.work(purchase).state is P.EXPIRED


def test_the_event_of_the_cancellation_may_come_first(returns: Returns) -> None:
    """The worker died after Stripe had cancelled it: it ends as what it was, and nothing is left to do."""
    purchase = unpaid(returns)
    returns.pass_time(DAY)
    abandon(returns)
    body = intent_body(purchase, returns.desk.deployment, status="canceled")
    assert returns.hear("payment_intent.canceled", body) == "applied"
    ended = returns.load(purchase)
    assert (ended.state, ended.due_at) == (P.EXPIRED, None)
    returns.work(purchase)
    assert returns.gateway.cancels == []


def test_the_buyers_own_cancel_stays_cancelled(returns: Returns) -> None:
    """Who said no is not told that time ran out, however late a worker comes."""
    purchase = unpaid(returns)
    returns.pass_time(DAY - 1)
    cancel(returns, purchase)
    returns.pass_time(DAY)
    assert abandon(returns) == []
    assert returns.work(purchase).state is P.CANCELLED


def test_an_abandoned_purchase_that_is_paid_after_all_is_credited_and_told(returns: Returns) -> None:
    """Money that reached Stripe becomes hours, whatever we thought of it."""
    purchase = unpaid(returns)
    returns.pass_time(DAY)
    abandon(returns)
    returns.work(purchase)
    returns.hear("payment_intent.succeeded", intent_body(purchase, returns.desk.deployment))
    assert returns.load(purchase).state is P.COMPLETED
    assert returns.cases() == ["paid_after_end"]


def test_a_day_begins_when_it_was_accepted(returns: Returns) -> None:
    young = unpaid(returns)
    returns.pass_time(60)
    old = add_purchase(returns.desk.begin, at=returns.desk.now - timedelta(days=2), state=P.PENDING)
    assert [message.purchase_id for message in abandon(returns)] == [old.id]
    assert returns.load(young).abandoned_at is None


def test_a_payment_that_cannot_be_cancelled_yet_is_wished_for_until_it_can(returns: Returns) -> None:
    """Declined first and then paid by bank debit, it is being processed for days, and Stripe refuses each hour.

    Answered wishes wear nothing out, so that the purchase ends once the debit has bounced.
    """
    purchase = unpaid(returns)
    body = intent_body(purchase, returns.desk.deployment, status="requires_payment_method")
    returns.hear("payment_intent.payment_failed", body)
    returns.gateway.change(intent_of(purchase), status="processing")
    returns.pass_time(DAY)
    for _ in range(8):
        assert abandon(returns) == [PreparePayment(purchase_id=purchase.id)]
        kept = returns.work(purchase)
        assert (kept.due_at, kept.gave_up_at) == (None, None)
        returns.pass_time(60)
    returns.gateway.change(intent_of(purchase), status="requires_payment_method")
    abandon(returns)
    assert returns.work(purchase).state is P.EXPIRED
