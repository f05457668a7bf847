"""Whatever happens between a wish and its record: the same calls under the same keys, and one outcome."""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pytest

from billing import retry
from billing.accounts import decisions
from billing.accounts.perform import perform_account_act
from billing.db import Begin
from billing.deployment import Deployment
from billing.gateway import OutcomeUnknownError, StripeBusyError, StripeCrowdedError
from billing.messages import PerformAccountAct
from billing.secrets import Vault
from billing.states import AccountAction, ActState, StaleKind
from tests.support.accounts import STUDENT, Dead, Home, refusal
from tests.support.office import unreachable

A = AccountAction
DONE = ActState.DONE


@pytest.fixture
def home(begin: Begin, deployment: Deployment, vault: Vault, now: datetime, database_url: str) -> Home:
    return Home(begin, deployment, vault, now, database_url)


Facts = Mapping[str, Any]


@dataclass(frozen=True)
class Case:
    """What is there before, what is asked for, and what is to be at Stripe afterwards."""

    before: Callable[[Home], Facts]
    action: AccountAction
    after: Callable[[Home], object]
    outcome: object


def nothing(_home: Home) -> Facts:
    return {}


def subscribed(home: Home) -> Facts:
    home.subscribe()
    return {}


def to_the_end(home: Home) -> Facts:
    return {**subscribed(home), "at_period_end": True}


def at_once(home: Home) -> Facts:
    return {**subscribed(home), "at_period_end": False}


def cancelled(home: Home) -> Facts:
    subscribed(home)
    home.cancel()
    home.ask()
    return {}


def other_plan(home: Home) -> Facts:
    return {**subscribed(home), "plan_id": STUDENT}


def behind(home: Home) -> Facts:
    home.fall_behind(home.subscribe().id)
    home.save_card(is_default=True)
    return {}


def new_card(home: Home) -> Facts:
    return {"payment_method_id": home.gateway.add_card().id}


def second_card(home: Home) -> Facts:
    home.save_card(is_default=True)
    return {"payment_method_id": home.save_card().id}


def first_of_two(home: Home) -> Facts:
    first = home.save_card(is_default=True)
    home.save_card()
    return {"payment_method_id": first.id}


def status(home: Home) -> str:
    return home.gateway.subscriptions["sub_1"].status


def is_ending(home: Home) -> bool:
    return home.gateway.subscriptions["sub_1"].cancel_at_period_end


def is_paused(home: Home) -> bool:
    return home.gateway.subscriptions["sub_1"].is_paused


def price(home: Home) -> bool:
    return home.gateway.subscriptions["sub_1"].price_id != "price_1"


def payments(home: Home) -> list[str]:
    return [invoice.status for invoice in home.gateway.invoices.values()]


def setups(home: Home) -> int:
    return len(home.gateway.setups)


def cards(home: Home) -> object:
    """Attached ones and the default, at Stripe and here: the same."""
    there = home.gateway.customers[home.customer_id].default_card_id
    attached = {card.id: card.id == there for card in home.gateway.list_cards(home.customer_id)}
    assert home.saved() == attached
    return attached


CASES = [
    Case(to_the_end, A.CANCEL, is_ending, outcome=True),
    Case(at_once, A.CANCEL, status, "canceled"),
    Case(cancelled, A.RESUME, is_ending, outcome=False),
    Case(subscribed, A.PAUSE, is_paused, outcome=True),
    Case(other_plan, A.CHANGE_PLAN, price, outcome=True),
    Case(behind, A.PAY, payments, ["paid", "paid"]),
    Case(new_card, A.ATTACH_CARD, cards, {"pm_1": True}),
    Case(second_card, A.DEFAULT_CARD, cards, {"pm_1": False, "pm_2": True}),
    Case(first_of_two, A.REMOVE_CARD, cards, {"pm_2": True}),
    Case(nothing, A.ADD_CARD, setups, 1),
]
every_action = pytest.mark.parametrize("case", [pytest.param(case, id=f"{case.before.__name__}") for case in CASES])


def _die(*_: object, **__: object) -> None:
    raise Dead


@every_action
@pytest.mark.parametrize("point", ["before the call", "after the call", "after the answer"])
@pytest.mark.parametrize("news", ["no news", "news of it come first"])
def test_a_worker_that_died_is_followed_by_the_same_calls(
    home: Home, case: Case, point: str, news: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed anywhere between claim and commit, also where an event has told the rows of it meanwhile."""
    parameters = case.before(home)
    home.let_workers_die()
    accepted = home.accept(case.action, parameters)
    home.called()
    with monkeypatch.context() as dying:
        if point == "before the call":
            home.gateway.troubles = [Dead()]
        elif point == "after the call":
            home.gateway.lost = [Dead()]
        else:
            dying.setattr(decisions, "decide", _die)
        with pytest.raises(Dead):
            home.perform(accepted.id)
    first = [*home.gateway.calls]
    assert home.act(accepted.id).state is ActState.REQUESTED
    if news == "news of it come first":
        _hear(home)
    home.gateway.calls.clear()
    home.perform(accepted.id)
    assert (home.act(accepted.id).state, home.act(accepted.id).error_type) == (DONE, None)
    assert case.after(home) == case.outcome
    assert set(first[-1:]) <= set(home.gateway.calls)
    home.ask()
    assert case.after(home) == case.outcome


def _hear(home: Home) -> None:
    home.hear_of(StaleKind.CUSTOMER, home.customer_id)
    for subscription_id in home.gateway.subscriptions:
        home.hear_of(StaleKind.SUBSCRIPTION, subscription_id)


@every_action
def test_an_answer_that_was_lost_is_asked_for_with_the_same_key(home: Home, case: Case) -> None:
    """Nobody knows whether it was done: the key makes it once."""
    parameters = case.before(home)
    home.called()
    home.gateway.lost = [unreachable()]
    act = home.do(case.action, parameters)
    assert (act.state, act.error_type, act.due_at is not None) == (ActState.REQUESTED, None, True)
    assert (act.last_error or "").startswith("api_connection_error")
    home.perform(act.id)
    assert (home.act(act.id).state, case.after(home)) == (DONE, case.outcome)
    assert home.act(act.id).result is None or "calling" not in (home.act(act.id).result or {})


@every_action
def test_a_key_that_stripe_has_forgotten_does_no_harm(home: Home, case: Case) -> None:
    """The answer was lost, and every worker was away for longer than a day: what was done is found done."""
    parameters = case.before(home)
    home.gateway.lost = [unreachable()]
    act = home.do(case.action, parameters)
    home.pass_days(1.5)
    home.gateway._kept.clear()  # what Stripe does after a day
    home.perform(act.id)
    assert home.act(act.id).state is DONE
    if case.action is not A.ADD_CARD:  # another setup intent, of which nothing comes
        assert case.after(home) == case.outcome


def test_a_crowd_of_workers_does_it_once(home: Home) -> None:
    """Ten thousand hints are one claim."""
    home.subscribe()
    accepted = home.accept(A.PAUSE)
    home.called()
    message = PerformAccountAct(act_id=accepted.id)
    crowd = [threading.Thread(target=lambda: perform_account_act(home.desk, message)) for _ in range(6)]
    for one in crowd:
        one.start()
    for one in crowd:
        one.join()
    assert (home.act(accepted.id).state, home.called()) == (DONE, ["change_subscription"])


def test_a_failure_that_stripe_repeats_is_left_behind_with_a_new_key(home: Home) -> None:
    """It gives the same answer to a key for a day, a failure of its own too."""
    home.subscribe()
    accepted = home.accept(A.PAUSE)
    home.called()
    home.fail_with(*(OutcomeUnknownError() for _ in range(6)))
    for _ in range(6):
        home.perform(accepted.id)
    keys = [key for _, key in home.gateway.calls]
    assert [len(set(keys)), len(set(keys[:5]))] == [2, 1]
    home.perform(accepted.id)
    assert home.act(accepted.id).state is DONE


def test_a_stripe_that_is_busy_is_asked_again_later(home: Home) -> None:
    home.subscribe()
    home.fail_with(StripeBusyError())
    act = home.do(A.PAUSE)
    assert (act.state, act.deferrals) == (ActState.REQUESTED, 1)
    home.perform(act.id)
    assert home.act(act.id).state is DONE


def test_an_act_that_found_no_place_was_not_tried(home: Home) -> None:
    home.subscribe()
    home.fail_with(StripeCrowdedError(0.0))
    act = home.do(A.PAUSE)
    assert (act.state, act.attempts, act.deferrals) == (ActState.REQUESTED, 0, 0)
    home.perform(act.id)
    assert home.act(act.id).state is DONE


def test_trouble_of_a_day_is_told_and_what_is_true_is_asked_for(home: Home) -> None:
    """Whoever wanted to cancel must learn that it may not have come to that; its fence goes with it."""
    there = home.subscribe()
    accepted = home.accept(A.CANCEL, {"at_period_end": True})
    tries = len(retry.STRIPE.seconds)
    home.fail_with(*(unreachable() for _ in range(tries + 2)))
    for _ in range(tries):
        home.perform(accepted.id)
    home.pass_days(0.9)
    home.perform(accepted.id)
    assert home.act(accepted.id).state is ActState.REQUESTED
    assert home.subscription().cancel_requested_at is not None
    home.pass_days(0.2)
    home.perform(accepted.id)
    assert refusal(home.act(accepted.id)) == ("refused", "api_connection_error")
    assert home.subscription().cancel_requested_at is None
    assert ("subscription", there.id) in home.marked()


def test_an_act_that_waited_for_a_day_is_tried_before_it_is_refused(home: Home) -> None:
    """No worker had time for it: that is no trouble of Stripe's."""
    home.subscribe()
    accepted = home.accept(A.PAUSE)
    home.pass_days(2)
    home.fail_with(unreachable())
    home.perform(accepted.id)
    assert home.act(accepted.id).state is ActState.REQUESTED
    home.perform(accepted.id)
    assert home.act(accepted.id).state is DONE


def test_what_a_worker_was_about_to_call_is_nobodys_result(home: Home) -> None:
    """It is kept where the outcome will be, and is gone once there is one."""
    home.subscribe()
    home.fail_with(unreachable())
    act = home.do(A.PAUSE)
    assert act.result == {"calling": {"subscription_id": "sub_1"}}
    home.gateway.end("sub_1")
    home.perform(act.id)
    act = home.act(act.id)
    assert (refusal(act), act.result) == (("refused", "subscription_ended"), None)
    assert home.subscription().status == "canceled"
