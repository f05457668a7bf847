"""Saved cards: as Stripe has them, and as their owner wants them."""

from datetime import datetime
from typing import Any

import pytest
from sqlmodel import select

from billing.customers.ensure import ensure_customer
from billing.db import Begin
from billing.deployment import Deployment
from billing.ids import installation_mark
from billing.messages import ActDecided, PerformAccountAct
from billing.models import PaymentMethod, StripeCustomer
from billing.purchases.accept import Caller
from billing.secrets import Vault
from billing.states import AccountAction, ActState, StaleKind
from tests.support.accounts import ANA, EVE, Home, refusal
from tests.support.factories import add_student

A = AccountAction
CUSTOMER = StaleKind.CUSTOMER
LAST_MONTH: dict[str, Any] = {"exp_year": 2026, "exp_month": 2}
THIS_MONTH: dict[str, Any] = {"exp_year": 2026, "exp_month": 3}


@pytest.fixture
def home(begin: Begin, deployment: Deployment, vault: Vault, now: datetime, database_url: str) -> Home:
    return Home(begin, deployment, vault, now, database_url)


def customer_of(home: Home, student_id: int) -> StripeCustomer:
    with home.desk.begin() as session:
        return session.get_one(StripeCustomer, student_id)


def default_there(home: Home) -> str | None:
    return home.gateway.customers[home.customer_id].default_card_id


# --- what Stripe has ---


def test_the_cards_of_a_customer_are_written_down(home: Home) -> None:
    """Brand, four digits and expiry are all that is ever kept of a card."""
    first = home.save_card(is_default=True)
    second = home.save_card(brand="mastercard", last4="4444", exp_year=2030, exp_month=7)
    assert home.saved() == {first.id: True, second.id: False}
    with home.desk.begin() as session:
        rows = {row.stripe_payment_method_id: row for row in session.exec(select(PaymentMethod))}
    kept = rows[second.id]
    assert (kept.student_id, kept.brand, kept.last4) == (home.student_id, "mastercard", "4444")
    assert (kept.exp_month, kept.exp_year, kept.attached_at) == (7, 2030, second.created_at)


def test_what_the_network_changed_of_a_card_is_learnt(home: Home) -> None:
    """The bank sent a new card in place of the old one; nobody has to type it in."""
    card = home.save_card()
    home.gateway.change_card(card.id, last4="1881", exp_year=2040)
    home.hear_of(CUSTOMER, home.customer_id)
    with home.desk.begin() as session:
        (row,) = session.exec(select(PaymentMethod)).all()
    assert (row.last4, row.exp_year) == ("1881", 2040)


def test_a_card_that_is_gone_there_is_gone_here(home: Home) -> None:
    first, second = home.save_card(is_default=True), home.save_card()
    home.gateway.take_off(first.id)
    home.hear_of(CUSTOMER, home.customer_id)
    assert home.saved() == {second.id: True}


def test_where_stripe_has_no_default_the_first_card_stays_it(home: Home) -> None:
    """A browser that saves a card tells nobody that it is to be charged: nobody is to be charged by surprise."""
    first = home.save_card()
    home.pass_time(1)
    home.gateway.now = home.desk.now
    second = home.save_card()
    assert home.saved() == {first.id: True, second.id: False}
    home.hear_of(CUSTOMER, home.customer_id)
    assert home.saved() == {first.id: True, second.id: False}


def test_the_default_moves_with_stripe(home: Home) -> None:
    first, second = home.save_card(is_default=True), home.save_card()
    home.gateway.set_default_card(home.customer_id, second.id, "dashboard")
    home.hear_of(CUSTOMER, home.customer_id)
    assert home.saved() == {first.id: False, second.id: True}


def test_the_same_news_again_change_nothing(home: Home) -> None:
    home.save_card(is_default=True)
    home.save_card()
    before = home.saved()
    for _ in range(3):
        home.hear_of(CUSTOMER, home.customer_id)
    assert home.saved() == before


def test_a_customer_that_was_deleted_is_made_anew(home: Home) -> None:
    """Somebody tidied up in the dashboard: the next who pays must not be told that there is no such customer."""
    home.save_card(is_default=True)
    before = customer_of(home, home.student_id)
    home.gateway.delete_customer(home.customer_id)
    home.hear_of(CUSTOMER, home.customer_id)
    gone = customer_of(home, home.student_id)
    assert (gone.stripe_customer_id, gone.made_at, gone.attempt) == (None, None, before.attempt + 1)
    assert (gone.id != before.id, home.saved()) == (True, {})
    assert ensure_customer(home.desk, home.student_id) != home.customer_id


def test_a_customer_of_nobody_here_changes_nothing(home: Home) -> None:
    """Another system uses the same account at Stripe."""
    card = home.save_card()
    stranger = home.gateway.add_customer()
    home.gateway.add_card(stranger.id)
    home.hear_of(CUSTOMER, stranger.id)
    assert home.saved() == {card.id: True}
    assert home.marked() == []


# --- adding ---


def test_a_card_is_added_through_a_setup_intent(home: Home, vault: Vault) -> None:
    """The number of a card is typed into Stripe's form and never passes here."""
    act = home.do(A.ADD_CARD)
    (setup,) = home.gateway.setups.values()
    assert (act.state, act.result) == (ActState.DONE, {"setup_intent_id": setup.id})
    assert act.client_secret is not None
    assert vault.open(act.client_secret) == setup.client_secret
    assert home.called()[-1] == "create_setup_intent"


def test_who_adds_a_card_first_becomes_a_customer(home: Home) -> None:
    """An account that never bought anything; its student and its customer are made for it, once."""
    act = home.do(A.ADD_CARD, caller=EVE)
    assert act.state is ActState.DONE
    assert act.student_id is not None
    eve = customer_of(home, act.student_id)
    there = home.gateway.customers[eve.stripe_customer_id or ""]
    assert there.mark == installation_mark(home.desk.deployment.installation, eve.id)
    assert home.do(A.ADD_CARD, caller=EVE).student_id == act.student_id
    assert len(home.gateway.customers) == 2


def test_an_address_that_is_not_proven_makes_nobody_a_customer(home: Home) -> None:
    """Else whoever types an address would get what a guest of that address has saved."""
    guest = add_student(home.desk.begin, "guest@example.com", at=home.desk.now)
    ensure_customer(home.desk, guest)
    home.called()
    for email in ("guest@example.com", None):
        stranger = Caller("user-mallory", email, email_verified=False)
        assert refusal(home.do(A.ADD_CARD, caller=stranger)) == ("refused", "student_unknown")
    assert home.called() == []


def test_the_first_card_that_is_attached_is_the_default(home: Home) -> None:
    """Nobody should have to say that the only card is to be charged."""
    subscription = home.subscribe()
    card = home.gateway.add_card()
    act = home.of_card(A.ATTACH_CARD, card)
    assert (act.state, act.result) == (ActState.DONE, {"payment_method_id": card.id, "is_default": True})
    assert home.gateway.cards[card.id].customer_id == home.customer_id
    assert home.saved() == {card.id: True}
    assert default_there(home) == card.id
    assert home.gateway.subscriptions[subscription.id].default_card_id == card.id
    assert ("customer", home.customer_id) in home.marked()
    home.ask()
    assert home.saved() == {card.id: True}


def test_a_second_card_leaves_the_default_alone(home: Home) -> None:
    first, second = home.save_card(is_default=True), home.gateway.add_card()
    home.called()
    act = home.of_card(A.ATTACH_CARD, second)
    assert act.result == {"payment_method_id": second.id, "is_default": False}
    assert home.called() == ["attach_card"]
    home.ask()
    assert home.saved() == {first.id: True, second.id: False}


def test_a_good_card_takes_the_place_of_an_expired_one(home: Home) -> None:
    home.save_card(is_default=True, **LAST_MONTH)
    card = home.gateway.add_card()
    assert home.of_card(A.ATTACH_CARD, card).state is ActState.DONE
    assert home.saved()[card.id]
    assert default_there(home) == card.id


def test_a_card_that_a_browser_saved_already_can_be_attached_again(home: Home) -> None:
    """A front end says so after the form, and need not know that Stripe did it."""
    card = home.save_card()
    act = home.of_card(A.ATTACH_CARD, card)
    assert (act.state, default_there(home)) == (ActState.DONE, card.id)


def test_a_bank_that_does_not_want_its_card_kept(home: Home) -> None:
    card = home.gateway.add_card()
    home.gateway.decline_next(message="Your card was declined.")
    act = home.of_card(A.ATTACH_CARD, card)
    assert (refusal(act), act.error_message) == (("refused", "card_error"), "Your card was declined.")
    assert home.saved() == {}
    assert ("customer", home.customer_id) in home.marked()


def test_a_card_that_turns_out_to_have_expired_is_not_kept(home: Home) -> None:
    """Its month is known only once it is attached."""
    card = home.gateway.add_card(**LAST_MONTH)
    assert refusal(home.of_card(A.ATTACH_CARD, card)) == ("refused", "card_expired")
    assert home.gateway.cards[card.id].customer_id is None
    assert home.saved() == {}


def test_a_card_that_stripe_does_not_know(home: Home) -> None:
    act = home.do(A.ATTACH_CARD, {"payment_method_id": "pm_nobody"})
    assert refusal(act) == ("refused", "invalid_request_error")
    assert home.saved() == {}


# --- the default one ---


def test_another_card_becomes_the_default(home: Home) -> None:
    """The subscription is charged by it too: it may have had one of its own."""
    first, second = home.save_card(is_default=True), home.save_card()
    subscription = home.subscribe()
    act = home.of_card(A.DEFAULT_CARD, second)
    assert (act.state, act.result) == (ActState.DONE, {"payment_method_id": second.id})
    assert home.saved() == {first.id: False, second.id: True}
    assert default_there(home) == second.id
    assert home.gateway.subscriptions[subscription.id].default_card_id == second.id
    home.ask()
    assert home.saved() == {first.id: False, second.id: True}


def test_a_card_is_good_to_the_end_of_its_month(home: Home) -> None:
    card = home.save_card(**THIS_MONTH)
    assert home.of_card(A.DEFAULT_CARD, card).state is ActState.DONE


def test_a_subscription_that_ended_meanwhile_does_not_keep_a_card_from_being_the_default(home: Home) -> None:
    card = home.save_card()
    home.gateway.end(home.subscribe().id)
    assert home.of_card(A.DEFAULT_CARD, card).state is ActState.DONE
    home.ask()
    assert home.subscription().ended_at is not None


# --- removing ---


def test_a_card_is_removed(home: Home) -> None:
    first, second = home.save_card(is_default=True), home.save_card()
    home.called()
    act = home.of_card(A.REMOVE_CARD, second)
    assert (act.state, home.called()) == (ActState.DONE, ["detach_card"])
    assert home.saved() == {first.id: True}
    assert home.gateway.cards[second.id].customer_id is None


def test_before_the_default_card_goes_another_takes_its_place(home: Home) -> None:
    """There is no moment in which a renewal would find no card; one that has expired comes last."""
    first = home.save_card(is_default=True)
    good, expired = home.save_card(), home.save_card(**LAST_MONTH)
    subscription = home.subscribe()
    home.called()
    assert home.of_card(A.REMOVE_CARD, first).state is ActState.DONE
    assert home.called() == ["set_default_card", "change_subscription", "detach_card"]
    assert home.saved() == {good.id: True, expired.id: False}
    assert default_there(home) == good.id
    assert home.gateway.subscriptions[subscription.id].default_card_id == good.id
    home.ask()
    assert home.saved() == {good.id: True, expired.id: False}


def test_the_last_card_may_go_where_nothing_is_charged_by_it(home: Home) -> None:
    card = home.save_card(is_default=True)
    home.subscribe()
    home.cancel(at_period_end=False)
    assert home.of_card(A.REMOVE_CARD, card).state is ActState.DONE
    assert home.saved() == {}


def test_a_card_that_went_in_the_dashboard_a_moment_ago_is_removed(home: Home) -> None:
    """Its owner has what was asked for."""
    card = home.save_card()
    home.gateway.take_off(card.id)
    assert home.of_card(A.REMOVE_CARD, card).state is ActState.DONE
    assert home.saved() == {}


# --- refusals without a call ---


@pytest.mark.parametrize("action", [A.ATTACH_CARD, A.DEFAULT_CARD, A.REMOVE_CARD])
@pytest.mark.parametrize("whose", ["somebody else's", "removed"])
def test_a_card_that_is_not_the_callers_is_not_found(home: Home, action: AccountAction, whose: str) -> None:
    """The same answer for somebody else's card and for none: nobody learns which cards there are."""
    card = home.save_card()
    if whose == "removed":
        home.of_card(A.REMOVE_CARD, card)
    caller = ANA if whose == "removed" else EVE
    home.called()
    before = home.saved()
    act = home.of_card(action, card, caller=caller)
    assert refusal(act) == ("refused", "card_not_found")
    assert (home.called(), home.saved()) == ([], before)


@pytest.mark.parametrize("action", [A.DEFAULT_CARD, A.REMOVE_CARD])
def test_a_card_that_was_never_seen_is_not_found(home: Home, action: AccountAction) -> None:
    home.called()
    assert refusal(home.do(action, {"payment_method_id": "pm_nobody"})) == ("refused", "card_not_found")
    assert home.called() == []


@pytest.mark.parametrize("action", [A.ATTACH_CARD, A.DEFAULT_CARD])
def test_an_expired_card_is_not_to_be_charged(home: Home, action: AccountAction) -> None:
    card = home.save_card(**LAST_MONTH)
    home.called()
    assert refusal(home.of_card(action, card)) == ("refused", "card_expired")
    assert home.called() == []


def test_the_last_card_of_a_live_subscription_stays(home: Home) -> None:
    """Else the next renewal fails, and nobody meant that."""
    card = home.save_card(is_default=True)
    home.subscribe()
    home.called()
    assert refusal(home.of_card(A.REMOVE_CARD, card)) == ("refused", "card_in_use")
    assert (home.called(), home.saved()) == ([], {card.id: True})


def test_a_refusal_makes_no_student(home: Home) -> None:
    """Nothing is left of a wish that was none, but that it was asked for."""
    act = home.do(A.REMOVE_CARD, {"payment_method_id": "pm_nobody"}, caller=EVE)
    assert (refusal(act), act.student_id) == (("refused", "card_not_found"), None)


# --- whoever waits ---


def test_whoever_waits_is_told_and_the_next_wish_has_its_turn(home: Home) -> None:
    first, second = home.accept(A.ADD_CARD), home.accept(A.PAUSE)
    told = home.perform(first.id)
    assert ActDecided(act_id=first.id) in told
    assert PerformAccountAct(act_id=second.id) in told
