"""A subscription is what Stripe says it is, and each paid period is credited once, whoever hears of it first."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlmodel import select

from billing.db import Begin
from billing.deployment import Deployment
from billing.ids import new_id
from billing.messages import AskStripe
from billing.models import AccountAct, Receipt, StaleMark
from billing.purchases.news import Context
from billing.secrets import Vault
from billing.stale.ask import ask_stripe
from billing.states import (
    AccountAction,
    ActState,
    LotOrigin,
    PurchaseChannel,
    PurchaseState,
    StaleKind,
    SubscriptionStatus,
)
from billing.subscriptions.found import apply_change, apply_subscription, ask_subscription
from tests.support.factories import add_purchase
from tests.support.subscribers import FAMILY, STUDENT, Subscribed, Subscribers, invoice_body, paid_body

PRICE, MINUTES = 11_900, 900


@pytest.fixture
def subscribers(begin: Begin, deployment: Deployment, vault: Vault, now: datetime) -> Subscribers:
    return Subscribers(begin, deployment, vault, now)


def test_a_paid_first_period_is_hours_until_it_ends(subscribers: Subscribers, now: datetime) -> None:
    """Invoice and line name the credit: no second event, and no second worker, can credit them again."""
    one = subscribers.subscribe()
    (lot,) = subscribers.lots(one)
    (invoice,) = subscribers.gateway.invoices_of(one.stripe_id)
    assert (lot.origin, lot.source) == (LotOrigin.INVOICE, f"invoice:{invoice.id}:line:{invoice.lines[0].id}")
    assert (lot.purchase_id, lot.value_cents, lot.minutes_granted) == (one.purchase_id, PRICE, MINUTES)
    assert (lot.starts_at, lot.expires_at) == (now, now.replace(month=4))
    subscribers.prove()


def test_the_invoice_completes_the_first_purchase(subscribers: Subscribers, now: datetime) -> None:
    """The event of its intent may come later, or never: what is paid is paid."""
    one = subscribers.subscribe()
    first = subscribers.first(one)
    assert (first.state, first.paid_at, first.client_secret) == (PurchaseState.COMPLETED, now, None)
    assert first.stripe_invoice_id == subscribers.newest(one).id
    assert subscribers.steps(one.purchase_id) == ["paid", "credited"]


def test_a_first_intent_that_succeeded_brings_no_hours_by_itself(subscribers: Subscribers) -> None:
    """Hours come with the invoice alone, or the first period would be credited by two rules."""
    one = subscribers.begin()
    invoice = subscribers.newest(one)
    subscribers.hear("payment_intent.succeeded", paid_body(invoice))
    assert (subscribers.first(one).state, subscribers.lots(one)) == (PurchaseState.COMPLETED, [])
    subscribers.gateway.settle(invoice.id)
    subscribers.hear_of(one)
    assert (subscribers.left(one), subscribers.steps(one.purchase_id)) == ([MINUTES], ["paid", "credited"])


def test_a_void_invoice_brings_no_hours_whatever_its_intent_did(subscribers: Subscribers) -> None:
    one = subscribers.begin()
    invoice = subscribers.newest(one)
    subscribers.hear("payment_intent.succeeded", paid_body(invoice))
    for status in ("void", "uncollectible"):
        subscribers.gateway.change_invoice(invoice.id, status=status)
        subscribers.hear_of(one)
    assert subscribers.lots(one) == []


def test_a_renewal_is_a_purchase_of_its_own_with_its_hours(subscribers: Subscribers, now: datetime) -> None:
    """So it has a receipt, a place in the history, and can be given back like any other."""
    one = subscribers.subscribe()
    invoice = subscribers.renew(one)
    assert invoice is not None
    _, renewal = subscribers.purchases(one)
    april = now.replace(month=4)
    assert (renewal.channel, renewal.state, renewal.price_cents) == (
        PurchaseChannel.RENEWAL,
        PurchaseState.COMPLETED,
        PRICE,
    )
    assert (renewal.stripe_invoice_id, renewal.payment_intent_id) == (invoice.id, invoice.payment_intent_id)
    assert (renewal.accepted_at, renewal.paid_at, renewal.buyer_email) == (april, april, "student1@example.com")
    assert renewal.subscription_id == subscribers.first(one).subscription_id
    assert subscribers.steps(renewal.id) == ["paid", "credited"]
    lots = [(lot.starts_at, lot.expires_at, lot.minutes_left) for lot in subscribers.lots(one)]
    assert lots == [(now, april, MINUTES), (april, now.replace(month=5), MINUTES)]
    assert receipts(subscribers) == {one.purchase_id, renewal.id}
    subscribers.prove()


def receipts(subscribers: Subscribers) -> set[Any]:
    with subscribers.desk.begin() as session:
        return set(session.exec(select(Receipt.purchase_id)))


def test_what_nobody_heard_of_for_months_is_credited_by_one_answer(subscribers: Subscribers) -> None:
    """Lost events cost nothing: all invoices are looked at whenever one is."""
    one = subscribers.begin()
    subscribers.gateway.settle(subscribers.newest(one).id)
    for _ in range(3):
        subscribers.gateway.renew(one.stripe_id)
    subscribers.hear_of(one)
    assert subscribers.left(one) == [MINUTES] * 4
    subscribers.prove()


def test_an_invoice_that_was_paid_elsewhere_is_credited_too(subscribers: Subscribers) -> None:
    """Out of band, as Stripe calls it: a transfer to the bank, noted in the dashboard. There is no intent then."""
    one = subscribers.subscribe()
    invoice = subscribers.gateway.renew(one.stripe_id, paid=False)
    assert invoice is not None
    subscribers.gateway.settle(invoice.id)
    subscribers.gateway.change_invoice(invoice.id, payment_intent_id=None)
    subscribers.hear_of(one)
    assert (len(subscribers.lots(one)), subscribers.purchases(one)[1].payment_intent_id) == (2, None)
    subscribers.prove()


def changed_line(subscribers: Subscribers, invoice_id: str, **facts: Any) -> None:
    invoice = subscribers.gateway.invoices[invoice_id]
    (line,) = invoice.lines
    subscribers.gateway.change_invoice(invoice_id, lines=[replace(line, **facts)])


@pytest.mark.parametrize(
    "facts", [{"is_proration": True}, {"price_id": "price_of_others"}, {"price_id": None}], ids=str
)
def test_a_line_that_is_no_period_of_a_plan_brings_no_hours(subscribers: Subscribers, facts: dict[str, Any]) -> None:
    one = subscribers.subscribe()
    invoice = subscribers.gateway.renew(one.stripe_id)
    assert invoice is not None
    changed_line(subscribers, invoice.id, **facts)
    subscribers.hear_of(one)
    assert (len(subscribers.lots(one)), subscribers.cases()) == (1, [])


@pytest.mark.parametrize("reason", ["manual", "subscription_update", "subscription_threshold"])
def test_an_invoice_for_something_else_brings_no_hours(subscribers: Subscribers, reason: str) -> None:
    one = subscribers.subscribe()
    invoice = subscribers.gateway.renew(one.stripe_id)
    assert invoice is not None
    subscribers.gateway.change_invoice(invoice.id, billing_reason=reason)
    subscribers.hear_of(one)
    assert len(subscribers.lots(one)) == 1


DIFFERENCES: dict[str, Callable[[Subscribers, str], object]] = {
    "another amount": lambda world, invoice: changed_line(world, invoice, amount_cents=PRICE - 1),
    "two of it": lambda world, invoice: changed_line(world, invoice, quantity=2),
    "another currency": lambda world, invoice: world.gateway.change_invoice(invoice, currency="usd"),
    "less was paid": lambda world, invoice: world.gateway.change_invoice(invoice, paid_cents=PRICE - 1),
    "another mode": lambda world, invoice: world.gateway.change_invoice(invoice, livemode=True),
    "no time": lambda world, invoice: changed_line(
        world, invoice, period_end=world.gateway.invoices[invoice].lines[0].period_start
    ),
}


@pytest.mark.parametrize("difference", DIFFERENCES)
@pytest.mark.parametrize("is_first", [True, False], ids=["first", "renewal"])
def test_what_was_paid_must_be_what_the_plan_costs(subscribers: Subscribers, difference: str, is_first: bool) -> None:
    """A coupon, a quantity or a price that somebody changed in the dashboard: a person looks, nothing is credited."""
    one = subscribers.begin() if is_first else subscribers.subscribe()
    before = len(subscribers.lots(one))
    invoice = subscribers.newest(one) if is_first else subscribers.gateway.renew(one.stripe_id)
    assert invoice is not None
    subscribers.gateway.settle(invoice.id)
    DIFFERENCES[difference](subscribers, invoice.id)
    for _ in range(2):
        subscribers.hear_of(one)
    assert (len(subscribers.lots(one)), subscribers.cases()) == (before, ["invoice_differs"])
    subscribers.prove()


def test_an_invoice_brings_the_hours_of_one_line(subscribers: Subscribers) -> None:
    """A plan that somebody added a second time at Stripe is for people to see to."""
    one = subscribers.begin()
    invoice = subscribers.newest(one)
    (line,) = invoice.lines
    subscribers.gateway.settle(invoice.id)
    twice = [line, replace(line, id="il_second")]
    subscribers.gateway.change_invoice(invoice.id, lines=twice, paid_cents=2 * PRICE)
    for _ in range(2):
        subscribers.hear_of(one)
    assert (subscribers.left(one), subscribers.cases()) == ([MINUTES], ["invoice_differs"])


def test_a_first_purchase_that_had_ended_and_was_paid_is_completed_and_looked_at(subscribers: Subscribers) -> None:
    """The money is there, so the hours are."""
    one = subscribers.begin()
    subscribers.run("UPDATE purchase SET state = 'expired', client_secret = NULL")
    subscribers.gateway.settle(subscribers.newest(one).id)
    subscribers.hear_of(one)
    assert subscribers.first(one).state is PurchaseState.COMPLETED
    assert (subscribers.left(one), subscribers.cases()) == ([MINUTES], ["paid_after_end"])


def test_fifty_who_apply_it_at_once_credit_it_once(subscribers: Subscribers) -> None:
    """The subscription's lock makes them a queue; whoever comes later finds the lot."""
    one = subscribers.begin()
    subscribers.gateway.settle(subscribers.newest(one).id)
    subscribers.gateway.renew(one.stripe_id)
    found = ask_subscription(subscribers.gateway, one.stripe_id)
    context = Context(subscribers.desk.deployment, subscribers.desk.now, subscribers.desk.vault)
    mark = StaleMark(
        subject=StaleKind.SUBSCRIPTION,
        object_id=one.stripe_id,
        request_id="request-of-a-test",
        marked_at=subscribers.desk.now,
    )

    def apply(_: int) -> bool:
        with subscribers.desk.begin() as session:
            return apply_subscription(session, mark, found, context)

    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(apply, range(50)))
    assert subscribers.left(one) == [MINUTES, MINUTES]
    subscribers.prove()


def test_facts_are_those_of_stripe(subscribers: Subscribers, now: datetime) -> None:
    one = subscribers.subscribe()
    subscribers.gateway.change_subscription_there(one.stripe_id, is_paused=True, cancel_at_period_end=True)
    subscribers.hear_of(one)
    row = subscribers.row(one)
    assert (row.status, row.plan_version_id) == (SubscriptionStatus.ACTIVE, STUDENT)
    assert (row.is_paused, row.cancel_at_period_end) == (True, True)
    assert (row.period_start, row.period_end, row.ended_at) == (now, now.replace(month=4), None)


def test_a_renewal_that_failed_leaves_the_hours_and_says_what_is_due(subscribers: Subscribers, now: datetime) -> None:
    """The owner needs the amount, the next try, and the secret by which a browser can pay."""
    one = subscribers.subscribe()
    invoice = subscribers.renew(one, paid=False)
    assert invoice is not None
    row = subscribers.row(one)
    assert (row.status, row.invoice_id, row.invoice_cents) == (SubscriptionStatus.PAST_DUE, invoice.id, PRICE)
    assert (row.invoice_attempts, row.next_attempt_at) == (1, now.replace(month=4) + timedelta(days=1))
    assert row.invoice_secret is not None
    assert subscribers.desk.vault.open(row.invoice_secret) == invoice.client_secret
    assert invoice.client_secret is not None
    assert invoice.client_secret.encode() not in row.invoice_secret
    assert subscribers.left(one) == [MINUTES]


def test_a_renewal_that_recovered_is_credited_and_nothing_is_due(subscribers: Subscribers) -> None:
    one = subscribers.subscribe()
    invoice = subscribers.renew(one, paid=False)
    assert invoice is not None
    subscribers.gateway.settle(invoice.id)
    subscribers.hear("invoice.paid", invoice_body(invoice, subscribers.there(one)))
    subscribers.ask()
    row = subscribers.row(one)
    assert (row.status, row.invoice_id, row.invoice_secret) == (SubscriptionStatus.ACTIVE, None, None)
    assert (row.invoice_attempts, row.next_attempt_at) == (0, None)
    assert subscribers.left(one) == [MINUTES, MINUTES]


def test_an_upgrade_counts_from_the_next_period_on(subscribers: Subscribers) -> None:
    """Without proration: this period is what was paid for it."""
    one = subscribers.subscribe()
    subscribers.gateway.change_subscription_there(one.stripe_id, price_id=subscribers.price(FAMILY))
    subscribers.hear_of(one)
    assert (subscribers.row(one).plan_version_id, subscribers.left(one)) == (FAMILY, [MINUTES])
    subscribers.renew(one)
    _, renewal = subscribers.purchases(one)
    assert (subscribers.left(one), renewal.price_cents, renewal.plan_version_id) == ([MINUTES, 3000], 29_900, FAMILY)
    subscribers.prove()


def test_a_price_that_is_none_of_ours_is_looked_at_once(subscribers: Subscribers) -> None:
    one = subscribers.subscribe()
    subscribers.gateway.change_subscription_there(one.stripe_id, price_id="price_of_others")
    for _ in range(2):
        subscribers.hear_of(one)
    assert (subscribers.row(one).plan_version_id, subscribers.cases()) == (None, ["unknown_price"])


def test_a_status_that_nobody_knows_leaves_the_last_one(subscribers: Subscribers) -> None:
    """A word that Stripe adds must not stop the rest: what was paid is still credited."""
    one = subscribers.subscribe()
    subscribers.gateway.renew(one.stripe_id)
    subscribers.gateway.change_subscription_there(one.stripe_id, status="hibernating")
    subscribers.hear_of(one)
    assert (subscribers.row(one).status, len(subscribers.lots(one))) == (SubscriptionStatus.ACTIVE, 2)


def test_the_end_of_a_subscription_leaves_the_hours_of_paid_periods(subscribers: Subscribers, now: datetime) -> None:
    one = subscribers.subscribe()
    subscribers.gateway.end(one.stripe_id)
    subscribers.hear_of(one)
    row = subscribers.row(one)
    assert (row.status, row.ended_at) == (SubscriptionStatus.CANCELED, now)
    assert (subscribers.left(one), subscribers.first(one).state) == ([MINUTES], PurchaseState.COMPLETED)


def test_a_first_invoice_that_nobody_paid_ends_its_purchase(subscribers: Subscribers) -> None:
    one = subscribers.begin()
    subscribers.gateway.end(one.stripe_id)
    subscribers.hear_of(one)
    first = subscribers.first(one)
    assert (first.state, first.client_secret) == (PurchaseState.EXPIRED, None)
    assert subscribers.row(one).status is SubscriptionStatus.INCOMPLETE_EXPIRED
    assert subscribers.steps(one.purchase_id) == ["expired"]


def test_a_first_purchase_that_its_buyer_cancelled_ends_as_cancelled(subscribers: Subscribers) -> None:
    one = subscribers.begin()
    subscribers.run("UPDATE purchase SET cancel_requested_at = now()")
    subscribers.gateway.end(one.stripe_id)
    subscribers.hear_of(one)
    assert subscribers.first(one).state is PurchaseState.CANCELLED


@pytest.mark.parametrize("facts", [{"customer_id": "cus_of_others"}, {"livemode": True}], ids=["customer", "mode"])
def test_a_subscription_that_is_somebody_elses_changes_nothing(subscribers: Subscribers, facts: dict[str, Any]) -> None:
    one = subscribers.begin()
    before = subscribers.row(one)
    subscribers.gateway.settle(subscribers.newest(one).id)
    subscribers.gateway.change_subscription_there(one.stripe_id, **facts)
    subscribers.hear_of(one)
    assert (subscribers.row(one), subscribers.lots(one)) == (before, [])
    assert (subscribers.first(one).state, subscribers.cases()) == (PurchaseState.PENDING, ["subscription_differs"])


def test_a_subscription_waits_for_the_purchase_that_is_about_to_keep_it(subscribers: Subscribers) -> None:
    """Stripe's events are often faster than the worker that has its answer in hand."""
    one = subscribers.ask_to_begin()
    subscribers.gateway.settle(subscribers.newest(one).id)
    subscribers.hear("invoice.paid", invoice_body(subscribers.newest(one), subscribers.there(one)))
    ask_once(subscribers)
    assert subscribers.marks() == [("subscription", one.stripe_id, 1, one.purchase_id, True)]
    subscribers.keep(one)
    subscribers.ask()
    assert (subscribers.left(one), subscribers.cases()) == ([MINUTES], [])
    assert subscribers.marks()[0][4] is False


def ask_once(subscribers: Subscribers) -> None:
    ask_stripe(subscribers.desk, AskStripe(mark_id=1))


def test_a_subscription_that_its_purchase_never_kept_is_looked_at(subscribers: Subscribers) -> None:
    """Its purchase failed here, and at Stripe there is something that charges."""
    one = subscribers.ask_to_begin()
    subscribers.run("UPDATE purchase SET state = 'failed', due_at = NULL, hint_at = NULL")
    subscribers.gateway.settle(subscribers.newest(one).id)
    subscribers.hear_of(one)
    assert (subscribers.lots(one), subscribers.cases()) == ([], ["foreign_subscription"])


def test_a_subscription_that_was_ended_before_it_cost_anything_is_no_matter_for_people(
    subscribers: Subscribers,
) -> None:
    """A purchase whose time is up cancels what it finds at Stripe, and hears of it."""
    one = subscribers.ask_to_begin()
    subscribers.run("UPDATE purchase SET state = 'failed', due_at = NULL, hint_at = NULL")
    subscribers.gateway.end(one.stripe_id)
    subscribers.hear_of(one)
    assert subscribers.cases() == []


def test_a_second_subscription_under_the_mark_of_a_first_is_looked_at(subscribers: Subscribers) -> None:
    """A mark is no proof: metadata can be copied."""
    one, other = subscribers.subscribe(), subscribers.ask_to_begin()
    subscribers.gateway.change_subscription_there(other.stripe_id, mark=subscribers.there(one).mark)
    subscribers.gateway.settle(subscribers.newest(other).id)
    subscribers.hear_of(other)
    assert (subscribers.left(one), subscribers.lots(other)) == ([MINUTES], [])
    assert subscribers.cases() == ["foreign_subscription"]


def test_two_that_live_at_once_are_looked_at(subscribers: Subscribers) -> None:
    """Bought in two windows before either was paid: both bring their hours, and a person ends one of them."""
    one, other = subscribers.subscribe(), subscribers.begin()
    subscribers.run("UPDATE subscription SET student_id = :id", id=one.student_id)
    subscribers.run("UPDATE purchase SET student_id = :id", id=one.student_id)
    subscribers.hear_of(one)
    assert subscribers.cases() == []
    subscribers.gateway.settle(subscribers.newest(other).id)
    for _ in range(2):
        subscribers.hear_of(other)
        subscribers.hear_of(one)
    assert subscribers.cases() == ["second_subscription"]


def add_cancel_act(subscribers: Subscribers, one: Subscribed, state: ActState) -> None:
    at = subscribers.gateway.now
    decided = None if state is ActState.REQUESTED else at
    act = AccountAct(
        id=new_id(),
        action=AccountAction.CANCEL,
        parameters={},
        caller_sub="sub",
        student_id=one.student_id,
        request_id="request-of-a-test",
        state=state,
        requested_at=at,
        decided_at=decided,
        gave_up_at=None if decided else at,
    )
    with subscribers.desk.begin() as session:
        session.add(act)


FENCE = "UPDATE subscription SET cancel_requested_at = now()"


@pytest.mark.parametrize(
    ("state", "is_up"), [(None, False), (ActState.DONE, False), (ActState.REQUESTED, True)], ids=str
)
def test_a_fence_falls_when_nothing_is_to_end_any_more(
    subscribers: Subscribers, state: ActState | None, is_up: bool
) -> None:
    """Never before the wish that raised it is decided: a payment could slip through to what is being cancelled."""
    one = subscribers.subscribe()
    if state:
        add_cancel_act(subscribers, one, state)
    subscribers.run(FENCE)
    subscribers.hear_of(one)
    assert (subscribers.row(one).cancel_requested_at is not None) is is_up


@pytest.mark.parametrize("how", ["at period end", "at once"])
def test_a_fence_stays_where_it_ends_at_stripe(subscribers: Subscribers, how: str) -> None:
    one = subscribers.subscribe()
    subscribers.run(FENCE)
    if how == "at once":
        subscribers.gateway.end(one.stripe_id)
    else:
        subscribers.gateway.change_subscription_there(one.stripe_id, cancel_at_period_end=True)
    subscribers.hear_of(one)
    assert subscribers.row(one).cancel_requested_at is not None


def test_an_answer_from_before_a_change_of_ours_does_not_undo_it(subscribers: Subscribers) -> None:
    """Asked before the cancel and applied after it: the fence would fall, and an owner would see the cancel vanish."""
    one = subscribers.subscribe()
    subscribers.run(FENCE)
    old = ask_subscription(subscribers.gateway, one.stripe_id)
    with subscribers.desk.begin() as session:
        mark = session.exec(select(StaleMark)).one()
    cancelled = subscribers.gateway.change_subscription_there(one.stripe_id, cancel_at_period_end=True)
    with subscribers.desk.begin() as session:
        apply_change(session, cancelled, request_id="request-of-a-test", at=subscribers.gateway.now)
    with subscribers.desk.begin() as session:
        assert apply_subscription(session, mark, old, Context(subscribers.desk.deployment, subscribers.desk.now))
    row = subscribers.row(one)
    assert (row.cancel_at_period_end, row.cancel_requested_at is not None) == (True, True)


def test_a_change_of_ours_is_written_down_and_asked_about(subscribers: Subscribers) -> None:
    one = subscribers.subscribe()
    (mark,) = subscribers.marks()
    there = subscribers.gateway.change_subscription_there(one.stripe_id, is_paused=True)
    with subscribers.desk.begin() as session:
        apply_change(session, there, request_id="request-of-a-test", at=subscribers.gateway.now)
    assert subscribers.row(one).is_paused
    assert subscribers.marks() == [(*mark[:2], mark[2] + 1, one.purchase_id, True)]


def test_keeping_what_is_kept_is_the_same_row(subscribers: Subscribers) -> None:
    """A worker that lost its answer finds the subscription by its mark and keeps it again."""
    one = subscribers.begin()
    before = subscribers.row(one)
    subscribers.keep(one)
    assert subscribers.row(one) == before


def test_a_renewal_belongs_to_who_began_the_subscription(subscribers: Subscribers) -> None:
    """Whoever pays for somebody else follows the renewals in the own history."""
    one = subscribers.subscribe()
    subscribers.run("UPDATE purchase SET caller_sub = 'parent', caller_email = 'parent@example.com'")
    subscribers.renew(one)
    _, renewal = subscribers.purchases(one)
    assert (renewal.caller_sub, renewal.caller_email) == ("parent", "parent@example.com")


def test_packages_beside_a_subscription_are_left_alone(subscribers: Subscribers, begin: Begin, now: datetime) -> None:
    one = subscribers.begin()
    package = add_purchase(begin, at=now, state=PurchaseState.PENDING, student_id=one.student_id)
    subscribers.gateway.end(one.stripe_id)
    subscribers.hear_of(one)
    (state,) = (other.state for other in subscribers.purchases(one) if other.id == package.id)
    assert state is PurchaseState.PENDING


@pytest.mark.parametrize("what", ["dispute", "refund"])
def test_news_of_a_renewal_s_money_that_come_before_the_renewal_are_not_forgotten(
    subscribers: Subscribers, what: str
) -> None:
    """Stripe charges by itself: no row of ours knows the payment before its invoice was asked for."""
    one = subscribers.subscribe()
    subscribers.desk = replace(subscribers.desk, now=subscribers.there(one).period_end + timedelta(hours=1))
    invoice = subscribers.gateway.renew(one.stripe_id, paid=True)
    assert invoice is not None
    intent_id = invoice.payment_intent_id or ""
    if what == "dispute":
        made = subscribers.gateway.raise_dispute(intent_id, PRICE)
        kind, said = "charge.dispute.created", {"id": made.id, "payment_intent": intent_id}
    else:
        back = subscribers.gateway.refund_elsewhere(intent_id, PRICE)
        kind, said = "refund.created", {"id": back.id, "payment_intent": intent_id}
    assert subscribers.hear(kind, said) == "foreign"
    subscribers.hear_of(one)
    subscribers.work_events()
    subscribers.ask()
    (_, lot) = subscribers.lots(one)
    assert (lot.minutes_frozen if what == "dispute" else lot.minutes_refunded) == MINUTES


def test_a_period_that_is_paid_after_its_end_is_looked_at(subscribers: Subscribers) -> None:
    """Its money came, and nobody can spend its hours: a person gives one of the two back."""
    one = subscribers.subscribe()
    second = subscribers.gateway.renew(one.stripe_id, paid=False)
    assert second is not None
    subscribers.desk = replace(subscribers.desk, now=subscribers.there(one).period_end + timedelta(hours=1))
    subscribers.gateway.renew(one.stripe_id, paid=True)
    subscribers.hear_of(one)
    assert subscribers.cases() == []
    subscribers.gateway.now = second.lines[0].period_end + timedelta(hours=1)
    subscribers.gateway.settle(second.id)
    subscribers.hear_of(one)
    assert subscribers.cases() == ["paid_after_period"]
