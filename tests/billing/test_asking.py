"""A payment of which nothing is heard is asked about: whatever becomes of events, what was paid is credited."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text

from billing import ledger
from billing.db import Begin
from billing.deployment import Deployment
from billing.errors import LeaseLostError
from billing.gateway import Intent, InvalidRequestError, NoConnectionError
from billing.messages import AskAboutPayment
from billing.models import PaymentWatch, Purchase
from billing.purchases.asking import ask_about_payment
from billing.purchases.watches import ASKS
from billing.secrets import Vault
from billing.states import PAYABLE
from billing.states import PurchaseState as P
from billing.webhooks.drain import drain
from tests.support.factories import add_event, event_body, intent_body, minutes_left
from tests.support.gateway import FakeGateway
from tests.support.hints import KeptHints
from tests.support.office import Office


def wait_of(office: Office, purchase: Purchase) -> timedelta:
    """How far away its next look is, by the database's clock."""
    with office.desk.begin() as session:
        found = text("SELECT due_at - clock_timestamp() FROM payment_watch WHERE id = :id")
        wait: timedelta = session.execute(found, {"id": purchase.id}).scalar_one()
        return wait


@pytest.fixture
def office(begin: Begin, deployment: Deployment, vault: Vault, now: datetime) -> Office:
    return Office(begin, deployment, vault, now)


def watch_of(office: Office, purchase: Purchase) -> PaymentWatch:
    with office.desk.begin() as session:
        return session.get_one(PaymentWatch, purchase.id)


def ask(office: Office, purchase: Purchase) -> Purchase:
    """As if its time had come; the purchase as it is then."""
    with office.desk.begin() as session:
        session.execute(text("UPDATE payment_watch SET due_at = clock_timestamp() WHERE due_at IS NOT NULL"))
    ask_about_payment(office.desk, AskAboutPayment(purchase_id=purchase.id))
    return office.load(purchase)


@pytest.fixture
def pending(office: Office) -> Purchase:
    return office.work(office.buy())


def test_a_lost_event_of_a_payment_is_made_up_for(office: Office, pending: Purchase) -> None:
    office.gateway.change("pi_1", status="succeeded", amount_received_cents=14_000)
    done = ask(office, pending)
    watch = watch_of(office, done)
    assert (done.state, watch.asks, watch.due_at) == (P.COMPLETED, 1, None)
    assert minutes_left(office.desk.begin, done.student_id or 0) == 600
    assert ledger.violations(office.desk.begin) == []


def test_a_payment_that_was_heard_of_is_not_asked_about(office: Office, pending: Purchase) -> None:
    """Nearly all are: a message and a claim for each of them would be what workers are busiest with."""
    body = intent_body(pending, office.desk.deployment)
    add_event(office.desk.begin, event_body("payment_intent.succeeded", body, at=office.desk.now), at=office.desk.now)
    drain(office.desk.begin, office.leases, KeptHints(), deployment=office.desk.deployment, now=office.desk.now)
    watch = watch_of(office, pending)
    assert (office.load(pending).state, watch.due_at, watch.asks) == (P.COMPLETED, None, 0)


def test_news_that_come_while_it_is_asked_about_come_first(office: Office, pending: Purchase) -> None:
    """Whoever completes it ends the watch; what Stripe answered to the question is told by then."""
    office.gateway.change("pi_1", status="succeeded", amount_received_cents=14_000)
    body = intent_body(pending, office.desk.deployment)

    class Slow(FakeGateway):
        def retrieve_intent(self, intent_id: str) -> Intent:
            event = event_body("payment_intent.succeeded", body, at=office.desk.now)
            add_event(office.desk.begin, event, at=office.desk.now)
            drain(office.desk.begin, office.leases, KeptHints(), deployment=office.desk.deployment, now=office.desk.now)
            return quiet.retrieve_intent(intent_id)

    quiet = office.gateway
    office.desk = replace(office.desk, gateway=Slow(office.desk.now))
    with pytest.raises(LeaseLostError):
        ask(office, pending)
    assert (office.load(pending).state, watch_of(office, pending).due_at) == (P.COMPLETED, None)
    assert minutes_left(office.desk.begin, office.load(pending).student_id or 0) == 600
    assert ledger.violations(office.desk.begin) == []


def test_what_was_paid_otherwise_than_sold_is_not_credited(office: Office, pending: Purchase) -> None:
    office.gateway.change("pi_1", status="succeeded", amount_received_cents=1)
    assert ask(office, pending).state is P.PENDING


@pytest.mark.parametrize(
    ("there", "state"),
    [
        ({"status": "processing"}, P.PROCESSING),
        ({"status": "canceled"}, P.CANCELLED),
        ({"status": "requires_payment_method", "error_type": "card_error", "error_message": "No."}, P.FAILED),
        ({"status": "requires_payment_method"}, P.PENDING),
        ({"status": "requires_action"}, P.PENDING),
    ],
)
def test_its_present_state_is_taken_over(
    office: Office,
    pending: Purchase,
    there: Mapping[str, Any],
    state: P,
) -> None:
    office.gateway.change("pi_1", **there)
    assert ask(office, pending).state is state
    assert ask(office, pending).state is state


def test_the_waits_grow_and_end_after_five_days(office: Office, pending: Purchase) -> None:
    """Five minutes, an hour, a day, and each day after it; then it is left to the hourly look for unpaid ones."""
    for expected in ASKS:
        assert expected - timedelta(seconds=30) < wait_of(office, pending) <= expected
        ask(office, pending)
    row = watch_of(office, pending)
    assert (row.asks, row.due_at, office.load(pending).state) == (len(ASKS), None, P.PENDING)


def test_a_stripe_that_is_away_is_asked_again(office: Office, pending: Purchase) -> None:
    office.fail_with(NoConnectionError())
    assert ask(office, pending).state is P.PENDING
    row = watch_of(office, pending)
    assert (row.asks, row.deferrals, row.gave_up_at) == (0, 1, None)
    assert row.due_at is not None
    ask(office, pending)
    assert watch_of(office, pending).asks == 1


def test_what_stripe_does_not_know_is_left_to_people(office: Office, pending: Purchase) -> None:
    office.fail_with(InvalidRequestError())
    assert ask(office, pending).state is P.PENDING
    row = watch_of(office, pending)
    assert row.due_at is None
    assert row.gave_up_at is not None


@pytest.mark.parametrize("state", sorted(set(P) - PAYABLE - {P.QUEUED}))
def test_a_settled_payment_is_not_asked_about(office: Office, pending: Purchase, state: P) -> None:
    with office.desk.begin() as session:
        settled = text("UPDATE purchase SET state = :state, client_secret = NULL, paid_at = accepted_at WHERE id = :id")
        session.execute(settled, {"state": state.value, "id": pending.id})
    office.fail_with(InvalidRequestError())
    ask(office, pending)
    assert watch_of(office, pending).due_at is None
    assert len(office.gateway.troubles) == 1
