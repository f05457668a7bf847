"""A purchase of a subscription plan gets one subscription, whose first invoice its buyer can pay."""

import asyncio
from datetime import datetime
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlmodel import select

from billing import db
from billing.db import Begin
from billing.deployment import MARK, Deployment
from billing.gateway import InvalidRequestError, NoConnectionError, StoredCall
from billing.ids import installation_mark, new_id
from billing.messages import LinkStudent
from billing.models import Purchase, Subscription
from billing.recurring import Begun
from billing.secrets import Vault
from billing.states import PlanType, Step, SubscriptionStatus
from billing.states import PurchaseState as P
from billing.student_links import follow_link, request_link
from tests.support.database import connect_async
from tests.support.factories import add_student
from tests.support.gateway import FakeGateway
from tests.support.office import Returns

MONTHLY = {
    "plan_version_id": 5,
    "plan_type": PlanType.SUBSCRIPTION,
    "price_cents": 19_900,
    "minutes": 1800,
    "validity_days": None,
}

UNRECORDED = text("""
    UPDATE purchase SET state = 'queued', payment_intent_id = NULL, client_secret = NULL, subscription_id = NULL,
        due_at = clock_timestamp(), hint_at = clock_timestamp()
""")


@pytest.fixture
def office(begin: Begin, deployment: Deployment, vault: Vault, now: datetime) -> Returns:
    return Returns(begin, deployment, vault, now)


@pytest.fixture
def purchase(office: Returns) -> Purchase:
    return office.buy(**MONTHLY)


def subscriptions(office: Returns) -> list[Subscription]:
    with office.desk.begin() as session:
        return list(session.scalars(select(Subscription)))


def wish_cancelled(office: Returns, purchase: Purchase) -> None:
    with office.desk.begin() as session:
        wish = text(
            "UPDATE purchase SET cancel_requested_at = :now, due_at = clock_timestamp(), hint_at = clock_timestamp()"
            " WHERE id = :id"
        )
        session.execute(wish, {"id": purchase.id, "now": office.desk.now})


def test_the_buyer_gets_the_secret_of_the_first_invoice(office: Returns, purchase: Purchase, vault: Vault) -> None:
    pending = office.work(purchase)
    assert pending.state is P.PENDING
    assert pending.client_secret is not None
    assert pending.payment_intent_id is not None
    assert vault.open(pending.client_secret).startswith(pending.payment_intent_id)
    (there,) = office.gateway.subscriptions.values()
    (row,) = subscriptions(office)
    assert (row.stripe_subscription_id, row.id) == (there.id, pending.subscription_id)
    assert there.mark == installation_mark(office.desk.deployment.installation, pending.id)
    assert (row.status, row.student_id) == (SubscriptionStatus.INCOMPLETE, pending.student_id)


def test_the_subscription_is_made_incomplete_and_nothing_personal_is_told(office: Returns, purchase: Purchase) -> None:
    office.work(purchase)
    with office.desk.begin() as session:
        call = text("SELECT parameters FROM stripe_call WHERE operation = 'subscription.create'")
        parameters = session.execute(call).scalar_one()
    assert parameters["payment_behavior"] == "default_incomplete"
    assert set(parameters["metadata"]) == {MARK, "request_id"}
    assert "ana@example.com" not in repr(parameters)


def test_a_lost_answer_makes_no_second_subscription(office: Returns, purchase: Purchase) -> None:
    real = office.gateway.create_subscription

    def lose(call: object) -> object:
        real(call)  # type: ignore[arg-type]
        office.gateway.create_subscription = real  # type: ignore[method-assign]
        raise NoConnectionError

    office.gateway.create_subscription = lose  # type: ignore[assignment, method-assign]
    assert office.work(purchase).state is P.QUEUED
    assert office.work(purchase).state is P.PENDING
    assert len(office.gateway.subscriptions) == 1
    assert len(subscriptions(office)) == 1


def test_one_that_was_sent_often_is_looked_for(office: Returns, purchase: Purchase) -> None:
    office.work(purchase)
    with office.desk.begin() as session:  # as if the answer had never been recorded
        session.execute(UNRECORDED)
        session.execute(text("UPDATE stripe_call SET state = 'open', object_id = NULL, answered_at = NULL, sends = 5"))
    pending = office.work(purchase)
    assert pending.state is P.PENDING
    assert pending.subscription_id is not None
    assert len(office.gateway.subscriptions) == 1


def test_one_whose_time_is_up_is_ended_at_stripe(office: Returns, purchase: Purchase) -> None:
    """What was created unheard of must not wait there for somebody to pay it."""
    office.work(purchase)
    with office.desk.begin() as session:
        session.execute(UNRECORDED)
        session.execute(text("UPDATE stripe_call SET state = 'open', object_id = NULL, answered_at = NULL"))
    office.pass_time(16)
    left = office.work(purchase)
    assert left.state is P.FAILED
    (there,) = office.gateway.subscriptions.values()
    assert there.status in ("canceled", "incomplete_expired")


def test_a_stripe_that_is_away_all_the_time_fails_it_and_leaves_nothing(office: Returns, purchase: Purchase) -> None:
    office.fail_with(NoConnectionError())
    assert office.work(purchase).error_type == "api_connection_error"
    office.pass_time(16)
    office.fail_with(*[NoConnectionError()] * 4)
    assert office.work(purchase).state is P.FAILED
    office.gateway.troubles.clear()
    left = office.work(purchase)
    assert (left.state, left.due_at) == (P.FAILED, None)
    assert not office.gateway.subscriptions


def test_who_has_a_subscription_gets_no_second_one(office: Returns, purchase: Purchase) -> None:
    office.work(purchase)
    with office.desk.begin() as session:
        session.execute(text("UPDATE subscription SET status = 'active'"))
    second = office.work(office.buy(**MONTHLY))
    assert (second.state, second.error_type, second.due_at) == (P.FAILED, "already_subscribed", None)
    assert len(office.gateway.subscriptions) == 1


def test_a_cancel_before_anything_was_sent_asks_stripe_for_nothing(office: Returns, purchase: Purchase) -> None:
    wish_cancelled(office, purchase)
    assert office.work(purchase).state is P.CANCELLED
    assert not office.gateway.subscriptions


def test_a_cancel_of_an_unpaid_one_ends_it(office: Returns, purchase: Purchase) -> None:
    office.work(purchase)
    wish_cancelled(office, purchase)
    assert office.work(purchase).state is P.CANCELLED
    (there,) = office.gateway.subscriptions.values()
    assert there.status in ("canceled", "incomplete_expired")
    office.ask()
    (row,) = subscriptions(office)
    assert row.ended_at is not None
    assert office.load(purchase).state is P.CANCELLED


def test_a_cancel_of_one_that_was_paid_meanwhile_is_dropped(office: Returns, purchase: Purchase) -> None:
    """The money is there, so are the hours; ending a subscription that has begun is asked for elsewhere."""
    office.work(purchase)
    (there,) = office.gateway.subscriptions.values()
    (invoice,) = office.gateway.invoices_of(there.id)
    office.gateway.settle(invoice.id)
    wish_cancelled(office, purchase)
    left = office.work(purchase)
    assert left.cancel_requested_at is None
    office.ask()
    assert office.load(purchase).state is P.COMPLETED
    assert office.gateway.subscriptions[there.id].status == "active"
    assert office.minutes(purchase) == {"left": 1800}


def test_a_price_that_stripe_refuses_fails_the_purchase(office: Returns, purchase: Purchase) -> None:
    office.fail_with(InvalidRequestError())
    left = office.work(purchase)
    assert (left.state, left.error_type, left.due_at) == (P.FAILED, "invalid_request_error", None)


def test_its_paid_invoice_credits_the_first_period_once(office: Returns, purchase: Purchase) -> None:
    office.work(purchase)
    (there,) = office.gateway.subscriptions.values()
    (invoice,) = office.gateway.invoices_of(there.id)
    office.gateway.settle(invoice.id)
    office.ask()
    office.ask()
    done = office.load(purchase)
    assert done.state is P.COMPLETED
    assert office.minutes(done) == {"left": 1800}
    assert office.lot(done)["expires_at"] == there.period_end
    office.prove()


def test_steps_of_a_subscription_are_those_of_a_purchase(office: Returns, purchase: Purchase) -> None:
    office.work(purchase)
    (invoice,) = office.gateway.invoices.values()
    office.gateway.settle(invoice.id)
    office.ask()
    with office.desk.begin() as session:
        found = text("SELECT step FROM purchase_transition WHERE purchase_id = :id ORDER BY id")
        steps = session.execute(found, {"id": purchase.id}).scalars().all()
    assert steps == [Step.INTENT_CREATED, Step.PAID, Step.CREDITED]


def test_what_a_guest_began_belongs_to_the_account_that_proves_the_address_meanwhile(
    office: Returns, database_url: str
) -> None:
    """Else it would be charged each month, and its owner could neither see nor end it."""
    account = add_student(office.desk.begin, "before@example.com", at=office.desk.now, external_id="ana")
    purchase = office.buy(**MONTHLY)

    async def prove() -> UUID:
        engine = connect_async(database_url)
        try:
            async with db.begin_async(engine) as line:
                wish = {"external_id": "ana", "email": purchase.buyer_email, "name": "Ana", "request_id": "r"}
                return await request_link(line, link_id=new_id(), now=office.desk.now, **wish)
        finally:
            await engine.dispose()

    class Slow(FakeGateway):
        def create_subscription(self, call: StoredCall) -> Begun:
            begun = super().create_subscription(call)
            link = LinkStudent(link_id=asyncio.run(prove()))
            follow_link(office.desk.begin, office.leases, link, now=office.desk.now)
            return begun

    office.gateway.__class__ = Slow
    assert office.work(purchase).student_id == account
    assert [one.student_id for one in subscriptions(office)] == [account]
