"""A payment of which nothing is heard is asked about: whatever becomes of events, what was paid is credited."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text

from billing import ledger
from billing.db import Begin
from billing.deployment import Deployment
from billing.gateway import InvalidRequestError, NoConnectionError
from billing.messages import AskAboutPayment
from billing.models import PaymentWatch, Purchase
from billing.purchases.asking import ask_about_payment
from billing.purchases.watches import ASKS
from billing.secrets import Vault
from billing.states import PAYABLE
from billing.states import PurchaseState as P
from tests.support.factories import minutes_left
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
    assert (done.state, watch_of(office, done).asks) == (P.COMPLETED, 1)
    ask(office, done)
    assert watch_of(office, done).due_at is None
    assert minutes_left(office.desk.begin, done.student_id or 0) == 600
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
