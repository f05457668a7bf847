"""Disputes end as Stripe says they ended, in whatever order and number its events come."""

import random
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from sqlalchemy import text

from billing.db import Begin
from billing.deployment import Deployment
from billing.disputes.watch import watch_disputes
from billing.errors import InvalidTransactionStateError
from billing.gateway import DisputeThere, PaymentGateway
from billing.messages import AskStripe
from billing.models import Purchase
from billing.secrets import Vault
from billing.stale.ask import ask_stripe
from billing.states import DisputeState, PurchaseState, RefundState
from tests.support.factories import add_purchase, add_student, intent_body
from tests.support.gateway import FakeGateway
from tests.support.office import Returns, intent_of

D = DisputeState
DAY = 24 * 60
KINDS = ("created", "updated", "closed", "funds_withdrawn", "funds_reinstated")


@pytest.fixture
def returns(begin: Begin, deployment: Deployment, vault: Vault, now: datetime) -> Returns:
    return Returns(begin, deployment, vault, now)


def disputed(returns: Returns, purchase: Purchase, cents: int = 14_000, status: str = "needs_response") -> str:
    made = returns.gateway.raise_dispute(intent_of(purchase), cents, status)
    returns.hear_of_dispute(made.id, "charge.dispute.created")
    return made.id


def becomes(returns: Returns, dispute_id: str, status: str) -> DisputeState:
    returns.gateway.change_dispute(dispute_id, status)
    returns.hear_of_dispute(dispute_id)
    return returns.dispute(dispute_id).state


def steps(returns: Returns, purchase: Purchase) -> list[str]:
    with returns.desk.begin() as session:
        found = text("SELECT step FROM purchase_transition WHERE purchase_id = :id ORDER BY id")
        return list(session.execute(found, {"id": purchase.id}).scalars())


def test_a_dispute_freezes_what_is_left_of_its_purchase_alone(returns: Returns) -> None:
    """Money that may go must not be taught for; other packages of the student are not touched."""
    purchase = returns.sold(used=100)
    other = returns.sold(student_id=purchase.student_id)
    dispute_id = disputed(returns, purchase)
    assert returns.minutes(purchase) == {"consumed": 100, "frozen": 500}
    assert returns.minutes(other) == {"left": 600}
    dispute = returns.dispute(dispute_id)
    assert (dispute.state, dispute.minutes_frozen, dispute.frozen_at) == (D.OPEN, 500, returns.desk.now)
    assert returns.cases() == ["dispute_opened"]
    assert steps(returns, purchase) == ["disputed"]


def test_a_dispute_that_is_won_gives_hours_and_days_back(returns: Returns) -> None:
    purchase = returns.sold()
    before = returns.lot(purchase)["expires_at"]
    dispute_id = disputed(returns, purchase)
    returns.pass_time(30 * DAY)
    assert becomes(returns, dispute_id, "under_review") is D.OPEN
    assert becomes(returns, dispute_id, "won") is D.WON
    assert returns.minutes(purchase) == {"left": 600}
    assert returns.lot(purchase)["expires_at"] == returns.end_of_day(before + timedelta(days=30))
    assert steps(returns, purchase) == ["disputed", "dispute_won"]
    assert becomes(returns, dispute_id, "won") is D.WON
    assert returns.lot(purchase)["expires_at"] == returns.end_of_day(before + timedelta(days=30))


def test_days_are_given_back_for_hours_that_were_frozen_only(returns: Returns) -> None:
    purchase = returns.sold(used=600)
    before = returns.lot(purchase)["expires_at"]
    dispute_id = disputed(returns, purchase)
    returns.pass_time(30 * DAY)
    becomes(returns, dispute_id, "won")
    assert returns.lot(purchase)["expires_at"] == before


def test_a_dispute_that_is_lost_takes_hours_and_money(returns: Returns) -> None:
    purchase = returns.sold()
    dispute_id = disputed(returns, purchase)
    assert becomes(returns, dispute_id, "lost") is D.LOST
    assert returns.minutes(purchase) == {"refunded": 600}
    assert returns.balance(purchase)["returned_cents"] == 14_000
    assert returns.load(purchase).state is PurchaseState.REFUNDED
    assert steps(returns, purchase) == ["disputed", "dispute_lost"]


def test_a_dispute_of_a_part_takes_a_part(returns: Returns) -> None:
    purchase = returns.sold()
    dispute_id = disputed(returns, purchase, 3_500)
    assert returns.minutes(purchase) == {"frozen": 600}
    becomes(returns, dispute_id, "lost")
    assert returns.minutes(purchase) == {"left": 450, "refunded": 150}
    assert returns.load(purchase).state is PurchaseState.COMPLETED


def test_hours_that_were_used_before_it_was_lost_are_owed(returns: Returns) -> None:
    purchase = returns.sold(used=450)
    dispute_id = disputed(returns, purchase)
    becomes(returns, dispute_id, "lost")
    assert returns.minutes(purchase) == {"consumed": 450, "refunded": 150}
    assert returns.balance(purchase)["minutes_owed"] == 450
    assert returns.cases() == ["dispute_opened", "dispute_of_used_hours"]


def test_a_dispute_that_is_won_after_it_was_lost_restores_everything_once(returns: Returns) -> None:
    """Hours, money, debt and state are what they were, and the lost days are added."""
    purchase = returns.sold(used=450)
    before = returns.lot(purchase)["expires_at"]
    dispute_id = disputed(returns, purchase)
    becomes(returns, dispute_id, "lost")
    returns.pass_time(10 * DAY)
    for _ in range(2):
        assert becomes(returns, dispute_id, "won") is D.WON
    assert returns.minutes(purchase) == {"left": 150, "consumed": 450}
    balance = returns.balance(purchase)
    assert (balance["minutes_owed"], balance["returned_cents"]) == (0, 0)
    assert returns.load(purchase).state is PurchaseState.COMPLETED
    assert returns.lot(purchase)["expires_at"] == returns.end_of_day(before + timedelta(days=10))


def test_a_dispute_lost_after_a_partial_refund_takes_the_rest(returns: Returns) -> None:
    """Stripe's dispute is of the whole charge; what went back already does not go twice."""
    purchase = returns.sold()
    returns.refunded(purchase, 7_000)
    dispute_id = disputed(returns, purchase)
    becomes(returns, dispute_id, "lost")
    assert returns.dispute(dispute_id).lost_cents == 7_000
    assert returns.minutes(purchase) == {"refunded": 600}
    assert returns.load(purchase).refunded_cents == 14_000


def test_after_a_dispute_is_won_the_rest_can_be_refunded(returns: Returns) -> None:
    purchase = returns.sold()
    returns.refunded(purchase, 3_500)
    dispute_id = disputed(returns, purchase)
    with pytest.raises(InvalidTransactionStateError, match="disputed"):
        returns.hold(purchase)
    becomes(returns, dispute_id, "won")
    assert returns.refunded(purchase).amount_cents == 10_500
    assert returns.load(purchase).state is PurchaseState.REFUNDED


def test_a_refund_on_its_way_that_a_dispute_fails_stays_out_of_reach(returns: Returns) -> None:
    """The bank takes the charge back and fails the refund: the hours are frozen like the others, and thaw with them."""
    purchase = returns.sold()
    returns.gateway.refund_status = "pending"
    sent = returns.refunded(purchase, 7_000)
    dispute_id = disputed(returns, purchase)
    returns.hear_of_refunds(purchase, "refund.failed")
    assert returns.refund(sent.id).state is RefundState.FAILED
    assert returns.minutes(purchase) == {"frozen": 600}
    becomes(returns, dispute_id, "won")
    assert returns.minutes(purchase) == {"left": 600}


def test_a_refund_that_failed_after_the_dispute_was_lost_is_lost_too(returns: Returns) -> None:
    """News in the other order: the loss found the money on its way, and takes it once it is back."""
    purchase = returns.sold()
    returns.gateway.refund_status = "pending"
    returns.refunded(purchase, 7_000)
    made = returns.gateway.raise_dispute(intent_of(purchase), 14_000)
    returns.gateway.change_dispute(made.id, "lost")
    returns.hear_of_dispute(made.id)
    assert (returns.dispute(made.id).lost_cents, returns.minutes(purchase)) == (7_000, {"refunded": 300, "held": 300})
    returns.hear_of_refunds(purchase, "refund.failed")
    returns.ask()
    assert returns.dispute(made.id).lost_cents == 14_000
    assert returns.minutes(purchase) == {"refunded": 600}
    assert returns.load(purchase).state is PurchaseState.REFUNDED


def test_an_inquiry_moves_nothing_and_is_told(returns: Returns) -> None:
    purchase = returns.sold()
    dispute_id = disputed(returns, purchase, status="warning_needs_response")
    assert (returns.dispute(dispute_id).state, returns.minutes(purchase)) == (D.INQUIRY, {"left": 600})
    assert returns.cases() == ["dispute_inquiry"]
    assert becomes(returns, dispute_id, "warning_under_review") is D.INQUIRY
    assert becomes(returns, dispute_id, "warning_closed") is D.CLOSED
    assert returns.minutes(purchase) == {"left": 600}


def test_during_an_inquiry_the_money_can_be_given_back(returns: Returns) -> None:
    """It is the cheapest answer."""
    purchase = returns.sold()
    disputed(returns, purchase, status="warning_needs_response")
    assert returns.refunded(purchase).state is RefundState.SUCCEEDED


def test_an_inquiry_that_becomes_a_dispute_freezes_from_then_on(returns: Returns) -> None:
    purchase = returns.sold()
    before = returns.lot(purchase)["expires_at"]
    dispute_id = disputed(returns, purchase, status="warning_needs_response")
    returns.pass_time(5 * DAY)
    assert becomes(returns, dispute_id, "needs_response") is D.OPEN
    assert returns.minutes(purchase) == {"frozen": 600}
    returns.pass_time(2 * DAY)
    becomes(returns, dispute_id, "won")
    assert returns.lot(purchase)["expires_at"] == returns.end_of_day(before + timedelta(days=2))


@pytest.mark.parametrize(
    ("status", "state", "minutes"),
    [
        ("won", D.WON, {"left": 600}),
        ("lost", D.LOST, {"refunded": 600}),
        ("warning_closed", D.CLOSED, {"left": 600}),
        ("prevented", D.CLOSED, {"left": 600}),
        ("of_next_year", D.OPEN, {"frozen": 600}),
    ],
)
def test_a_dispute_that_is_first_heard_of_late_ends_as_it_is(
    returns: Returns, status: str, state: DisputeState, minutes: dict[str, int]
) -> None:
    """Every earlier event was lost."""
    purchase = returns.sold()
    dispute_id = disputed(returns, purchase, status=status)
    assert (returns.dispute(dispute_id).state, returns.minutes(purchase)) == (state, minutes)


def test_what_the_table_of_moves_does_not_have_is_a_case(returns: Returns) -> None:
    purchase = returns.sold()
    dispute_id = disputed(returns, purchase, status="won")
    assert becomes(returns, dispute_id, "lost") is D.WON
    assert returns.cases() == ["dispute_opened", "dispute_differs"]
    assert returns.minutes(purchase) == {"left": 600}


def test_hours_that_expired_before_the_dispute_stay_expired(returns: Returns) -> None:
    """A dispute that is won must not wake them."""
    purchase = returns.sold(lasts_days=1)
    returns.pass_time(2 * DAY)
    dispute_id = disputed(returns, purchase)
    returns.pass_time(2 * DAY)
    becomes(returns, dispute_id, "won")
    assert returns.lot(purchase)["expires_at"] < returns.desk.now


def test_hours_that_expire_while_they_are_frozen_come_back_alive(returns: Returns) -> None:
    purchase = returns.sold(lasts_days=10)
    dispute_id = disputed(returns, purchase)
    returns.pass_time(60 * DAY)
    becomes(returns, dispute_id, "won")
    assert returns.lot(purchase)["expires_at"] == returns.end_of_day(returns.desk.now + timedelta(days=10))


@pytest.mark.parametrize(
    ("first", "second", "minutes", "owed"),
    [
        ("won", "won", {"left": 600}, 0),
        ("won", "lost", {"left": 450, "refunded": 150}, 0),
        ("lost", "won", {"left": 450, "refunded": 150}, 0),
        ("lost", "lost", {"left": 300, "refunded": 300}, 0),
    ],
)
def test_two_disputes_of_one_payment_keep_its_hours_frozen_until_both_are_decided(
    returns: Returns, first: str, second: str, minutes: dict[str, int], owed: int
) -> None:
    purchase = returns.sold()
    one, other = disputed(returns, purchase, 3_500), disputed(returns, purchase, 3_500)
    becomes(returns, one, first)
    assert "left" not in returns.minutes(purchase)
    becomes(returns, other, second)
    assert returns.minutes(purchase) == minutes
    assert returns.balance(purchase)["minutes_owed"] == owed


def test_a_dashboard_refund_of_frozen_hours_is_owed_and_settled_by_the_thaw(returns: Returns) -> None:
    """Stripe refuses it; should one slip through, what can be spent is right at every moment."""
    purchase = returns.sold()
    returns.gateway.refund_elsewhere(intent_of(purchase), 7_000)
    dispute_id = disputed(returns, purchase)
    returns.hear_of_refunds(purchase)
    assert (returns.minutes(purchase), returns.balance(purchase)["minutes_owed"]) == ({"frozen": 600}, 300)
    becomes(returns, dispute_id, "lost")
    assert returns.load(purchase).refunded_cents == 14_000
    assert returns.minutes(purchase).get("left", 0) == returns.balance(purchase)["minutes_owed"]


def test_a_dispute_may_be_heard_of_before_its_payment(returns: Returns) -> None:
    """Its hours cannot be frozen before they are there: it waits, a person is told if it takes long, and goes on."""
    begin, now = returns.desk.begin, returns.desk.now
    purchase = add_purchase(begin, at=now, state=PurchaseState.PENDING, student_id=add_student(begin, at=now))
    made = returns.gateway.raise_dispute(intent_of(purchase), 14_000)
    for _ in range(7):
        returns.hear_of_dispute(made.id, "charge.dispute.created")
    returns.ask()
    (mark,) = returns.marks()
    assert mark.due_at is not None
    for _ in range(6):
        returns.ask()
    assert returns.cases() == ["money_back_unpaid"]
    returns.hear("payment_intent.succeeded", intent_body(purchase, returns.desk.deployment))
    returns.ask()
    assert returns.minutes(purchase) == {"frozen": 600}
    assert returns.marks()[0].due_at is None


def test_what_waited_for_a_payment_goes_on_as_soon_as_it_is_known(returns: Returns) -> None:
    """Not when its growing wait is over: by then a student may have spent what the bank has taken back."""
    begin, now = returns.desk.begin, returns.desk.now
    purchase = add_purchase(begin, at=now, state=PurchaseState.PENDING, student_id=add_student(begin, at=now))
    made = returns.gateway.raise_dispute(intent_of(purchase), 14_000)
    for _ in range(3):
        returns.hear_of_dispute(made.id, "charge.dispute.created")
    (waiting,) = returns.marks()
    question = AskStripe(mark_id=waiting.id or 0)
    returns.hints.sent.clear()
    returns.hear("payment_intent.succeeded", intent_body(purchase, returns.desk.deployment))
    (woken,) = returns.marks()
    assert waiting.due_at is not None
    assert woken.due_at is not None
    assert woken.due_at < waiting.due_at
    assert question in returns.hints.sent


def test_a_dispute_that_is_marked_while_it_is_asked_for_is_asked_for_again(returns: Returns) -> None:
    """The answer may be older than the event that came meanwhile."""
    purchase = returns.sold()
    made = returns.gateway.raise_dispute(intent_of(purchase), 14_000)
    returns.hear("charge.dispute.created", {"id": made.id, "payment_intent": intent_of(purchase)})
    (mark,) = returns.marks()
    quiet, message = returns.desk, AskStripe(mark_id=mark.id or 0)

    class Slow(FakeGateway):
        def retrieve_dispute(self, dispute_id: str) -> DisputeThere:
            before = quiet.gateway.retrieve_dispute(dispute_id)
            returns.gateway.change_dispute(dispute_id, "lost")
            returns.hear("charge.dispute.closed", {"id": dispute_id, "payment_intent": intent_of(purchase)})
            return before

    slow: PaymentGateway = Slow(returns.desk.now)
    assert message in ask_stripe(replace(quiet, gateway=slow), message)
    assert returns.dispute(made.id).state is D.OPEN
    returns.ask()
    assert returns.dispute(made.id).state is D.LOST


@pytest.mark.parametrize("seed", range(8))
def test_ten_events_in_any_order_and_number_end_in_stripes_state(returns: Returns, seed: int) -> None:
    """Events only mark; what is applied is what Stripe says when it is asked."""
    chance = random.Random(seed)
    purchase = returns.sold(used=chance.choice((0, 250)))
    last = chance.choice(("won", "lost"))
    life = ["warning_needs_response", "needs_response", "under_review", last]
    made = returns.gateway.raise_dispute(intent_of(purchase), 14_000, life[0])
    for _ in range(10):
        if len(life) > 1 and chance.random() < 0.5:
            life.pop(0)
            returns.gateway.change_dispute(made.id, life[0])
        kind = f"charge.dispute.{chance.choice(KINDS)}"
        returns.hear(kind, {"id": made.id, "payment_intent": intent_of(purchase)})
        if chance.random() < 0.5:
            returns.ask()
    returns.gateway.change_dispute(made.id, last)
    returns.hear_of_dispute(made.id, "charge.dispute.closed")
    assert returns.dispute(made.id).state == last


def test_staff_are_reminded_of_evidence_seven_three_and_one_days_ahead_once_each(returns: Returns) -> None:
    """A dispute that nobody answers is lost."""
    due = returns.desk.now + timedelta(days=9)
    made = returns.gateway.raise_dispute(intent_of(returns.sold()), 14_000, evidence_due_at=due)
    returns.hear_of_dispute(made.id, "charge.dispute.created")
    told = []
    for hour in range(0, 10 * 24, 12):
        watch_disputes(returns.desk.begin, now=returns.desk.now + timedelta(hours=hour))
        told.append(returns.cases().count("evidence_due"))
    assert [told.index(number) / 2 for number in (1, 2, 3)] == [2, 6, 8]
    assert max(told) == 3


@pytest.mark.parametrize("status", ["under_review", "won", "lost", "warning_under_review"])
def test_nobody_is_reminded_of_evidence_that_is_given_or_of_no_use(returns: Returns, status: str) -> None:
    due = returns.desk.now + timedelta(days=1)
    made = returns.gateway.raise_dispute(intent_of(returns.sold()), 14_000, status, evidence_due_at=due)
    returns.hear_of_dispute(made.id)
    watch_disputes(returns.desk.begin, now=returns.desk.now)
    assert "evidence_due" not in returns.cases()


def test_a_new_date_is_reminded_of_anew(returns: Returns) -> None:
    """An inquiry that becomes a dispute has to be answered once more."""
    first = returns.desk.now + timedelta(days=1)
    made = returns.gateway.raise_dispute(
        intent_of(returns.sold()), 14_000, "warning_needs_response", evidence_due_at=first
    )
    returns.hear_of_dispute(made.id)
    watch_disputes(returns.desk.begin, now=returns.desk.now)
    returns.gateway.change_dispute(made.id, "needs_response", evidence_due_at=first + timedelta(days=8))
    returns.hear_of_dispute(made.id)
    watch_disputes(returns.desk.begin, now=returns.desk.now + timedelta(days=8))
    assert returns.cases().count("evidence_due") == 2


def test_a_fraud_warning_opens_one_case(returns: Returns) -> None:
    purchase = returns.sold()
    warning = {"id": "issfr_1", "payment_intent": intent_of(purchase), "fraud_type": "made_with_stolen_card"}
    outcomes = [returns.hear("radar.early_fraud_warning.created", warning) for _ in range(2)]
    assert (outcomes, returns.cases()) == (["applied", "applied"], ["early_fraud_warning"])
    assert returns.minutes(purchase) == {"left": 600}


def test_a_dispute_of_somebody_elses_payment_is_foreign(returns: Returns) -> None:
    strange = {"id": "du_1", "payment_intent": "pi_of_another_shop"}
    assert returns.hear("charge.dispute.created", strange) == "foreign"
    assert returns.hear("radar.early_fraud_warning.created", strange) == "foreign"
