"""What owners of accounts ask for is accepted once, in an order, and a wish to cancel puts up its fence at once."""

import asyncio
from datetime import datetime

import pytest
from sqlalchemy import text

from billing import db
from billing.accounts.accept import AccountRequest, accept_act
from billing.db import Begin
from billing.deployment import Deployment
from billing.errors import IdempotencyMismatchError
from billing.ids import new_id
from billing.secrets import Vault
from billing.states import AccountAction, ActState
from tests.support.accounts import ANA, EVE, Home, refusal
from tests.support.database import connect_async

A = AccountAction
AT_END = {"at_period_end": True}


@pytest.fixture
def home(begin: Begin, deployment: Deployment, vault: Vault, now: datetime, database_url: str) -> Home:
    return Home(begin, deployment, vault, now, database_url)


def test_an_accepted_wish_says_who_and_what(home: Home) -> None:
    """The row is there before anybody does anything."""
    accepted = home.accept(A.ATTACH_CARD, {"payment_method_id": "pm_1"}, key="k")
    row = home.act(accepted.id)
    assert (accepted.state, accepted.is_replay) == (ActState.REQUESTED, False)
    assert (row.action, row.parameters) == (A.ATTACH_CARD, {"payment_method_id": "pm_1"})
    assert (row.caller_sub, row.caller_email, row.caller_email_verified) == (ANA.sub, ANA.email, True)
    assert (row.caller_name, row.student_id, row.idempotency_key) == ("Ana", home.student_id, "k")
    assert row.due_at is not None
    assert row.hint_at is not None
    assert row.hint_at > row.due_at


def test_a_repeat_finds_the_act_and_its_state_of_now(home: Home) -> None:
    home.subscribe()
    first = home.accept(A.PAUSE, key="k")
    again = home.accept(A.PAUSE, key="k")
    assert (again.id, again.state, again.is_replay) == (first.id, ActState.REQUESTED, True)
    home.perform(first.id)
    again = home.accept(A.PAUSE, key="k")
    assert (again.id, again.state, again.is_replay) == (first.id, ActState.DONE, True)


def test_a_key_belongs_to_its_caller(home: Home) -> None:
    first = home.accept(A.ADD_CARD, key="k")
    assert home.accept(A.ADD_CARD, key="k", caller=EVE).id != first.id


def test_a_key_with_another_body_is_a_mistake(home: Home) -> None:
    home.accept(A.ADD_CARD, key="k")
    with pytest.raises(IdempotencyMismatchError):
        home.accept(A.ADD_CARD, key="k", body=b"other")
    assert len(home.acts()) == 1


def test_a_refused_wish_is_not_remembered(home: Home) -> None:
    """Who mends what was wrong may send the same again."""
    first = home.do(A.PAUSE, key="k")
    assert refusal(first) == ("refused", "no_subscription")
    home.subscribe()
    again = home.do(A.PAUSE, key="k")
    assert (again.id != first.id, again.state) == (True, ActState.DONE)


def test_the_same_request_again_is_not_a_second_act(home: Home) -> None:
    """The door sends it again where it does not know whether it was committed; by then it may be decided."""
    act_id = new_id()
    home.accept(A.ADD_CARD, id=act_id)
    home.perform(act_id)
    again = home.accept(A.ADD_CARD, id=act_id)
    assert (again.id, again.is_replay, len(home.acts())) == (act_id, False, 1)


@pytest.mark.parametrize("key", [None, "k"])
def test_twenty_double_clicks_are_one_act(home: Home, key: str | None) -> None:
    """With a key or without: a nervous thumb changes nothing twice."""

    async def crowd() -> set[object]:
        engine = connect_async(home.url, pool_size=20)

        async def click() -> object:
            request = AccountRequest(
                id=new_id(),
                action=A.CANCEL,
                parameters=AT_END,
                caller=ANA,
                name="Ana",
                idempotency_key=key,
                body_hash=b"body" if key else None,
                request_id="request-of-a-test",
                requested_at=home.desk.now,
            )
            async with db.begin_async(engine) as connection:
                return (await accept_act(connection, request)).id

        accepted = await asyncio.gather(*(click() for _ in range(20)))
        await engine.dispose()
        return set(accepted)

    assert len(asyncio.run(crowd())) == 1
    assert len(home.acts()) == 1


def test_the_same_wish_after_another_one_is_a_new_wish(home: Home) -> None:
    """Cancel, resume, cancel: who ends with a cancel wants it cancelled."""
    home.subscribe()
    first = home.accept(A.CANCEL, AT_END)
    home.accept(A.RESUME)
    last = home.accept(A.CANCEL, AT_END)
    assert last.id != first.id
    for act in home.acts():
        home.perform(act.id)
    assert [act.state for act in home.acts()] == [ActState.DONE, ActState.REFUSED, ActState.REFUSED]
    assert home.gateway.subscriptions["sub_1"].cancel_at_period_end
    assert home.subscription().cancel_requested_at is not None


def test_other_parameters_are_another_wish(home: Home) -> None:
    first = home.accept(A.CANCEL, AT_END)
    assert home.accept(A.CANCEL, {"at_period_end": False}).id != first.id


def test_a_decided_wish_may_be_had_again(home: Home) -> None:
    first = home.do(A.ADD_CARD)
    assert home.accept(A.ADD_CARD).id != first.id


def test_a_wish_to_cancel_puts_up_the_fence_when_it_is_accepted(home: Home) -> None:
    """What is on its way to charge must find it, however long the wish waits for a worker."""
    home.subscribe()
    home.accept(A.CANCEL, AT_END)
    assert home.subscription().cancel_requested_at == home.desk.now
    home.pass_time(5)
    home.accept(A.CANCEL, {"at_period_end": False})
    assert home.subscription().cancel_requested_at == home.acts()[0].requested_at


@pytest.mark.parametrize("action", [A.RESUME, A.PAUSE, A.PAY, A.ADD_CARD])
def test_no_other_wish_puts_it_up(home: Home, action: AccountAction) -> None:
    home.subscribe()
    home.accept(action)
    assert home.subscription().cancel_requested_at is None


def test_nobody_cancels_for_somebody_else(home: Home) -> None:
    """The fence is the caller's own; an address that is not proven gives nobody another one's subscription."""
    home.subscribe()
    act = home.do(A.CANCEL, AT_END, caller=EVE)
    assert refusal(act) == ("refused", "no_subscription")
    assert home.subscription().cancel_requested_at is None


def test_a_subscription_that_ended_has_no_fence(home: Home) -> None:
    home.subscribe()
    home.cancel(at_period_end=False)
    with home.desk.begin() as session:
        session.execute(text("UPDATE subscription SET cancel_requested_at = NULL"))
    act = home.cancel()
    assert refusal(act) == ("refused", "already_cancelled")
    assert home.subscription().cancel_requested_at is None
