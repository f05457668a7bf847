"""News of a payment that comes before our own row knows it goes on as soon as the row does, and never waits longer."""

import threading
from datetime import datetime
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlmodel import select

from billing.db import Begin
from billing.deployment import Deployment
from billing.gateway import InvalidRequestError
from billing.messages import EventsWaiting, PreparePayment, ReceiptsWaiting
from billing.models import Purchase, WebhookEvent
from billing.purchases.payment import prepare_payment
from billing.secrets import Vault
from billing.states import EventState, Outcome, PurchaseState
from billing.webhooks.drain import drain
from tests.support.factories import STANDARD_MINUTES, add_student, intent_body, minutes_left
from tests.support.locks import until_somebody_waits
from tests.support.office import Returns, unreachable

PAID = "payment_intent.succeeded"
DECLINED = "payment_intent.payment_failed"
MADE = "pi_1"
"""The first intent that Stripe makes."""


@pytest.fixture
def returns(begin: Begin, deployment: Deployment, vault: Vault, now: datetime) -> Returns:
    return Returns(begin, deployment, vault, now)


def news_of(returns: Returns, purchase: Purchase, **changes: Any) -> dict[str, Any]:
    return intent_body(purchase, returns.desk.deployment, **{"id": MADE, **changes})


def the_event(returns: Returns) -> WebhookEvent:
    with returns.desk.begin() as session:
        return session.exec(select(WebhookEvent)).one()


def due_in_seconds(returns: Returns) -> float:
    with returns.desk.begin() as session:
        wait = text("SELECT extract(epoch FROM due_at - clock_timestamp()) FROM webhook_event")
        return float(session.execute(wait).scalar_one())


def drain_again(returns: Returns) -> None:
    drain(returns.desk.begin, returns.leases, returns.hints, deployment=returns.desk.deployment, now=returns.desk.now)


def wait_long(returns: Returns) -> None:
    with returns.desk.begin() as session:
        later = "UPDATE webhook_event SET due_at = clock_timestamp() + interval '30 s', hint_at = due_at"
        session.execute(text(later))


def test_who_keeps_the_payment_wakes_what_was_heard_of_it(returns: Returns) -> None:
    """Its third wait would be half a minute, of which the buyer would see nothing but that the hours are not there."""
    purchase = returns.buy()
    assert returns.hear(PAID, news_of(returns, purchase)) == Outcome.WAIT
    wait_long(returns)
    hint = PreparePayment(purchase_id=purchase.id)
    assert EventsWaiting() in prepare_payment(returns.desk, hint)
    assert due_in_seconds(returns) <= 0
    event = the_event(returns)
    assert (event.attempts, event.deferrals) == (0, 0)
    student_id = returns.load(purchase).student_id or 0
    assert minutes_left(returns.desk.begin, student_id) == 0
    drain_again(returns)
    assert minutes_left(returns.desk.begin, student_id) == STANDARD_MINUTES


def test_only_what_waits_for_this_purchase_is_woken(returns: Returns) -> None:
    """Each time that an event is tried for nothing it comes nearer to being given up."""
    purchase, other = returns.buy(email="one@example.com"), returns.buy(email="other@example.com")
    assert returns.hear(PAID, news_of(returns, other, id="pi_of_the_other")) == Outcome.WAIT
    wait_long(returns)
    assert EventsWaiting() not in prepare_payment(returns.desk, PreparePayment(purchase_id=purchase.id))
    assert due_in_seconds(returns) > 20


@pytest.mark.parametrize("ending", ["its time was up", "Stripe refuses it", "its buyer does not want it"])
def test_who_finds_that_there_is_nothing_to_pay_wakes_it_too(returns: Returns, ending: str) -> None:
    """What we cancelled at Stripe ourselves is told of as well, and is no news to anybody for half a minute."""
    purchase = returns.buy()
    if ending == "its time was up":
        returns.gateway.lost = [unreachable()]
        returns.work(purchase)
        returns.pass_time(16)
    elif ending == "Stripe refuses it":
        returns.fail_with(InvalidRequestError())
    else:
        with returns.desk.begin() as session:
            session.execute(text("UPDATE purchase SET cancel_requested_at = :now"), {"now": returns.desk.now})
    cancelled = news_of(returns, purchase, status="canceled")
    assert returns.hear("payment_intent.canceled", cancelled) == Outcome.WAIT
    wait_long(returns)
    with returns.desk.begin() as session:
        session.execute(text("UPDATE purchase SET due_at = clock_timestamp()"))
    assert EventsWaiting() in prepare_payment(returns.desk, PreparePayment(purchase_id=purchase.id))
    drain_again(returns)
    assert the_event(returns).outcome is Outcome.LATE


def test_an_event_that_was_given_up_is_left_to_people(returns: Returns) -> None:
    purchase = returns.buy()
    for _ in range(6):
        returns.hear(PAID, news_of(returns, purchase))
    with returns.desk.begin() as session:
        given_up = select(WebhookEvent.id).where(WebhookEvent.state == EventState.PARKED)
        parked = set(session.exec(given_up))
    assert parked
    returns.work(purchase)
    with returns.desk.begin() as session:
        assert set(session.exec(given_up)) == parked


@pytest.mark.parametrize("kind", [PAID, DECLINED])
def test_news_waits_for_whoever_is_about_to_keep_the_payment(returns: Returns, kind: str) -> None:
    """Its worker wakes what waits before he commits; what has looked before that and hands back after is not missed."""
    owner = add_student(returns.desk.begin, at=returns.desk.now)
    purchase = returns.buy(student_id=owner)
    heard: list[str] = []
    body = news_of(returns, purchase, status=kind.removeprefix("payment_intent."))
    hearing = threading.Thread(target=lambda: heard.append(returns.hear(kind, body)))
    with returns.desk.begin() as session:
        kept = "UPDATE purchase SET state = 'pending', payment_intent_id = :id, due_at = NULL, hint_at = NULL"
        session.execute(text(kept), {"id": MADE})
        hearing.start()
        until_somebody_waits(returns.desk.begin)
    hearing.join()
    assert heard == [Outcome.APPLIED]


def test_a_mark_that_names_no_purchase_of_ours_waits_too(returns: Returns) -> None:
    """A restored database may be behind Stripe: people decide, once it has waited for long enough."""
    purchase = returns.buy()
    purchase.id = UUID(int=7)
    assert returns.hear(PAID, news_of(returns, purchase)) == Outcome.WAIT
    assert the_event(returns).waits_for == UUID(int=7)


def test_a_payment_found_at_stripe_hints_all_that_follows_from_it(returns: Returns) -> None:
    """The answer was lost and the buyer has paid: nothing of what is to be done now waits for the sweeper."""
    purchase = returns.buy()
    returns.gateway.lost = [unreachable()]
    returns.work(purchase)
    returns.gateway.change(MADE, status="succeeded", amount_received_cents=purchase.price_cents)
    with returns.desk.begin() as session:
        session.execute(text("UPDATE purchase SET due_at = clock_timestamp()"))
    assert ReceiptsWaiting() in prepare_payment(returns.desk, PreparePayment(purchase_id=purchase.id))
    assert returns.load(purchase).state is PurchaseState.COMPLETED
