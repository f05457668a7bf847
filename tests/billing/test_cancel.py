"""A buyer may change their mind; cancelled is what Stripe says, or what it was never asked for."""

import asyncio
from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID

import pytest

from billing import db, ledger
from billing.db import Begin
from billing.deployment import Deployment
from billing.gateway import Intent, InvalidRequestError, OutcomeUnknownError, StoredCall, StripeCrowdedError
from billing.ids import new_id
from billing.messages import PreparePayment
from billing.models import Purchase
from billing.purchases.cancel import request_cancel
from billing.purchases.payment import prepare_payment
from billing.secrets import Vault
from billing.states import PurchaseState
from tests.support.database import connect_async
from tests.support.factories import STANDARD_MINUTES, add_student, minutes_left
from tests.support.gateway import FakeGateway
from tests.support.office import Office, unreachable

P = PurchaseState


@pytest.fixture
def office(begin: Begin, deployment: Deployment, vault: Vault, now: datetime) -> Office:
    return Office(begin, deployment, vault, now)


@pytest.fixture
def wish(database_url: str, now: datetime) -> "Wish":
    return Wish(database_url, now)


class Wish:
    """What the door writes down."""

    def __init__(self, database_url: str, now: datetime) -> None:
        self._url, self._now = database_url, now

    def later(self, *, seconds: int) -> None:
        self._now += timedelta(seconds=seconds)

    async def __call__(self, purchase_id: UUID) -> PurchaseState | None:
        engine = connect_async(self._url)
        try:
            async with db.begin_async(engine) as connection:
                return await request_cancel(connection, purchase_id, now=self._now)
        finally:
            await engine.dispose()

    def of(self, purchase: Purchase) -> PurchaseState | None:
        return self.of_id(purchase.id)

    def of_id(self, purchase_id: UUID) -> PurchaseState | None:
        return asyncio.run(self(purchase_id))


def test_a_purchase_that_stripe_never_heard_of_is_cancelled_without_it(office: Office, wish: Wish) -> None:
    purchase = office.buy()
    assert wish.of(purchase) is P.QUEUED
    cancelled = office.work(purchase)
    assert (cancelled.state, cancelled.due_at) == (P.CANCELLED, None)
    assert office.gateway.creates == []


def test_a_prepared_purchase_is_cancelled_at_stripe_first(office: Office, wish: Wish) -> None:
    """Nobody may pay for what is cancelled here."""
    purchase = office.buy()
    office.work(purchase)
    assert wish.of(purchase) is P.PENDING
    cancelled = office.work(purchase)
    (intent,) = office.gateway.intents.values()
    assert (cancelled.state, cancelled.client_secret, intent.status) == (P.CANCELLED, None, "canceled")


def test_a_cancel_during_the_create_stores_the_intent_and_then_cancels_it(office: Office, wish: Wish) -> None:
    """The worker that holds the create never forgets what it made."""
    purchase = office.buy()
    office.gateway.lost = [unreachable()]
    office.work(purchase)
    wish.of(purchase)
    done = office.work(purchase)
    (intent,) = office.gateway.intents.values()
    assert (done.state, done.payment_intent_id, intent.status) == (P.CANCELLED, intent.id, "canceled")


def test_a_cancel_that_comes_too_late_completes_the_purchase(office: Office, wish: Wish) -> None:
    """Stripe says it was paid: the buyer gets the hours."""
    purchase = office.buy()
    pending = office.work(purchase)
    assert pending.payment_intent_id is not None
    office.gateway.change(pending.payment_intent_id, status="succeeded", amount_received_cents=14_000)
    wish.of(purchase)
    done = office.work(purchase)
    assert (done.state, done.cancel_requested_at) == (P.COMPLETED, None)
    assert done.student_id is not None
    assert minutes_left(office.desk.begin, done.student_id) == STANDARD_MINUTES
    assert ledger.violations(office.desk.begin) == []


def test_a_payment_on_its_way_cannot_be_cancelled(office: Office, wish: Wish) -> None:
    """Stripe refuses it for a bank debit that has begun: the wish is dropped, the purchase goes on."""
    purchase = office.buy()
    pending = office.work(purchase)
    assert pending.payment_intent_id is not None
    office.gateway.change(pending.payment_intent_id, status="processing")
    wish.of(purchase)
    left = office.work(purchase)
    assert (left.state, left.cancel_requested_at, left.due_at) == (P.PENDING, None, None)


def test_a_new_wish_is_not_answered_with_the_refusal_of_an_old_one(office: Office, wish: Wish) -> None:
    """Stripe repeats its answer to a key for a day; a wish that is sent again keeps its key, a new one has another."""
    purchase = office.buy()
    pending = office.work(purchase)
    assert pending.payment_intent_id is not None
    office.gateway.change(pending.payment_intent_id, status="processing")
    wish.of(purchase)
    office.work(purchase)
    office.gateway.change(pending.payment_intent_id, status="requires_payment_method")
    wish.later(seconds=60)
    wish.of(purchase)
    assert office.work(purchase).state is P.CANCELLED
    first, second = office.gateway.cancels
    assert first != second


def test_a_cancel_while_stripe_is_away_is_done_when_it_is_back(office: Office, wish: Wish) -> None:
    purchase = office.buy()
    office.work(purchase)
    wish.of(purchase)
    office.fail_with(unreachable())
    assert office.work(purchase).state is P.PENDING
    assert office.work(purchase).state is P.CANCELLED


def test_a_cancel_that_found_no_place_was_not_tried(office: Office, wish: Wish) -> None:
    """Neither is it asked for first then, nor does it wait longer the next time."""
    purchase = office.buy()
    office.work(purchase)
    wish.of(purchase)
    office.fail_with(StripeCrowdedError(0.0))
    assert (office.work(purchase).state, office.load(purchase).deferrals) == (P.PENDING, 0)
    assert office.work(purchase).state is P.CANCELLED


def test_a_cancel_that_stripe_does_not_understand_is_dropped(office: Office, wish: Wish) -> None:
    purchase = office.buy()
    office.work(purchase)
    wish.of(purchase)
    office.fail_with(InvalidRequestError(), InvalidRequestError())
    left = office.work(purchase)
    assert (left.state, left.due_at, left.cancel_requested_at) == (P.PENDING, None, None)


@pytest.mark.parametrize("state", [P.COMPLETED, P.CANCELLED, P.EXPIRED, P.REFUNDED])
def test_a_settled_purchase_is_left_as_it_is(office: Office, wish: Wish, state: PurchaseState) -> None:
    student = add_student(office.desk.begin, at=office.desk.now)
    purchase = office.buy(state=state, student_id=student)
    assert wish.of(purchase) is state
    assert office.load(purchase).due_at is None


def test_a_declined_purchase_can_be_cancelled_and_a_refused_one_cannot(office: Office, wish: Wish) -> None:
    """A declined intent could still be paid; where there is no intent there is nothing to cancel."""
    declined = office.buy(state=P.FAILED)
    wish.of(declined)
    assert office.load(declined).due_at is not None
    refused = office.buy(state=P.FAILED, payment_intent_id=None)
    wish.of(refused)
    assert office.load(refused).due_at is None


def test_a_cancel_of_nothing_finds_nothing(wish: Wish) -> None:
    assert wish.of_id(new_id()) is None


def test_a_cancel_in_a_race_with_its_create_ends_cancelled(office: Office, wish: Wish) -> None:
    """The wish is written while the worker waits for Stripe's answer to the create."""
    purchase = office.buy()

    class Raced(FakeGateway):
        def create_intent(self, call: StoredCall) -> Intent:
            wish.of(purchase)
            return super().create_intent(call)

    office.desk = replace(office.desk, gateway=Raced(office.desk.now))
    for message in prepare_payment(office.desk, PreparePayment(purchase_id=purchase.id)):
        if isinstance(message, PreparePayment):
            prepare_payment(office.desk, message)
    assert office.load(purchase).state is P.CANCELLED


def test_a_cancel_that_stripe_did_and_answered_with_an_error_is_seen_to_be_done(office: Office, wish: Wish) -> None:
    """Stripe repeats what it answered to a key for a day: who only sends again would hear the error that long."""
    purchase = office.buy()
    office.work(purchase)
    wish.of(purchase)
    office.fail_with(unreachable())
    office.work(purchase)
    office.gateway.change("pi_1", status="canceled")
    office.gateway.cancel_intent = _always_broken  # type: ignore[method-assign, assignment]
    assert office.work(purchase).state is P.CANCELLED


def _always_broken(_intent_id: str, _key: str) -> Intent:
    raise OutcomeUnknownError
