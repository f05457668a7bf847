"""A refund holds its minutes and reserves its amount before anybody asks Stripe, whoever wishes for it beside it."""

import threading
from datetime import datetime

import pytest
from sqlalchemy import text

from billing import ledger
from billing.db import Begin
from billing.deployment import Deployment
from billing.errors import (
    InvalidTransactionStateError,
    NoRefundableHoursError,
    NotFoundError,
    RefundExceedsError,
    RefusedError,
)
from billing.ids import new_id
from billing.messages import SendRefund
from billing.purchases import changes
from billing.refunds.holding import Wish, hold_refund
from billing.refunds.quote import Policy
from billing.secrets import Vault
from billing.states import PurchaseState, RefundState
from tests.support.factories import add_purchase, add_student
from tests.support.office import Returns, intent_of
from tests.support.records import bought


@pytest.fixture
def returns(begin: Begin, deployment: Deployment, vault: Vault, now: datetime) -> Returns:
    return Returns(begin, deployment, vault, now)


def test_what_a_refund_takes_is_held_at_once(returns: Returns) -> None:
    """Between the wish and Stripe's answer nobody may spend these hours, nor give the money back again."""
    purchase = returns.sold()
    refund = returns.refund(returns.hold(purchase, 3_500))
    assert (refund.state, refund.minutes, refund.amount_cents) == (RefundState.HELD, 150, 3_500)
    assert returns.minutes(purchase) == {"left": 450, "held": 150}
    assert returns.load(purchase).refunding_cents == 3_500
    assert returns.gateway.creates == []


def test_a_held_refund_has_its_hint_and_the_sweeper_behind_it(returns: Returns) -> None:
    """The hint is told after the commit; where it is lost, somebody comes within seconds."""
    wish = Wish(new_id(), returns.sold().transaction_id or 0, None, "request-of-a-test")
    with returns.desk.begin() as session:
        hold_refund(session, wish, Policy(), now=returns.desk.now)
        assert SendRefund(refund_id=wish.id) in changes.noted(session)
    with returns.desk.begin() as session:
        gap = text("SELECT extract(epoch FROM hint_at - due_at) FROM refund")
        assert session.execute(gap).scalar_one() == pytest.approx(2, abs=0.1)


def test_seventy_and_seventy_of_140_is_refunded(returns: Returns) -> None:
    purchase = returns.sold()
    first = returns.refunded(purchase, 7_000)
    assert returns.load(purchase).state is PurchaseState.COMPLETED
    second = returns.refunded(purchase, 7_000)
    assert (first.minutes, second.minutes) == (300, 300)
    assert returns.load(purchase).state is PurchaseState.REFUNDED
    assert returns.minutes(purchase) == {"refunded": 600}
    assert returns.balance(purchase)["returned_cents"] == 14_000


def test_seventy_and_eighty_of_140_refuses_the_second_without_a_call(returns: Returns) -> None:
    """Stripe is not asked for what the rules refuse."""
    purchase = returns.sold()
    returns.hold(purchase, 7_000)
    with pytest.raises(RefundExceedsError, match=r"70\.00"):
        returns.hold(purchase, 8_000)
    assert (len(returns.refunds()), returns.gateway.creates) == (1, [])


def test_the_last_cent_takes_the_rest_of_the_minutes(returns: Returns) -> None:
    """Parts are rounded down; what is left over must not outlive the money."""
    purchase = returns.sold()
    minutes = [returns.refunded(purchase, cents).minutes for cents in (4_667, 4_667, 4_665, 1)]
    assert sum(minutes) == 600
    assert returns.minutes(purchase) == {"refunded": 600}


def test_tiny_parts_do_not_add_up_to_used_hours(returns: Returns) -> None:
    """Twenty cents take no minute; five hundred times that would be half the price."""
    purchase = returns.sold(used=300)
    for _ in range(3):
        returns.hold(purchase, 20)
    assert returns.refund(returns.hold(purchase)).amount_cents == 7_000 - 60


@pytest.mark.parametrize("cents", [0, -1])
def test_an_amount_is_more_than_nothing(returns: Returns, cents: int) -> None:
    with pytest.raises(RefusedError):
        returns.hold(returns.sold(), cents)


def test_used_hours_are_not_given_back(returns: Returns) -> None:
    purchase = returns.sold(used=450)
    with pytest.raises(RefundExceedsError, match=r"35\.00"):
        returns.hold(purchase, 3_501)
    assert returns.refund(returns.hold(purchase)).minutes == 150
    with pytest.raises(NoRefundableHoursError):
        returns.hold(purchase)


def test_a_fee_is_kept_and_the_hours_go_all_the_same(returns: Returns) -> None:
    purchase = returns.sold()
    refund = returns.refund(returns.hold(purchase, policy=Policy(fee_percent=10)))
    assert (refund.amount_cents, refund.minutes) == (12_600, 600)
    done = returns.send(refund.id)
    assert (done.state, returns.load(purchase).state) == (RefundState.SUCCEEDED, PurchaseState.COMPLETED)


def test_the_hours_of_an_expired_package_are_gone_swept_or_not(returns: Returns) -> None:
    """Expired is expired: the sweep only writes it down."""
    purchase = returns.sold(lasts_days=1)
    returns.pass_time(24 * 60)
    with pytest.raises(NoRefundableHoursError):
        returns.hold(purchase)


def test_after_the_window_nothing_is_given_back(returns: Returns) -> None:
    purchase, policy = returns.sold(), Policy(window_days=14)
    returns.hold(purchase, 100, policy=policy)
    returns.pass_time(14 * 24 * 60)
    with pytest.raises(InvalidTransactionStateError, match="14 days"):
        returns.hold(purchase, 100, policy=policy)


@pytest.mark.parametrize("state", [state for state in PurchaseState if state is not PurchaseState.COMPLETED])
def test_only_a_paid_purchase_is_refunded(returns: Returns, state: PurchaseState) -> None:
    begin, now = returns.desk.begin, returns.desk.now
    owner = add_student(begin, at=now)
    if state is PurchaseState.REFUNDED:
        purchase = bought(begin, owner, at=now)
        returns.gateway.add_paid(intent_of(purchase), 14_000, "")
        returns.refunded(purchase)
    else:
        purchase = add_purchase(begin, at=now, state=state, student_id=owner)
    with pytest.raises(InvalidTransactionStateError):
        returns.hold(purchase)


def test_an_unknown_transaction_is_not_found(returns: Returns) -> None:
    wish = Wish(new_id(), 999_999, None, "request-of-a-test")
    with pytest.raises(NotFoundError), returns.desk.begin() as session:
        hold_refund(session, wish, Policy(), now=returns.desk.now)


def test_wishes_of_the_same_moment_never_exceed_the_price(returns: Returns) -> None:
    """Ten people press the button at once: seven times 20.00 fit into 140.00."""
    purchase, answers = returns.sold(), []
    barrier = threading.Barrier(10)
    number = purchase.transaction_id or 0

    def wish() -> None:
        barrier.wait()
        try:
            with returns.desk.begin() as session:
                one = Wish(new_id(), number, 2_000, "request-of-a-test")
                hold_refund(session, one, Policy(), now=returns.desk.now)
            answers.append("held")
        except (RefundExceedsError, NoRefundableHoursError):
            answers.append("refused")

    threads = [threading.Thread(target=wish) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == ["held"] * 7 + ["refused"] * 3
    returns.prove()
    assert returns.load(purchase).refunding_cents == 14_000
    assert returns.minutes(purchase) == {"held": 600}


def test_the_hours_of_a_guest_who_became_somebody_are_refunded_where_they_are(returns: Returns) -> None:
    """Lots, money and debt move with the student; a refund on its way finds them there."""
    purchase = returns.sold(used=60)
    refund_id = returns.hold(purchase, 7_000)
    account = add_student(returns.desk.begin, "account@example.com", at=returns.desk.now, external_id="sub-1")
    guest = purchase.student_id or 0
    with returns.desk.begin() as session:
        session.execute(text("UPDATE purchase SET student_id = :to"), {"to": account})
        ledger.transfer_all(session, guest, account, at=returns.desk.now)
    returns.send(refund_id)
    assert returns.balance(purchase)["student_id"] == account
    assert returns.balance(purchase)["returned_cents"] == 7_000
    returns.pass_time(24 * 60)
    returns.gateway.change_refund("re_1", status="failed")
    returns.hear_of_refunds(purchase)
    assert returns.minutes(purchase) == {"left": 540, "consumed": 60}
