"""Money goes back once for each refund, whatever happens between the call to Stripe and the commit."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from sqlalchemy import text

from billing.db import Begin
from billing.deployment import REFUND_MARK, Deployment
from billing.errors import LeaseLostError
from billing.gateway import (
    GatewayError,
    InvalidRequestError,
    KeyReusedError,
    OutcomeUnknownError,
    RefundThere,
    StoredCall,
    StripeBusyError,
    StripeRefusedUsError,
)
from billing.ids import installation_mark, new_id
from billing.messages import ActDecided, PurchaseChanged, SendRefund
from billing.refunds.send import send_refund
from billing.secrets import Vault
from billing.states import PurchaseState, RefundState
from tests.support.gateway import FakeGateway
from tests.support.leases import UnrenewedLeases
from tests.support.office import Returns, intent_of, unreachable

R = RefundState
DAY = 24 * 60


class Dead(BaseException):
    """What a SIGKILL looks like from inside: nothing after it runs."""


@pytest.fixture
def returns(begin: Begin, deployment: Deployment, vault: Vault, now: datetime) -> Returns:
    return Returns(begin, deployment, vault, now)


def let_workers_die(returns: Returns) -> None:
    """Their claims end at once, so that the next worker need not wait."""
    returns.leases = UnrenewedLeases(seconds=0.001)
    returns.desk = replace(returns.desk, leases=returns.leases)


def test_a_refund_goes_to_stripe_as_it_was_held(returns: Returns) -> None:
    purchase = returns.sold()
    refund = returns.refunded(purchase, 3_500)
    (call,) = returns.gateway.creates
    mark = installation_mark(returns.desk.deployment.installation, refund.id)
    assert (call.parameters["payment_intent"], call.parameters["amount"]) == (intent_of(purchase), 3_500)
    assert call.parameters["metadata"] == {REFUND_MARK: mark, "request_id": "request-of-a-test"}
    assert (refund.state, refund.stripe_refund_id, refund.due_at) == (R.SUCCEEDED, "re_1", None)
    assert returns.calls() == [("answered", 1, 1)]


def test_whoever_waits_for_a_refund_is_told(returns: Returns) -> None:
    """The buyer follows the purchase, staff the act that asked for it."""
    purchase = returns.sold()
    refund_id = returns.hold(purchase)
    told = send_refund(returns.desk, SendRefund(refund_id=refund_id))
    assert PurchaseChanged(purchase_id=purchase.id) in told
    assert ActDecided(act_id=refund_id) in told


def test_a_second_hint_for_a_refund_that_is_decided_calls_nobody(returns: Returns) -> None:
    refund = returns.refunded(returns.sold())
    returns.send(refund.id)
    send_refund(returns.desk, SendRefund(refund_id=new_id()))
    assert len(returns.gateway.creates) == 1


@pytest.mark.parametrize("point", ["before the call", "after the call", "after the answer"])
def test_a_worker_that_died_is_followed_by_the_same_call(
    returns: Returns, point: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed anywhere between claim and commit: one refund at Stripe, each minute taken once."""
    purchase = returns.sold()
    refund_id = returns.hold(purchase)
    let_workers_die(returns)
    with monkeypatch.context() as dying:
        if point == "before the call":
            returns.gateway.troubles = [Dead()]
        elif point == "after the call":
            returns.gateway.lost = [Dead()]
        else:
            dying.setattr("billing.refunds.outcomes.ledger.return_money", _die)
        with pytest.raises(Dead):
            returns.send(refund_id)
    returns.prove()
    assert returns.refund(refund_id).state is R.HELD
    done = returns.send(refund_id)
    first, second = returns.gateway.creates
    assert (done.state, first, len(returns.gateway.refunds)) == (R.SUCCEEDED, second, 1)
    assert returns.minutes(purchase) == {"refunded": 600}


def _die(*_: object, **__: object) -> None:
    raise Dead


def test_an_outcome_that_is_unknown_is_asked_for_with_the_same_key(returns: Returns) -> None:
    purchase = returns.sold()
    refund_id = returns.hold(purchase)
    returns.gateway.lost = [unreachable()]
    waiting = returns.send(refund_id)
    assert (waiting.state, waiting.error_type) == (R.HELD, "api_connection_error")
    assert waiting.due_at is not None
    done = returns.send(refund_id)
    assert (done.state, done.error_type) == (R.SUCCEEDED, None)
    assert len({call.idempotency_key for call in returns.gateway.creates}) == 1
    assert len(returns.gateway.refunds) == 1


def test_after_five_sends_without_an_answer_the_refund_is_looked_for(returns: Returns) -> None:
    refund_id = returns.hold(returns.sold())
    returns.gateway.lost = [unreachable()]
    returns.send(refund_id)
    returns.gateway.troubles = [unreachable() for _ in range(4)]
    for _ in range(4):
        returns.send(refund_id)
    assert returns.gateway.looks == 0
    assert returns.send(refund_id).state is R.SUCCEEDED
    assert (returns.gateway.looks, len(returns.gateway.creates)) == (1, 5)


def test_a_key_older_than_a_day_is_never_sent_again(returns: Returns) -> None:
    """Stripe may have forgotten it: the refund is looked for, and only then a new attempt has a new key."""
    refund_id = returns.hold(returns.sold())
    returns.fail_with(unreachable())
    returns.send(refund_id)
    returns.pass_time(DAY)
    assert returns.send(refund_id).state is R.HELD
    done = returns.send(refund_id)
    first, second = returns.gateway.creates
    assert (done.state, returns.gateway.looks) == (R.SUCCEEDED, 1)
    assert first.idempotency_key != second.idempotency_key
    assert returns.calls() == [("lapsed", 1, 1), ("answered", 2, 1)]


def test_a_key_older_than_a_day_whose_refund_is_there_is_not_made_anew(returns: Returns) -> None:
    """The answer was lost and nobody worked for a day: the money went once."""
    refund_id = returns.hold(returns.sold())
    returns.gateway.lost = [unreachable()]
    returns.send(refund_id)
    returns.pass_time(DAY)
    assert returns.send(refund_id).state is R.SUCCEEDED
    assert len(returns.gateway.creates) == 1


@pytest.mark.parametrize(
    ("lasts_days", "is_prolonged"), [(45, False), (3, True)], ids=["as it was", "seven days from now"]
)
def test_a_refusal_gives_the_hours_back_with_life_in_them(
    returns: Returns, lasts_days: float, is_prolonged: bool
) -> None:
    """Their expiry as it was, or a whole week from now, whichever is later; and a person is told."""
    purchase = returns.sold(lasts_days=lasts_days)
    before = returns.lot(purchase)["expires_at"]
    refund_id = returns.hold(purchase)
    returns.pass_time(DAY / 2)
    returns.fail_with(InvalidRequestError("No."))
    refused = returns.send(refund_id)
    assert (refused.state, refused.error_type, refused.due_at) == (R.FAILED, "invalid_request_error", None)
    assert returns.minutes(purchase) == {"left": 600}
    week = returns.end_of_day(returns.desk.now + timedelta(days=7))
    assert returns.lot(purchase)["expires_at"] == (week if is_prolonged else before)
    assert returns.load(purchase).refunding_cents == 0
    assert returns.cases() == ["refund_refused"]
    assert returns.calls() == [("refused", 1, 1)]


def test_hours_that_expired_while_they_were_held_live_a_week_when_the_refund_fails(returns: Returns) -> None:
    """They were not theirs to spend in their last days."""
    purchase = returns.sold(lasts_days=1)
    refund_id = returns.hold(purchase)
    returns.pass_time(3 * DAY)
    returns.fail_with(InvalidRequestError())
    returns.send(refund_id)
    assert returns.lot(purchase)["expires_at"] == returns.end_of_day(returns.desk.now + timedelta(days=7))


def test_a_refund_of_no_minutes_prolongs_nothing(returns: Returns) -> None:
    """Else a cent that cannot be given back would be a way to keep hours for ever."""
    purchase = returns.sold(lasts_days=1)
    before = returns.lot(purchase)["expires_at"]
    returns.fail_with(InvalidRequestError())
    returns.refunded(purchase, 1)
    assert returns.lot(purchase)["expires_at"] == before


def test_a_refusal_is_believed_only_where_the_refund_is_not_there(returns: Returns) -> None:
    """Stripe refuses a second send because the first one, whose answer was lost, did it."""
    purchase = returns.sold()
    refund_id = returns.hold(purchase)
    returns.gateway.lost = [unreachable()]
    returns.send(refund_id)
    returns.fail_with(InvalidRequestError("charge_already_refunded"))
    assert returns.send(refund_id).state is R.SUCCEEDED
    assert returns.cases() == []


def test_a_key_that_was_used_for_something_else_is_looked_at_by_people(returns: Returns) -> None:
    returns.fail_with(KeyReusedError())
    assert returns.refunded(returns.sold()).state is R.FAILED
    assert returns.cases() == ["key_reused"]


@pytest.mark.parametrize(
    "error", [StripeBusyError(), StripeRefusedUsError(), OutcomeUnknownError()], ids=lambda error: type(error).__name__
)
def test_trouble_that_may_pass_keeps_the_refund_held_and_says_why(returns: Returns, error: GatewayError) -> None:
    """Busy, or our own key is wrong: the hours stay held, and it goes on by itself, however long that takes."""
    purchase = returns.sold()
    refund_id = returns.hold(purchase)
    for _ in range(4):
        returns.fail_with(error)
        waiting = returns.send(refund_id)
        assert (waiting.state, waiting.error_type) == (R.HELD, error.error_type)
        assert waiting.due_at is not None
    assert returns.minutes(purchase) == {"held": 600}
    assert returns.send(refund_id).state is R.SUCCEEDED


def test_a_refund_on_its_way_succeeds_when_the_bank_says_so(returns: Returns) -> None:
    purchase = returns.sold()
    returns.gateway.refund_status = "pending"
    sent = returns.refunded(purchase)
    assert (sent.state, returns.minutes(purchase)) == (R.SENT, {"held": 600})
    returns.gateway.change_refund("re_1", status="succeeded")
    returns.hear_of_refunds(purchase)
    assert returns.refund(sent.id).state is R.SUCCEEDED
    assert returns.minutes(purchase) == {"refunded": 600}


def test_a_refund_on_its_way_is_asked_about_where_its_event_was_lost(returns: Returns) -> None:
    """No refund waits for ever: not for a bank, not for an event."""
    purchase = returns.sold()
    returns.gateway.refund_status = "pending"
    sent = returns.refunded(purchase)
    assert sent.due_at is not None
    again = returns.send(sent.id)
    assert (again.state, again.deferrals) == (R.SENT, 2)
    returns.gateway.change_refund("re_1", status="succeeded")
    assert returns.send(sent.id).state is R.SUCCEEDED
    assert len(returns.gateway.creates) == 1


def test_a_refund_on_its_way_that_fails_gives_the_hours_back(returns: Returns) -> None:
    purchase = returns.sold()
    returns.gateway.refund_status = "pending"
    sent = returns.refunded(purchase)
    returns.gateway.change_refund("re_1", status="failed", failure_reason="expired_or_canceled_card")
    failed = returns.send(sent.id)
    assert (failed.state, failed.error_message) == (R.FAILED, "expired_or_canceled_card")
    assert returns.minutes(purchase) == {"left": 600}
    assert returns.cases() == ["refund_failed"]


def test_a_refund_that_came_back_from_the_bank_is_undone(returns: Returns) -> None:
    """Minutes and money are back, and the purchase is completed once more."""
    purchase = returns.sold(lasts_days=1)
    refund = returns.refunded(purchase)
    assert returns.load(purchase).state is PurchaseState.REFUNDED
    returns.pass_time(20 * DAY)
    returns.gateway.change_refund("re_1", status="failed", failure_reason="lost_or_stolen_card")
    for kind in ("refund.updated", "refund.failed"):
        returns.hear_of_refunds(purchase, kind)
    assert returns.refund(refund.id).state is R.FAILED
    assert returns.load(purchase).state is PurchaseState.COMPLETED
    assert returns.minutes(purchase) == {"left": 600}
    assert returns.balance(purchase)["returned_cents"] == 0
    assert returns.lot(purchase)["expires_at"] == returns.end_of_day(returns.desk.now + timedelta(days=7))
    assert returns.cases() == ["refund_failed"]
    assert returns.refunded(purchase).state is R.SUCCEEDED


def test_a_late_worker_records_nothing_over_the_one_that_took_over(returns: Returns) -> None:
    """A worker that froze in the call wakes when another has finished: its answer is dropped."""
    purchase = returns.sold()
    refund_id = returns.hold(purchase)
    other = replace(returns.desk, leases=UnrenewedLeases())
    let_workers_die(returns)

    class Slow(FakeGateway):
        def create_refund(self, call: StoredCall) -> RefundThere:
            send_refund(other, SendRefund(refund_id=refund_id))
            return replace(super().create_refund(call), id="re_of_the_late_one")

    slow = Slow(returns.desk.now)
    slow.intents = returns.gateway.intents
    returns.desk = replace(returns.desk, gateway=slow)
    with pytest.raises(LeaseLostError):
        returns.send(refund_id)
    returns.prove()
    assert returns.refund(refund_id).stripe_refund_id == "re_1"


def test_a_refund_that_kills_its_workers_is_a_dead_letter_and_its_hours_stay_held(returns: Returns) -> None:
    """Nobody knows whether the money went: a person has to look, and nothing is spent until then."""
    purchase = returns.sold()
    refund_id = returns.hold(purchase)
    returns.leases = UnrenewedLeases(seconds=0.001, lost_claims=3)
    returns.desk = replace(returns.desk, leases=returns.leases)
    for _ in range(3):
        returns.gateway.lost = [Dead()]
        with pytest.raises(Dead):
            returns.send(refund_id)
    dead = returns.send(refund_id)
    assert (dead.state, dead.due_at, dead.gave_up_at is None) == (R.HELD, None, False)
    assert returns.minutes(purchase) == {"held": 600}
    returns.hear_of_refunds(purchase)
    found = returns.refund(refund_id)
    assert (found.state, found.gave_up_at) == (R.SUCCEEDED, None)


def test_no_statement_waits_for_stripe(returns: Returns) -> None:
    """While Stripe thinks, no transaction of ours is open."""

    class Watching(FakeGateway):
        def create_refund(self, call: StoredCall) -> RefundThere:
            with returns.desk.begin() as session:
                state = "SELECT count(*) FROM pg_stat_activity WHERE state LIKE 'idle in transaction%'"
                assert session.execute(text(state)).scalar_one() == 0
            return super().create_refund(call)

    watching = Watching(returns.desk.now)
    refund_id = returns.hold(returns.sold())
    watching.intents = returns.gateway.intents
    returns.desk = replace(returns.desk, gateway=watching)
    assert returns.send(refund_id).state is R.SUCCEEDED
