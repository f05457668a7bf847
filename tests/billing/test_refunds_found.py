"""Refunds as Stripe lists them: ours are adopted once, others take their share of the hours, each minute once."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from sqlalchemy import text

from billing import ledger
from billing.db import Begin
from billing.deployment import Deployment
from billing.errors import LeaseLostError
from billing.expiry.sweep import go_on, start_sweep
from billing.gateway import RefundThere, StoredCall
from billing.ledger import Move, Posting
from billing.messages import SendRefund
from billing.models import Purchase
from billing.refunds.send import send_refund
from billing.secrets import Vault
from billing.states import EntryKind, Part, PurchaseState, RefundOrigin, RefundState, SweepTrigger
from tests.support.gateway import FakeGateway
from tests.support.leases import UnrenewedLeases
from tests.support.office import Returns, intent_of, unreachable

R = RefundState
DAY = 24 * 60


@pytest.fixture
def returns(begin: Begin, deployment: Deployment, vault: Vault, now: datetime) -> Returns:
    return Returns(begin, deployment, vault, now)


class Interrupted(FakeGateway):
    """Something happens between Stripe's work and its answer."""

    def __init__(self, other: FakeGateway, meanwhile: Callable[[], None]) -> None:
        super().__init__(other.now)
        self.intents, self.refunds, self.disputes = other.intents, other.refunds, other.disputes
        self.meanwhile = meanwhile

    def create_refund(self, call: StoredCall) -> RefundThere:
        made = super().create_refund(call)
        self.meanwhile()
        return made


def test_our_refunds_event_may_come_before_its_worker_stored_it(returns: Returns) -> None:
    """The event is faster than the answer: the row is adopted by its mark, and the worker's answer is dropped."""
    purchase = returns.sold()
    refund_id = returns.hold(purchase)
    interrupted = Interrupted(returns.gateway, lambda: returns.hear_of_refunds(purchase, "refund.created"))
    returns.desk = replace(returns.desk, gateway=interrupted)
    with pytest.raises(LeaseLostError):
        returns.send(refund_id)
    returns.prove()
    done = returns.send(refund_id)
    assert (done.state, done.origin, len(returns.refunds())) == (R.SUCCEEDED, RefundOrigin.STAFF, 1)
    assert returns.minutes(purchase) == {"refunded": 600}
    assert returns.calls() == [("answered", 1, 1)]


def test_our_refund_is_adopted_on_its_way_too(returns: Returns) -> None:
    """Adopted as pending while its worker still waits: that worker then records the same, and keeps asking."""
    purchase = returns.sold()
    refund_id = returns.hold(purchase)
    interrupted = Interrupted(returns.gateway, lambda: returns.hear_of_refunds(purchase, "refund.created"))
    interrupted.refund_status = "pending"
    returns.desk = replace(returns.desk, gateway=interrupted)
    sent = returns.send(refund_id)
    assert (sent.state, sent.stripe_refund_id) == (R.SENT, "re_1")
    assert sent.due_at is not None


def test_our_refund_whose_worker_died_is_adopted_by_its_event(returns: Returns) -> None:
    """Nobody sends it again: it is decided."""
    purchase = returns.sold()
    refund_id = returns.hold(purchase, 7_000)
    returns.leases = UnrenewedLeases(seconds=0.001)
    returns.desk = replace(returns.desk, leases=returns.leases)
    returns.gateway.lost = [unreachable()]
    returns.send(refund_id)
    returns.leases = UnrenewedLeases()
    returns.desk = replace(returns.desk, leases=returns.leases)
    for kind in ("refund.created", "charge.refunded", "refund.updated", "refund.created"):
        returns.hear_of_refunds(purchase, kind)
    assert returns.send(refund_id).state is R.SUCCEEDED
    assert len(returns.gateway.creates) == 1
    assert returns.minutes(purchase) == {"left": 300, "refunded": 300}


def test_a_dashboard_refund_takes_its_share_of_the_hours(returns: Returns) -> None:
    purchase = returns.sold()
    returns.gateway.refund_elsewhere(intent_of(purchase), 3_500)
    returns.hear_of_refunds(purchase, "charge.refunded")
    (refund,) = returns.refunds()
    assert (refund.origin, refund.state, refund.minutes) == (RefundOrigin.EXTERNAL, R.SUCCEEDED, 150)
    assert returns.minutes(purchase) == {"left": 450, "refunded": 150}
    assert returns.load(purchase).refunded_cents == 3_500


def test_parts_made_elsewhere_lose_no_minute_to_rounding(returns: Returns) -> None:
    purchase = returns.sold()
    for cents in (4_667, 4_667, 4_665, 1):
        returns.gateway.refund_elsewhere(intent_of(purchase), cents)
        returns.hear_of_refunds(purchase)
    assert returns.minutes(purchase) == {"refunded": 600}
    assert returns.load(purchase).state is PurchaseState.REFUNDED


def test_ours_and_one_from_the_dashboard_take_each_minute_once(returns: Returns) -> None:
    """Both of the same charge, in one list, heard of many times."""
    purchase = returns.sold()
    refund_id = returns.hold(purchase, 7_000)
    returns.gateway.refund_elsewhere(intent_of(purchase), 3_500)
    returns.hear_of_refunds(purchase)
    returns.send(refund_id)
    for _ in range(3):
        returns.hear_of_refunds(purchase)
    assert returns.minutes(purchase) == {"left": 150, "refunded": 450}
    assert returns.load(purchase).refunded_cents == 10_500
    assert returns.balance(purchase)["minutes_owed"] == 0


def test_the_rest_from_the_dashboard_beside_ours_on_its_way_owes_nothing(returns: Returns) -> None:
    """Minutes that our refund holds are spoken for: they are neither taken twice nor owed."""
    purchase = returns.sold()
    returns.gateway.refund_status = "pending"
    returns.refunded(purchase, 7_000)
    returns.gateway.refund_elsewhere(intent_of(purchase), 7_000)
    returns.hear_of_refunds(purchase)
    assert returns.minutes(purchase) == {"held": 300, "refunded": 300}
    assert returns.balance(purchase)["minutes_owed"] == 0


def test_the_dashboard_was_faster_than_ours(returns: Returns) -> None:
    """All was given back elsewhere while ours was held: Stripe refuses ours, and the other is taken over then."""
    purchase = returns.sold()
    refund_id = returns.hold(purchase)
    returns.gateway.refund_elsewhere(intent_of(purchase), 14_000)
    returns.hear_of_refunds(purchase)
    assert returns.minutes(purchase) == {"held": 600}
    assert returns.send(refund_id).state is R.FAILED
    returns.ask()
    ours, theirs = sorted(returns.refunds(), key=lambda refund: refund.origin, reverse=True)
    assert (ours.state, theirs.state) == (R.FAILED, R.SUCCEEDED)
    assert returns.minutes(purchase) == {"refunded": 600}
    assert returns.load(purchase).state is PurchaseState.REFUNDED
    assert returns.cases() == ["refund_refused"]


def test_used_hours_that_are_refunded_elsewhere_are_owed(returns: Returns) -> None:
    """A shortfall is an explicit debt and a case, never a negative lot."""
    purchase = returns.sold(used=450)
    returns.gateway.refund_elsewhere(intent_of(purchase), 14_000)
    returns.hear_of_refunds(purchase)
    (refund,) = returns.refunds()
    assert (refund.minutes, refund.minutes_short) == (150, 450)
    assert returns.balance(purchase)["minutes_owed"] == 450
    assert returns.cases() == ["refund_of_used_hours"]


def test_a_debt_is_counted_once_however_the_money_is_cut(returns: Returns) -> None:
    """Two halves of a package that was all used owe as much as one whole."""
    purchase = returns.sold(used=600)
    for _ in range(2):
        returns.gateway.refund_elsewhere(intent_of(purchase), 7_000)
        returns.hear_of_refunds(purchase)
    assert returns.balance(purchase)["minutes_owed"] == 600
    returns.gateway.change_refund("re_1", status="failed")
    returns.hear_of_refunds(purchase)
    assert returns.balance(purchase)["minutes_owed"] == 300


@pytest.mark.parametrize("is_swept", [False, True])
def test_a_refund_of_an_expired_package_owes_nothing_that_expired_unused(returns: Returns, is_swept: bool) -> None:
    """The student never had these hours; swept or not must not matter."""
    purchase = returns.sold(used=200, lasts_days=1)
    returns.pass_time(2 * DAY)
    if is_swept:
        sweep(returns, purchase)
    returns.gateway.refund_elsewhere(intent_of(purchase), 14_000)
    returns.hear_of_refunds(purchase)
    assert returns.balance(purchase)["minutes_owed"] == 200
    assert returns.lot(purchase)["minutes_refunded"] == 0


def sweep(returns: Returns, purchase: Purchase) -> None:
    """As the nightly sweep writes hours off."""
    lot = returns.lot(purchase)
    moves, source = [Move(lot["id"], -lot["minutes_left"], Part.EXPIRED)], f"lot:{lot['id']}:expired"
    with returns.desk.begin() as session:
        ledger.lock_accounts(session, [lot["student_id"]])
        ledger.post(session, [Posting(lot["student_id"], EntryKind.EXPIRE, source, moves, returns.desk.now)])
        session.execute(text("UPDATE hour_lot SET times_expired = 1 WHERE id = :id"), {"id": lot["id"]})


def test_a_failed_refund_does_not_wake_hours_that_were_expired_before(returns: Returns) -> None:
    """A refund of the dashboard that fails must not be a way to new life."""
    purchase = returns.sold(lasts_days=1)
    returns.pass_time(2 * DAY)
    made = returns.gateway.refund_elsewhere(intent_of(purchase), 14_000)
    returns.hear_of_refunds(purchase)
    returns.gateway.change_refund(made.id, status="failed")
    returns.hear_of_refunds(purchase)
    assert returns.lot(purchase)["expires_at"] == returns.desk.now - timedelta(days=1)


def test_a_dashboard_refund_on_its_way_is_asked_about_where_its_event_was_lost(returns: Returns) -> None:
    purchase = returns.sold()
    made = returns.gateway.refund_elsewhere(intent_of(purchase), 14_000, "pending")
    returns.hear_of_refunds(purchase)
    (sent,) = returns.refunds()
    assert (sent.state, returns.minutes(purchase)) == (R.SENT, {"held": 600})
    assert sent.due_at is not None
    assert returns.send(sent.id).state is R.SENT
    returns.gateway.change_refund(made.id, status="succeeded")
    assert returns.send(sent.id).state is R.SUCCEEDED
    assert returns.gateway.creates == []


def test_a_refund_that_failed_before_we_heard_of_it_never_was(returns: Returns) -> None:
    purchase = returns.sold()
    returns.gateway.refund_elsewhere(intent_of(purchase), 14_000, "failed")
    returns.hear_of_refunds(purchase)
    assert (returns.refunds(), returns.minutes(purchase)) == ([], {"left": 600})


def test_a_second_refund_with_our_mark_is_money_that_went_twice(returns: Returns) -> None:
    """Should Stripe ever have two under one mark, both are counted."""
    purchase = returns.sold()
    refund = returns.refunded(purchase, 3_500)
    twin = returns.gateway.refund_elsewhere(intent_of(purchase), 3_500)
    returns.gateway.change_refund(twin.id, mark=returns.gateway.creates[0].parameters["metadata"]["billing_refund"])
    returns.hear_of_refunds(purchase)
    assert [one.origin for one in returns.refunds() if one.id != refund.id] == [RefundOrigin.EXTERNAL]
    assert returns.minutes(purchase) == {"left": 300, "refunded": 300}


def test_what_cannot_be_of_this_purchase_is_a_case(returns: Returns) -> None:
    """Another currency, or more than was paid: no effect, and a person looks at it."""
    purchase = returns.sold()
    made = returns.gateway.refund_elsewhere(intent_of(purchase), 14_000)
    returns.gateway.change_refund(made.id, currency="usd")
    returns.hear_of_refunds(purchase)
    assert (returns.refunds(), returns.cases()) == ([], ["refund_does_not_fit"])


def test_a_refund_of_somebody_elses_payment_is_foreign(returns: Returns) -> None:
    assert returns.hear("charge.refunded", {"payment_intent": "pi_of_another_shop"}) == "foreign"
    assert returns.hear("refund.created", {"payment_intent": None}) == "foreign"


def test_a_refund_does_nothing_for_a_worker_of_another_one(returns: Returns) -> None:
    send_refund(returns.desk, SendRefund(refund_id=returns.sold().id))
    assert returns.gateway.creates == []


@pytest.mark.parametrize("is_swept", [True, False])
def test_a_failed_refund_revives_its_own_hours_only(returns: Returns, is_swept: bool) -> None:
    """What had expired beside them stays so, whether a sweep came before or not."""
    purchase = returns.sold(lasts_days=1)
    returns.gateway.refund_status = "pending"
    refund = returns.refunded(purchase, 3_500)
    returns.pass_time(25 * 60)
    if is_swept:
        (run,) = start_sweep(returns.desk.begin, SweepTrigger.STAFF, grace_hours=0, now=returns.desk.now)
        go_on(returns.desk.begin, returns.leases.terms, run.run_id, now=returns.desk.now)
    returns.gateway.change_refund(refund.stripe_refund_id or "", status="failed")
    returns.hear_of_refunds(purchase, "refund.failed")
    assert returns.minutes(purchase) == {"left": 150, "expired": 450}
