"""Events of subscriptions, invoices, cards and customers only say whom to ask about, and only where they are ours."""

import threading
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

import pytest
from sqlalchemy import text

from billing.db import Begin
from billing.deployment import MARK, Deployment
from billing.ids import installation_mark, new_id
from billing.models import PaymentMethod, Purchase
from billing.secrets import Vault
from billing.stale.marks import mark
from billing.states import PurchaseState, StaleKind
from tests.support.locks import until_somebody_waits
from tests.support.subscribers import (
    Subscribed,
    Subscribers,
    invoice_body,
    older_invoice_body,
    subscription_body,
)

SUBSCRIPTION_EVENTS = ("created", "updated", "deleted", "paused", "resumed")
INVOICE_EVENTS = ("paid", "payment_failed", "payment_action_required", "upcoming")
CARD_EVENTS = ("attached", "automatically_updated")


@pytest.fixture
def subscribers(begin: Begin, deployment: Deployment, vault: Vault, now: datetime) -> Subscribers:
    return Subscribers(begin, deployment, vault, now)


def subscription_news(subscribers: Subscribers, one: Subscribed) -> dict[str, Any]:
    return subscription_body(subscribers.there(one))


def invoice_news(subscribers: Subscribers, one: Subscribed) -> dict[str, Any]:
    return invoice_body(subscribers.newest(one), subscribers.there(one))


def older_news(subscribers: Subscribers, one: Subscribed) -> dict[str, Any]:
    return older_invoice_body(subscribers.newest(one), subscribers.there(one))


News = Callable[[Subscribers, Subscribed], dict[str, Any]]
KINDS: Mapping[str, News] = {
    **{f"customer.subscription.{name}": subscription_news for name in SUBSCRIPTION_EVENTS},
    **{f"invoice.{name}": invoice_news for name in INVOICE_EVENTS},
}


@pytest.mark.parametrize("kind", KINDS)
def test_an_event_of_a_known_subscription_marks_it(subscribers: Subscribers, kind: str) -> None:
    one = subscribers.begin()
    body = {**KINDS[kind](subscribers, one), "metadata": {}, "customer": None}
    assert subscribers.hear(kind, body) == "applied"
    assert subscribers.marks() == [("subscription", one.stripe_id, 1, one.purchase_id, True)]


@pytest.mark.parametrize(
    "news", [subscription_news, invoice_news, older_news], ids=["subscription", "invoice", "older"]
)
def test_our_mark_is_enough_before_the_row_is_there(subscribers: Subscribers, news: News) -> None:
    """Stripe tells of a subscription before its create has answered us; the news must not be lost."""
    one = subscribers.ask_to_begin()
    kind = "customer.subscription.created" if news is subscription_news else "invoice.paid"
    assert subscribers.hear(kind, {**news(subscribers, one), "customer": None}) == "applied"
    assert subscribers.marks() == [("subscription", one.stripe_id, 1, one.purchase_id, True)]


def test_our_customer_is_enough_where_there_is_no_mark(subscribers: Subscribers) -> None:
    """A subscription that somebody made in the dashboard for a customer of ours charges him and brings no hours."""
    one = subscribers.ask_to_begin()
    subscribers.gateway.change_subscription_there(one.stripe_id, mark=None)
    subscribers.run("DELETE FROM purchase")
    assert subscribers.hear("customer.subscription.created", subscription_news(subscribers, one)) == "applied"
    subscribers.ask()
    assert subscribers.cases() == ["foreign_subscription"]


@pytest.mark.parametrize("kind", KINDS)
def test_an_unknown_customer_changes_nothing_and_asks_nobody(subscribers: Subscribers, kind: str) -> None:
    """Others use the same account: their subscriptions are none of our business."""
    body = {
        "id": "sub_of_others",
        "customer": "cus_of_others",
        "metadata": {MARK: installation_mark(new_id(), new_id())},
        "parent": {"subscription_details": {"subscription": "sub_of_others", "metadata": {}}},
    }
    assert subscribers.hear(kind, body) == "foreign"
    subscribers.ask()
    assert (subscribers.marks(), subscribers.gateway.looks, subscribers.cases()) == ([], 0, [])


def test_a_mark_of_a_purchase_that_nobody_knows_waits(subscribers: Subscribers, deployment: Deployment) -> None:
    """A database that was restored from a backup may know it again soon; until then it is kept, and nobody is asked."""
    body = {"id": "sub_lost", "metadata": {MARK: installation_mark(deployment.installation, new_id())}}
    assert subscribers.hear("customer.subscription.updated", body) == "wait"
    assert (subscribers.marks(), subscribers.gateway.looks) == ([], 0)


@pytest.mark.parametrize("parent", [None, {}, "text", {"subscription_details": None}, {"quote_details": {}}], ids=str)
def test_an_invoice_of_no_subscription_is_foreign(subscribers: Subscribers, parent: object) -> None:
    """A bill for something else, to a customer of ours too; and shapes that nobody promised."""
    one = subscribers.begin()
    body = {"id": "in_1", "customer": subscribers.there(one).customer_id, "parent": parent, "subscription": None}
    assert (subscribers.hear("invoice.paid", body), subscribers.marks()) == ("foreign", [])


def test_an_upcoming_invoice_has_no_id_and_is_heard(subscribers: Subscribers) -> None:
    """Stripe sends it days before the invoice is made; in a batch with others it must not stop them."""
    one = subscribers.begin()
    body = invoice_news(subscribers, one)
    del body["id"]
    assert subscribers.hear("invoice.upcoming", body) == "applied"
    del body["parent"]
    assert subscribers.hear("invoice.upcoming", body) == "foreign"


def test_an_invoice_that_must_have_an_id_and_has_none_is_ignored(subscribers: Subscribers) -> None:
    body = invoice_news(subscribers, subscribers.begin())
    del body["id"]
    assert subscribers.hear("invoice.paid", body) == "unhandled"


def test_an_event_of_an_older_version_credits_as_one_of_today(subscribers: Subscribers) -> None:
    """What it says is not read, so its shape matters for one thing only: which subscription to ask about."""
    one = subscribers.begin()
    subscribers.gateway.settle(subscribers.newest(one).id)
    older = {"api_version": "2024-06-20"}
    assert subscribers.hear("invoice.paid", older_news(subscribers, one), **older) == "applied"
    subscribers.ask()
    assert (len(subscribers.lots(one)), subscribers.first(one).state) == (1, PurchaseState.COMPLETED)


def test_what_an_event_says_of_money_is_not_believed(subscribers: Subscribers) -> None:
    one = subscribers.begin()
    body = {**invoice_news(subscribers, one), "status": "paid", "amount_paid": 11_900}
    subscribers.hear("invoice.paid", body)
    subscribers.ask()
    assert (subscribers.lots(one), subscribers.first(one).state) == ([], PurchaseState.PENDING)


def test_objects_stand_for_their_ids(subscribers: Subscribers) -> None:
    """An account may have its events expanded by a connector; an object in place of an id names the same thing."""
    one = subscribers.begin()
    body = {"id": "in_1", "parent": {"subscription_details": {"subscription": {"id": one.stripe_id}}}}
    assert subscribers.hear("invoice.paid", body) == "applied"


@pytest.mark.parametrize("name", CARD_EVENTS)
def test_a_card_of_ours_marks_its_customer(subscribers: Subscribers, name: str) -> None:
    _, customer_id = subscribers.customer()
    assert subscribers.hear(f"payment_method.{name}", {"id": "pm_1", "customer": customer_id}) == "applied"
    assert subscribers.marks() == [("customer", customer_id, 1, None, True)]


def test_a_detached_card_marks_whose_it_was(subscribers: Subscribers) -> None:
    """It is nobody's any more: the event names its former customer among what was different before."""
    _, customer_id = subscribers.customer()
    data = {"object": {"id": "pm_1", "customer": None}, "previous_attributes": {"customer": customer_id}}
    assert subscribers.hear("payment_method.detached", {"id": "pm_1"}, data=data) == "applied"
    assert subscribers.marks() == [("customer", customer_id, 1, None, True)]


def test_a_detached_card_that_we_know_marks_its_owner(subscribers: Subscribers, begin: Begin, now: datetime) -> None:
    """Where the event does not say whose it was, our row does."""
    student_id, customer_id = subscribers.customer()
    card = PaymentMethod(
        id=new_id(),
        stripe_payment_method_id="pm_1",
        student_id=student_id,
        brand="visa",
        last4="4242",
        exp_month=1,
        exp_year=2030,
        attached_at=now,
    )
    with begin() as session:
        session.add(card)
    assert subscribers.hear("payment_method.detached", {"id": "pm_2", "customer": None}) == "foreign"
    assert subscribers.hear("payment_method.detached", {"id": "pm_1", "customer": None}) == "applied"
    assert subscribers.marks() == [("customer", customer_id, 1, None, True)]


def test_a_deleted_customer_is_marked(subscribers: Subscribers) -> None:
    _, customer_id = subscribers.customer()
    assert subscribers.hear("customer.deleted", {"id": customer_id}) == "applied"
    assert subscribers.marks() == [("customer", customer_id, 1, None, True)]


@pytest.mark.parametrize(
    ("kind", "subject"),
    [
        ("customer.deleted", {"id": "cus_of_others"}),
        ("payment_method.attached", {"id": "pm_1", "customer": "cus_of_others"}),
        ("payment_method.attached", {"id": "pm_1", "customer": None}),
        ("payment_method.detached", {"id": "pm_1", "customer": None}),
    ],
)
def test_cards_and_customers_of_others_are_foreign(
    subscribers: Subscribers, kind: str, subject: dict[str, Any]
) -> None:
    subscribers.customer()
    assert (subscribers.hear(kind, subject), subscribers.marks()) == ("foreign", [])
    assert subscribers.gateway.looks == 0


def test_an_event_waits_for_whoever_has_the_purchase_before_it_marks(subscribers: Subscribers) -> None:
    """The event of a subscription comes while its answer is recorded: neither waits for the other in a circle."""
    one = subscribers.ask_to_begin()
    body = subscription_news(subscribers, one)
    hearing = threading.Thread(target=subscribers.hear, args=("customer.subscription.created", body))
    with subscribers.desk.begin() as session:
        session.get_one(Purchase, one.purchase_id, with_for_update=True)
        hearing.start()
        until_somebody_waits(subscribers.desk.begin)
        session.execute(text("SET LOCAL lock_timeout = '500ms'"))
        kind, ours, now = StaleKind.SUBSCRIPTION, one.purchase_id, subscribers.desk.now
        mark(session, kind, one.stripe_id, purchase_id=ours, request_id="request-of-a-test", at=now)
    hearing.join()
    assert subscribers.marks() == [("subscription", one.stripe_id, 2, one.purchase_id, True)]
