"""A subscription as its owner wants it: every action, every refusal, and nothing charged behind a wish to cancel."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
from sqlalchemy import text

from billing.db import Begin
from billing.deployment import Deployment
from billing.gateway import InvalidRequestError
from billing.messages import ActDecided
from billing.secrets import Vault
from billing.states import AccountAction, ActState, StaleKind
from tests.support.accounts import EVE, MONTHLY, STANDARD, STUDENT, Home, refusal
from tests.support.factories import minutes_left

A = AccountAction
DONE = ActState.DONE
AT_END, AT_ONCE = {"at_period_end": True}, {"at_period_end": False}
TO_STUDENT = {"plan_id": STUDENT}


@pytest.fixture
def home(begin: Begin, deployment: Deployment, vault: Vault, now: datetime, database_url: str) -> Home:
    return Home(begin, deployment, vault, now, database_url)


# --- cancel ---


def test_a_subscription_is_cancelled_at_the_end_of_its_period(home: Home) -> None:
    """What was paid for is kept to its end; then it is not charged again."""
    there = home.subscribe()
    act = home.cancel()
    row = home.subscription()
    assert (act.state, row.cancel_at_period_end, row.status) == (DONE, True, "active")
    assert act.result == {
        "status": "active",
        "cancel_at_period_end": True,
        "is_paused": False,
        "period_end": there.period_end.isoformat(),
    }
    home.ask()
    assert home.subscription().cancel_requested_at is not None
    assert home.gateway.renew(there.id) is None
    home.hear_of(StaleKind.SUBSCRIPTION, there.id)
    assert home.subscription().status == "canceled"


def test_a_subscription_is_cancelled_at_once(home: Home) -> None:
    """The hours of the period that is paid stay."""
    there = home.subscribe()
    act = home.cancel(at_period_end=False)
    assert (act.state, home.gateway.subscriptions[there.id].status) == (DONE, "canceled")
    assert (home.subscription().status, home.subscription().ended_at) == ("canceled", home.desk.now)
    home.ask()
    assert minutes_left(home.desk.begin, home.student_id) == 30 * 60


def test_what_was_to_end_later_can_end_at_once(home: Home) -> None:
    home.subscribe()
    home.cancel()
    assert home.cancel(at_period_end=False).state is DONE
    assert home.subscription().status == "canceled"


def test_a_subscription_that_never_began_can_only_end_at_once(home: Home) -> None:
    """Stripe takes no other change of it; its first invoice can no longer be paid."""
    there = home.subscribe(is_paid=False)
    assert home.cancel().state is DONE
    assert home.gateway.subscriptions[there.id].status == "incomplete_expired"
    assert home.subscription().status == "incomplete_expired"


@pytest.mark.parametrize("first", [AT_END, AT_ONCE])
def test_what_is_cancelled_is_not_cancelled_twice(home: Home, first: dict[str, bool]) -> None:
    home.subscribe()
    home.do(A.CANCEL, first)
    home.called()
    assert refusal(home.cancel()) == ("refused", "already_cancelled")
    assert home.called() == []
    assert home.subscription().cancel_requested_at is not None


def test_a_subscription_that_ended_meanwhile_is_as_good_as_cancelled(home: Home) -> None:
    """Its owner has what was asked for; an event of it is still on its way."""
    home.gateway.end(home.subscribe().id)
    assert home.cancel(at_period_end=False).state is DONE
    assert home.subscription().status == "canceled"


def test_a_cancel_that_stripe_refuses_takes_its_fence_away(home: Home) -> None:
    """The subscription goes on, so it may be paid and changed as before."""
    home.subscribe()
    home.fail_with(InvalidRequestError())
    act = home.cancel()
    assert refusal(act) == ("refused", "invalid_request_error")
    assert home.subscription().cancel_requested_at is None
    assert ("subscription", "sub_1") in home.marked()


def test_a_cancel_that_fails_leaves_the_fence_of_the_next_one(home: Home) -> None:
    """Its owner asked again: what could charge stays behind it."""
    home.subscribe()
    first = home.accept(A.CANCEL, AT_END)
    home.accept(A.CANCEL, AT_ONCE)
    home.fail_with(InvalidRequestError())
    home.perform(first.id)
    assert home.act(first.id).state is ActState.REFUSED
    assert home.subscription().cancel_requested_at is not None


def test_the_fence_is_put_up_for_who_was_a_guest_when_it_was_accepted(home: Home) -> None:
    """Bought by a guest, cancelled by the account that proved the address."""
    home.subscribe()
    with home.desk.begin() as session:
        session.execute(text("UPDATE student SET external_id = NULL, email_verified = false"))
    accepted = home.accept(A.CANCEL, AT_END)
    assert home.subscription().cancel_requested_at is None
    home.perform(accepted.id)
    assert home.act(accepted.id).state is DONE
    assert home.subscription().cancel_requested_at == home.desk.now


# --- resume and pause ---


def test_what_was_to_end_is_resumed(home: Home) -> None:
    there = home.subscribe()
    home.cancel()
    act = home.do(A.RESUME)
    assert (act.state, home.gateway.subscriptions[there.id].cancel_at_period_end) == (DONE, False)
    row = home.subscription()
    assert (row.cancel_at_period_end, row.cancel_requested_at) == (False, None)
    home.ask()
    assert home.do(A.CHANGE_PLAN, TO_STUDENT).state is DONE


def test_a_subscription_is_paused_and_goes_on(home: Home) -> None:
    """A month abroad is not charged."""
    there = home.subscribe()
    assert home.do(A.PAUSE).state is DONE
    assert (home.gateway.subscriptions[there.id].is_paused, home.subscription().is_paused) == (True, True)
    home.called()
    assert refusal(home.do(A.PAUSE)) == ("refused", "already_paused")
    assert home.called() == []
    assert home.do(A.RESUME).state is DONE
    assert (home.gateway.subscriptions[there.id].is_paused, home.subscription().is_paused) == (False, False)


def test_what_was_paused_and_is_to_end_goes_on_as_a_whole(home: Home) -> None:
    there = home.subscribe()
    home.do(A.PAUSE)
    home.cancel()
    assert home.do(A.RESUME).state is DONE
    now = home.gateway.subscriptions[there.id]
    assert (now.is_paused, now.cancel_at_period_end) == (False, False)


def test_a_resume_that_waited_behind_a_new_cancel_calls_nobody(home: Home) -> None:
    """The last word of its owner was that it ends."""
    home.subscribe()
    home.cancel()
    resume = home.accept(A.RESUME)
    cancel = home.accept(A.CANCEL, AT_ONCE)
    home.called()
    home.perform(resume.id)
    assert refusal(home.act(resume.id)) == ("refused", "cancelled_meanwhile")
    assert home.called() == []
    home.perform(cancel.id)
    assert home.subscription().status == "canceled"


def test_a_cancel_that_comes_while_a_resume_is_called_keeps_its_fence(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer to the resume must not take away what was put up meanwhile."""
    home.subscribe()
    home.cancel()
    call = home.gateway.change_subscription

    def cancelled_meanwhile(*arguments: object) -> object:
        home.accept(A.CANCEL, AT_ONCE)
        return call(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(home.gateway, "change_subscription", cancelled_meanwhile)
    assert home.do(A.RESUME).state is DONE
    assert home.subscription().cancel_requested_at is not None
    home.perform(home.acts()[-1].id)
    assert home.subscription().status == "canceled"


# --- change of plan ---


@pytest.mark.parametrize(("before", "after"), [(MONTHLY, STUDENT), (STUDENT, MONTHLY)])
def test_another_plan_counts_from_the_next_period_on(home: Home, before: int, after: int) -> None:
    """Up or down: this period stays what it was, in money and in hours."""
    there = home.subscribe(before)
    hours = minutes_left(home.desk.begin, home.student_id)
    act = home.do(A.CHANGE_PLAN, {"plan_id": after})
    home.ask()
    assert (act.state, home.subscription().plan_version_id) == (DONE, home.version(after).id)
    assert minutes_left(home.desk.begin, home.student_id) == hours
    home.pass_days(31)
    invoice = home.gateway.renew(there.id)
    assert invoice is not None
    assert invoice.paid_cents == home.version(after).price_cents
    home.hear_of(StaleKind.SUBSCRIPTION, there.id)
    assert minutes_left(home.desk.begin, home.student_id) == hours + home.version(after).minutes


@pytest.mark.parametrize(
    ("plan_id", "word"), [(999, "plan_unknown"), (STANDARD, "plan_not_recurring"), (MONTHLY, "same_plan")]
)
def test_a_plan_that_cannot_be_changed_to(home: Home, plan_id: int, word: str) -> None:
    home.subscribe(MONTHLY)
    home.called()
    looks = home.gateway.looks
    assert refusal(home.do(A.CHANGE_PLAN, {"plan_id": plan_id})) == ("refused", word)
    assert (home.called(), home.gateway.looks) == ([], looks)


# --- pay ---


def test_a_renewal_that_failed_is_paid_with_the_card_of_now(home: Home) -> None:
    """The card that a browser has just saved, of which Stripe does not know that it is the default."""
    there = home.subscribe()
    invoice_id = home.fall_behind(there.id)
    card = home.save_card()
    home.pass_days(31)
    act = home.do(A.PAY)
    assert (act.state, act.result) == (DONE, {"invoice_id": invoice_id, "status": "paid"})
    assert home.gateway.subscriptions[there.id].default_card_id == card.id
    home.ask()
    row = home.subscription()
    assert (row.status, row.invoice_id) == ("active", None)
    assert refusal(home.do(A.PAY)) == ("refused", "nothing_due")


@pytest.mark.parametrize(
    ("code", "word"), [("card_declined", "card_error"), ("authentication_required", "authentication_required")]
)
def test_a_bank_that_says_no_is_told_in_its_words(home: Home, code: str, word: str) -> None:
    """Or it wants to see its customer, who finds the invoice's secret with the subscription."""
    there = home.subscribe()
    home.fall_behind(there.id)
    home.save_card()
    home.gateway.decline_next(code, "Not with us.")
    act = home.do(A.PAY)
    assert (refusal(act), act.error_message) == (("refused", word), "Not with us.")
    assert ("subscription", there.id) in home.marked()
    home.ask()
    assert home.subscription().status == "past_due"
    assert home.do(A.PAY).state is DONE


def test_an_invoice_that_was_paid_meanwhile_is_not_paid_twice(home: Home) -> None:
    """Stripe tried again by itself a moment ago."""
    there = home.subscribe()
    invoice_id = home.fall_behind(there.id)
    home.save_card()
    home.gateway.settle(invoice_id)
    assert home.do(A.PAY).result == {"invoice_id": invoice_id, "status": "paid"}


# --- refusals without a call ---


def nothing(_home: Home) -> None:
    """Somebody who never subscribed."""


def incomplete(home: Home) -> None:
    home.subscribe(is_paid=False)


def ended(home: Home) -> None:
    home.subscribe()
    home.cancel(at_period_end=False)


def live(home: Home) -> None:
    home.subscribe()


def ending(home: Home) -> None:
    home.subscribe()
    home.cancel()


def behind(home: Home) -> None:
    home.fall_behind(home.subscribe().id)


def ending_behind(home: Home) -> None:
    home.save_card(is_default=True)
    behind(home)
    home.cancel()


REFUSALS: list[tuple[Callable[[Home], None], AccountAction, str]] = [
    (nothing, A.CANCEL, "no_subscription"),
    *((nothing, action, "no_subscription") for action in (A.RESUME, A.PAUSE, A.CHANGE_PLAN, A.PAY)),
    *((incomplete, action, "no_subscription") for action in (A.RESUME, A.PAUSE, A.CHANGE_PLAN, A.PAY)),
    *((ended, action, "subscription_ended") for action in (A.RESUME, A.PAUSE, A.CHANGE_PLAN, A.PAY)),
    (ended, A.CANCEL, "already_cancelled"),
    (ending, A.CANCEL, "already_cancelled"),
    (live, A.RESUME, "not_cancelling"),
    (live, A.PAY, "nothing_due"),
    (behind, A.PAY, "no_payment_method"),
    (ending, A.CHANGE_PLAN, "cancelled_meanwhile"),
    (ending_behind, A.PAY, "cancelled_meanwhile"),
]
PARAMETERS: dict[AccountAction, dict[str, Any]] = {A.CANCEL: AT_END, A.CHANGE_PLAN: TO_STUDENT}


@pytest.mark.parametrize(
    ("before", "action", "word"),
    [pytest.param(*case, id=f"{case[0].__name__}-{case[1]}") for case in REFUSALS],
)
def test_what_cannot_be_is_refused_without_a_call(
    home: Home, before: Callable[[Home], None], action: AccountAction, word: str
) -> None:
    """Our rows know it: Stripe is not troubled, and nothing has changed."""
    before(home)
    home.ask()
    home.called()
    looks = home.gateway.looks
    act = home.do(action, PARAMETERS.get(action))
    assert refusal(act) == ("refused", word)
    assert act.error_message
    assert (home.called(), home.gateway.looks, home.marked()) == ([], looks, [])


@pytest.mark.parametrize("action", [A.CHANGE_PLAN, A.PAY])
def test_what_could_charge_reads_the_fence_last(home: Home, action: AccountAction) -> None:
    """The cancel came after the wish, and before a worker had time for it."""
    home.save_card(is_default=True)
    home.fall_behind(home.subscribe().id)
    accepted = home.accept(action, PARAMETERS.get(action))
    home.accept(A.CANCEL, AT_ONCE)
    home.called()
    home.perform(accepted.id)
    assert refusal(home.act(accepted.id)) == ("refused", "cancelled_meanwhile")
    assert home.called() == []


@pytest.mark.parametrize("action", [A.CHANGE_PLAN, A.PAY])
def test_a_cancel_that_comes_while_the_call_is_made_ready_is_seen(
    home: Home, action: AccountAction, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Prices and cards are asked for first; the fence is read after that, and then comes the call."""
    home.save_card(is_default=True)
    home.fall_behind(home.subscribe().id)
    for name in ("change_subscription", "retrieve_subscription"):
        monkeypatch.setattr(home.gateway, name, _cancelled_before(home, getattr(home.gateway, name)))
    act = home.do(action, PARAMETERS.get(action))
    assert refusal(act) == ("refused", "cancelled_meanwhile")
    assert "pay_invoice" not in home.called()
    assert home.subscription().plan_version_id == home.version(MONTHLY).id


def _cancelled_before(home: Home, call: Callable[..., object]) -> Callable[..., object]:
    def cancelled(*arguments: object) -> object:
        home.accept(A.CANCEL, AT_ONCE)
        return call(*arguments)

    return cancelled


# --- one after the other ---


def test_the_wishes_of_a_caller_are_worked_in_their_order(home: Home) -> None:
    """Whatever the order of the hints: a pause that was taken back stays taken back."""
    home.subscribe()
    pause, resume = home.accept(A.PAUSE), home.accept(A.RESUME)
    told = home.perform(resume.id)
    waiting = home.act(resume.id)
    assert (waiting.state, waiting.due_at is not None, home.act(pause.id).state) == (
        ActState.REQUESTED,
        True,
        ActState.REQUESTED,
    )
    assert [getattr(one, "act_id", None) for one in told] == [pause.id]
    home.perform(pause.id)
    home.perform(resume.id)
    assert [act.state for act in home.acts()] == [DONE, DONE]
    assert not home.subscription().is_paused


def test_callers_do_not_wait_for_each_other(home: Home) -> None:
    home.accept(A.ADD_CARD)
    assert home.do(A.ADD_CARD, caller=EVE).state is DONE


def test_a_wish_that_was_given_up_holds_up_nobody(home: Home) -> None:
    """It is a dead letter, which people see to."""
    home.subscribe()
    first = home.accept(A.PAUSE)
    with home.desk.begin() as session:
        session.execute(text("UPDATE account_act SET attempts = 7"))
    home.perform(first.id)
    assert home.act(first.id).gave_up_at is not None
    assert home.cancel().state is DONE


def test_a_hint_for_an_act_that_is_decided_calls_nobody(home: Home) -> None:
    home.subscribe()
    act = home.do(A.PAUSE)
    home.called()
    assert home.perform(act.id) == []
    assert home.called() == []


def test_the_decision_is_told(home: Home) -> None:
    home.subscribe()
    for action in (A.PAUSE, A.PAUSE):
        accepted = home.accept(action)
        assert ActDecided(act_id=accepted.id) in home.perform(accepted.id)
