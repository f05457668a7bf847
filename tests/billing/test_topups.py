"""A purchase that a saved card pays: at once, declined, or only with its owner; credited once, whoever tells of it."""

from datetime import datetime

import pytest
from sqlalchemy import text

from billing import ledger
from billing.db import Begin
from billing.deployment import Deployment
from billing.gateway import Intent, NoConnectionError, StripeCrowdedError
from billing.ids import new_id
from billing.models import Purchase, StripeCustomer
from billing.purchases.cancel import REQUEST
from billing.secrets import Vault
from billing.states import PurchaseChannel, Step
from billing.states import PurchaseState as P
from tests.support.factories import add_student, intent_body, minutes_left
from tests.support.gateway import FakeGateway
from tests.support.office import Returns

CARD = "pm_1"


@pytest.fixture
def office(begin: Begin, deployment: Deployment, vault: Vault, now: datetime) -> Returns:
    return Returns(begin, deployment, vault, now)


@pytest.fixture
def student_id(office: Returns) -> int:
    """Somebody who has a customer at Stripe."""
    made = add_student(office.desk.begin, at=office.desk.now, external_id="ana")
    with office.desk.begin() as session:
        there = office.gateway.add_customer("mark")
        assert office.gateway.add_card(there.id).id == CARD
        session.add(
            StripeCustomer(
                student_id=made,
                id=new_id(),
                stripe_customer_id=there.id,
                prepared_at=office.desk.now,
                made_at=office.desk.now,
            )
        )
    return made


@pytest.fixture
def topup(office: Returns, student_id: int) -> Purchase:
    return office.buy(student_id=student_id, channel=PurchaseChannel.TOPUP, payment_method_id=CARD)


def steps(office: Returns, purchase: Purchase) -> list[Step]:
    with office.desk.begin() as session:
        found = text("SELECT step FROM purchase_transition WHERE purchase_id = :id ORDER BY id")
        return [Step(step) for step in session.execute(found, {"id": purchase.id}).scalars()]


def test_a_saved_card_pays_while_its_owner_is_away(office: Returns, topup: Purchase, student_id: int) -> None:
    done = office.work(topup)
    assert (done.state, done.client_secret, done.due_at) == (P.COMPLETED, None, None)
    assert minutes_left(office.desk.begin, student_id) == 600
    (call,) = office.gateway.creates
    assert {name: call.parameters[name] for name in ("payment_method", "off_session", "confirm")} == {
        "payment_method": CARD,
        "off_session": True,
        "confirm": True,
    }
    assert ledger.violations(office.desk.begin) == []


@pytest.mark.parametrize("code", ["card_declined", "authentication_required"])
def test_a_declined_card_leaves_what_its_owner_needs_to_finish(
    office: Returns, topup: Purchase, vault: Vault, code: str
) -> None:
    office.gateway.decline_next(code)
    left = office.work(topup)
    assert left.state is P.FAILED
    assert left.error_type == ("card_error" if code == "card_declined" else code)
    assert left.client_secret is not None
    assert left.payment_intent_id is not None
    assert vault.open(left.client_secret).startswith(left.payment_intent_id)
    assert steps(office, left) == [Step.INTENT_CREATED, Step.PAYMENT_FAILED]


def test_what_was_declined_can_be_finished_by_its_owner(office: Returns, topup: Purchase, student_id: int) -> None:
    office.gateway.decline_next("authentication_required")
    left = office.work(topup)
    office.hear("payment_intent.succeeded", intent_body(left, office.desk.deployment))
    assert office.load(topup).state is P.COMPLETED
    assert minutes_left(office.desk.begin, student_id) == 600


def test_an_answer_that_was_lost_is_asked_for_again_and_charges_once(
    office: Returns, topup: Purchase, student_id: int
) -> None:
    office.gateway.lost.append(NoConnectionError())
    assert office.work(topup).state is P.QUEUED
    assert office.work(topup).state is P.COMPLETED
    assert len(office.gateway.intents) == 1
    assert minutes_left(office.desk.begin, student_id) == 600


def test_a_decline_whose_answer_was_lost_ends_as_one_that_was_heard(office: Returns, topup: Purchase) -> None:
    office.gateway.decline_next("card_declined")
    office.gateway.lost.append(NoConnectionError())
    assert office.work(topup).state is P.QUEUED
    left = office.work(topup)
    assert (left.state, left.error_type, len(office.gateway.intents)) == (P.FAILED, "card_error", 1)


def paid(office: Returns, purchase: Purchase) -> None:
    body = intent_body(purchase, office.desk.deployment)
    office.hear("payment_intent.succeeded", {**body, "id": "pi_1"})


@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize("when", ["before", "during", "after"])
def test_the_webhook_may_come_before_during_or_after_the_answer(
    office: Returns, topup: Purchase, student_id: int, when: str, times: int
) -> None:
    """One credit, whoever tells of the payment first."""
    if when == "before":  # the answer is lost, the event comes, and then the same key is answered
        office.gateway.lost.append(NoConnectionError())
        office.work(topup)
    if when == "after":
        office.work(topup)
    for _ in range(times):
        paid(office, topup)
    office.work(topup)
    paid(office, topup)
    assert office.load(topup).state is P.COMPLETED
    assert minutes_left(office.desk.begin, student_id) == 600
    office.prove()


def test_a_customer_that_is_gone_has_no_card_to_pay_with(office: Returns) -> None:
    nobody = add_student(office.desk.begin, "no@example.com", at=office.desk.now)
    purchase = office.buy(student_id=nobody, channel=PurchaseChannel.TOPUP, payment_method_id=CARD)
    left = office.work(purchase)
    assert (left.state, left.error_type, left.due_at) == (P.FAILED, "no_payment_method", None)
    assert office.gateway.creates == []


def test_a_dispute_that_comes_before_the_answer_of_the_charge_is_not_forgotten(
    office: Returns, topup: Purchase
) -> None:
    """A saved card is charged inside the call: the bank may speak before any row of ours knows the payment."""
    office.gateway.lost.append(NoConnectionError())
    assert office.work(topup).state is P.QUEUED
    made = office.gateway.raise_dispute("pi_1", topup.price_cents)
    said = {"id": made.id, "payment_intent": "pi_1"}
    assert office.hear("charge.dispute.created", said) == "foreign"
    assert office.work(topup).state is P.COMPLETED
    office.hear("price.created", {})
    office.ask()
    assert office.minutes(topup) == {"frozen": 600}


def test_a_charge_that_was_sent_stays_sent_though_its_intent_cannot_be_asked_for(
    office: Returns, topup: Purchase
) -> None:
    """Else a cancel would believe that nothing is at Stripe, where its owner can still pay."""
    office.gateway.decline_next("card_declined")
    present = office.gateway.retrieve_intent

    class Crowded(FakeGateway):
        def retrieve_intent(self, intent_id: str) -> Intent:
            raise StripeCrowdedError

    office.gateway.__class__ = Crowded
    office.work(topup)
    assert office.calls() == [("open", 1, 1)]
    office.gateway.__class__ = FakeGateway
    with office.desk.begin() as session:
        session.execute(REQUEST, {"id": topup.id, "now": office.desk.now})
    ended = office.work(topup)
    for _ in range(3):
        ended = office.work(topup)
    assert (ended.state, present("pi_1").status) == (P.CANCELLED, "canceled")
