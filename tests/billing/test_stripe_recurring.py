"""Customers, cards, subscriptions and invoices at the sandbox, and the same promises of the fake of other tests."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from billing import gateway as words
from billing import invoice_answers, recurring_answers, stripe_answers
from billing.config import Settings
from billing.gateway import DeclinedError, InvalidRequestError, PaymentGateway
from billing.recurring import PriceWish, SubscriptionChange
from billing.stripe_gateway import StripeGateway
from tests.sandbox.running import SECRET_KEY, Receiver, Sandbox, receiving, running
from tests.sandbox.subscribing import use
from tests.support.both_gateways import AtStripe, Both, InMemory, subscribing, topping_up
from tests.support.environment import make_settings
from tests.support.gateway import FakeGateway

MARK = "installation:customer"


def settings_for(address: str) -> Settings:
    address_and_key = {"STRIPE_API_BASE": address, "STRIPE_SECRET_KEY": SECRET_KEY}
    return make_settings("postgresql://x@127.0.0.1/x", "redis://127.0.0.1:1/0", **address_and_key)


@pytest.fixture(scope="module")
def _receiver() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


@pytest.fixture(scope="module")
def running_sandbox(tmp_path_factory: pytest.TempPathFactory, _receiver: Receiver) -> Iterator[Sandbox]:
    with running(tmp_path_factory.mktemp("sandbox"), _receiver.url) as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(running_sandbox: Sandbox) -> Sandbox:
    """A new account, at the time that it is."""
    running_sandbox.tell("reset")
    return running_sandbox


@pytest.fixture(autouse=True)
def _no_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody sleeps between tries; test_retry.py says how long it would be."""
    monkeypatch.setattr("tenacity.nap.time.sleep", lambda _seconds: None)


@pytest.fixture
def real(sandbox: Sandbox) -> StripeGateway:
    return StripeGateway(settings_for(sandbox.url))


@pytest.fixture
def at_stripe(real: StripeGateway, sandbox: Sandbox) -> AtStripe:
    return AtStripe(real, sandbox)


@pytest.fixture(params=["sandbox", "fake"])
def both(request: pytest.FixtureRequest) -> Both:
    if request.param == "fake":
        return InMemory(FakeGateway(datetime.now(UTC).replace(microsecond=0)))
    at_stripe: AtStripe = request.getfixturevalue("at_stripe")
    return at_stripe


@pytest.fixture
def gateway(both: Both) -> PaymentGateway:
    return both.gateway


def around_now() -> tuple[datetime, datetime]:
    now = datetime.now(UTC)
    return now - timedelta(minutes=5), now + timedelta(minutes=5)


def test_a_customer_carries_its_mark_and_is_made_once_for_a_key(gateway: PaymentGateway) -> None:
    first, second = (gateway.create_customer(MARK, "installation:customer.create:1") for _ in range(2))
    assert first == second == gateway.retrieve_customer(first.id)
    assert (first.mark, first.default_card_id, first.is_deleted) == (MARK, None, False)
    assert gateway.create_customer(MARK, "installation:customer.create:2").id != first.id


def test_a_key_with_another_mark_is_refused(gateway: PaymentGateway) -> None:
    gateway.create_customer(MARK, "installation:customer.create:1")
    with pytest.raises(words.KeyReusedError):
        gateway.create_customer("installation:other", "installation:customer.create:1")


def test_a_customer_is_found_by_its_mark_and_time(both: Both, gateway: PaymentGateway) -> None:
    since, until = around_now()
    made = both.customer()
    both.customer("installation:other")
    found = gateway.find_customer(MARK, since, until)
    assert found is not None
    assert found.id == made
    assert gateway.find_customer("installation:nobody", since, until) is None
    assert gateway.find_customer(MARK, since - timedelta(days=2), until - timedelta(days=1)) is None


def test_of_two_customers_with_a_mark_the_newer_one_is_found(both: Both, gateway: PaymentGateway) -> None:
    both.customer()
    both.tick()
    newer = both.customer()
    found = gateway.find_customer(MARK, *around_now())
    assert found is not None
    assert found.id == newer


def test_a_deleted_customer_says_so_and_is_not_found(both: Both, gateway: PaymentGateway) -> None:
    """His row is given up by what this answer says, and the next customer is made."""
    customer_id = both.customer()
    both.delete(customer_id)
    gone = gateway.retrieve_customer(customer_id)
    assert (gone.id, gone.is_deleted, gone.mark, gone.created_at) == (customer_id, True, None, None)
    assert gateway.find_customer(MARK, *around_now()) is None
    with pytest.raises(InvalidRequestError):
        gateway.create_setup_intent(customer_id, MARK, both.key())


def test_what_is_not_there_is_an_invalid_request(both: Both, gateway: PaymentGateway) -> None:
    asked: list[Callable[[], object]] = [
        lambda: gateway.retrieve_customer("cus_unknown"),
        lambda: gateway.create_setup_intent("cus_unknown", MARK, both.key()),
        lambda: gateway.attach_card(both.new_card(), "cus_unknown", both.key()),
        lambda: gateway.detach_card("pm_unknown", both.key()),
        lambda: gateway.retrieve_subscription("sub_unknown"),
        lambda: gateway.cancel_subscription("sub_unknown", both.key()),
        lambda: gateway.pay_invoice("in_unknown", both.key()),
    ]
    for ask in asked:
        with pytest.raises(InvalidRequestError):
            ask()


def test_a_setup_intent_is_made_once_for_a_key_and_hides_its_secret(both: Both, gateway: PaymentGateway) -> None:
    customer_id = both.customer()
    first, second = (gateway.create_setup_intent(customer_id, MARK, "installation:add:1") for _ in range(2))
    assert first == second
    assert first.client_secret.startswith(f"{first.id}_secret_")
    assert "_secret_" not in repr(first)


def test_cards_are_listed_with_what_is_shown_of_them_the_newest_first(both: Both, gateway: PaymentGateway) -> None:
    customer_id, other = both.customer(), both.customer("installation:other")
    older = gateway.attach_card(both.new_card(exp_month=3, exp_year=2030), customer_id, both.key())
    assert (older.brand, older.last4, older.exp_month, older.exp_year) == ("visa", "4242", 3, 2030)
    assert older.customer_id == customer_id
    both.tick()
    newer = both.saved(customer_id)
    both.saved(other)
    assert [card.id for card in gateway.list_cards(customer_id)] == [newer, older.id]
    assert gateway.list_cards(customer_id)[1] == older


def test_a_card_is_of_one_customer(both: Both, gateway: PaymentGateway) -> None:
    customer_id, other = both.customer(), both.customer("installation:other")
    card_id = both.saved(customer_id)
    with pytest.raises(InvalidRequestError):
        gateway.attach_card(card_id, other, both.key())
    with pytest.raises(InvalidRequestError):
        gateway.set_default_card(other, card_id, both.key())
    with pytest.raises(InvalidRequestError):
        gateway.create_intent(topping_up(other, card_id, both.key()))


def test_a_default_card_is_set_and_forgotten_with_the_card(both: Both, gateway: PaymentGateway) -> None:
    customer_id = both.customer()
    card_id = both.saved(customer_id)
    assert gateway.set_default_card(customer_id, card_id, both.key()).default_card_id == card_id
    assert gateway.retrieve_customer(customer_id).default_card_id == card_id
    assert gateway.detach_card(card_id, both.key()).customer_id is None
    assert gateway.retrieve_customer(customer_id).default_card_id is None
    assert gateway.list_cards(customer_id) == []
    with pytest.raises(InvalidRequestError):
        gateway.detach_card(card_id, both.key())


def test_a_product_that_is_there_is_enough(gateway: PaymentGateway) -> None:
    gateway.ensure_product("plan_1", "Ten hours a month", "installation:product:1")
    gateway.ensure_product("plan_1", "Ten hours every month", "installation:product:2")


def test_a_price_is_found_by_its_key_and_made_once(both: Both, gateway: PaymentGateway) -> None:
    assert gateway.find_price("installation:1") is None
    price = both.price()
    assert (price.product_id, price.amount_cents, price.currency) == ("plan_1", 9_900, "eur")
    assert both.price() == price == gateway.find_price("installation:1")
    assert gateway.find_price("installation:2") is None


def test_a_lookup_key_leads_to_one_price(both: Both, gateway: PaymentGateway) -> None:
    """The name is what makes it one: a second price is refused, whatever the key of the call."""
    both.price()
    with pytest.raises(InvalidRequestError):
        gateway.create_price(PriceWish("plan_1", "installation:1", 9_900, "eur"), both.key())


def test_a_subscription_begins_with_an_invoice_to_be_paid(both: Both, gateway: PaymentGateway) -> None:
    customer_id = both.customer()
    begun = both.begin(customer_id)
    there, invoice = begun.subscription, begun.invoice
    price = gateway.find_price("installation:1")
    assert price is not None
    assert (there.customer_id, there.status, there.mark) == (customer_id, "incomplete", "installation:1")
    assert (there.price_id, there.is_paused, there.cancel_at_period_end, there.ended_at) == (
        price.id,
        False,
        False,
        None,
    )
    assert timedelta(days=28) <= there.period_end - there.period_start <= timedelta(days=31)
    assert (invoice.subscription_id, invoice.status, invoice.billing_reason) == (
        there.id,
        "open",
        "subscription_create",
    )
    assert (invoice.due_cents, invoice.paid_cents, invoice.currency, invoice.paid_at) == (9_900, 0, "eur", None)
    assert (invoice.client_secret or "").startswith(f"{invoice.payment_intent_id}_secret_")
    assert "_secret_" not in repr(begun)


def test_the_line_of_an_invoice_is_the_price_for_the_period(both: Both) -> None:
    """By the line, and nothing else, hours are credited."""
    begun = both.begin()
    (line,) = begun.invoice.lines
    there = begun.subscription
    assert (line.price_id, line.amount_cents, line.quantity, line.is_proration) == (there.price_id, 9_900, 1, False)
    assert (line.period_start, line.period_end) == (there.period_start, there.period_end)


def test_the_intent_of_an_invoice_carries_no_mark_of_a_purchase(both: Both, gateway: PaymentGateway) -> None:
    """Its success moves no purchase by itself."""
    begun = both.begin()
    intent = gateway.retrieve_intent(begun.invoice.payment_intent_id or "")
    assert (intent.mark, intent.amount_cents, intent.customer) == (None, 9_900, begun.subscription.customer_id)
    assert intent.status == "requires_payment_method"


def test_the_same_key_begins_one_subscription(both: Both, gateway: PaymentGateway) -> None:
    customer_id = both.customer()
    first, second = (both.begin(customer_id, key="installation:subscribe:1") for _ in range(2))
    assert first == second
    assert len(gateway.list_invoices(first.subscription.id)) == 1


def test_a_subscription_for_a_price_that_is_not_there_is_refused(both: Both, gateway: PaymentGateway) -> None:
    with pytest.raises(InvalidRequestError):
        gateway.create_subscription(subscribing(both.customer(), "price_unknown", "installation:1", both.key()))


def test_a_begun_subscription_is_found_by_its_mark(both: Both, gateway: PaymentGateway) -> None:
    customer_id = both.customer()
    begun = both.begin(customer_id)
    both.begin(customer_id, "installation:2")
    assert gateway.find_subscription(customer_id, "installation:1") == begun
    assert gateway.find_subscription(customer_id, "installation:3") is None
    assert gateway.find_subscription(both.customer("installation:other"), "installation:1") is None


def test_an_ended_subscription_is_found_too(both: Both, gateway: PaymentGateway) -> None:
    """Otherwise a purchase whose answer was lost would begin a second one."""
    customer_id = both.customer()
    begun = both.begin(customer_id)
    gateway.cancel_subscription(begun.subscription.id, both.key())
    found = gateway.find_subscription(customer_id, "installation:1")
    assert found is not None
    assert (found.subscription.id, found.subscription.status) == (begun.subscription.id, "incomplete_expired")
    assert (found.invoice.id, found.invoice.status) == (begun.invoice.id, "void")


def test_a_paid_invoice_makes_the_subscription_active(both: Both, gateway: PaymentGateway) -> None:
    begun = both.begin()
    both.pay(begun)
    there = gateway.retrieve_subscription(begun.subscription.id)
    (invoice,) = gateway.list_invoices(there.id)
    assert (there.status, invoice.status, invoice.paid_cents) == ("active", "paid", 9_900)
    assert invoice.paid_at is not None
    assert invoice.paid_at >= invoice.created_at
    assert gateway.retrieve_intent(invoice.payment_intent_id or "").amount_received_cents == 9_900


def test_the_card_of_the_first_payment_is_saved_for_the_next_ones(both: Both, gateway: PaymentGateway) -> None:
    there = both.begun()
    (card,) = gateway.list_cards(there.customer_id)
    assert there.default_card_id == card.id


def test_invoices_of_periods_are_listed_the_oldest_first(both: Both, gateway: PaymentGateway) -> None:
    there = both.begun()
    both.renew(there)
    first, second = gateway.list_invoices(there.id)
    assert [first.billing_reason, second.billing_reason] == ["subscription_create", "subscription_cycle"]
    assert [first.status, second.status] == ["paid", "paid"]
    assert second.lines[0].period_start == first.lines[0].period_end == there.period_end
    renewed = gateway.retrieve_subscription(there.id)
    assert (renewed.period_start, renewed.period_end) == (second.lines[0].period_start, second.lines[0].period_end)


def test_a_renewal_that_is_declined_waits_to_be_paid(both: Both, gateway: PaymentGateway) -> None:
    there = both.begun()
    both.renew(there, is_paid=False)
    invoice = both.latest(there.id)
    assert gateway.retrieve_subscription(there.id).status == "past_due"
    assert (invoice.status, invoice.attempts, invoice.paid_at) == ("open", 1, None)
    assert invoice.next_attempt_at is not None
    assert invoice.next_attempt_at > invoice.created_at
    assert invoice.client_secret is not None


def test_an_open_invoice_is_paid_with_the_card_of_now(both: Both, gateway: PaymentGateway) -> None:
    there = both.begun()
    both.renew(there, is_paid=False)
    change = SubscriptionChange(default_card_id=both.saved(there.customer_id))
    gateway.change_subscription(there.id, change, both.key())
    paid = gateway.pay_invoice(both.latest(there.id).id, both.key())
    assert (paid.status, paid.paid_cents, paid.next_attempt_at) == ("paid", 9_900, None)
    assert gateway.retrieve_subscription(there.id).status == "active"
    with pytest.raises(InvalidRequestError):
        gateway.pay_invoice(paid.id, both.key())


def test_a_declined_payment_of_an_invoice_names_its_intent(both: Both, gateway: PaymentGateway) -> None:
    there = both.begun()
    both.renew(there, is_paid=False)
    invoice = both.latest(there.id)
    card_id = both.saved(there.customer_id, "declined")
    gateway.change_subscription(there.id, SubscriptionChange(default_card_id=card_id), both.key())
    with pytest.raises(DeclinedError) as caught:
        gateway.pay_invoice(invoice.id, both.key())
    assert (caught.value.code, caught.value.intent_id) == ("card_declined", invoice.payment_intent_id)
    assert both.latest(there.id).status == "open"


def test_an_invoice_whose_bank_asks_for_the_owner_of_the_card_can_be_paid_by_him(
    both: Both, gateway: PaymentGateway
) -> None:
    there = both.begun()
    both.renew(there, is_paid=False)
    invoice = both.latest(there.id)
    card_id = both.saved(there.customer_id, "asks")
    gateway.change_subscription(there.id, SubscriptionChange(default_card_id=card_id), both.key())
    with pytest.raises(DeclinedError) as caught:
        gateway.pay_invoice(invoice.id, both.key())
    assert (caught.value.code, caught.value.intent_id) == ("authentication_required", invoice.payment_intent_id)
    assert gateway.retrieve_intent(invoice.payment_intent_id or "").status == "requires_action"
    assert both.latest(there.id).client_secret is not None


def test_a_bank_that_asks_for_the_owner_is_known_by_stripes_refusal_too(
    at_stripe: AtStripe, real: StripeGateway
) -> None:
    """Stripe refuses to pay such an invoice off session, with a code of its own (Stripe, "Error codes")."""
    begun = at_stripe.begin()
    error = {"type": "card_error", "code": "invoice_payment_intent_requires_action", "message": "m"}
    at_stripe.sandbox.fault({"status": 402, "body": {"error": error}}, "/v1/invoices", times=1)
    with pytest.raises(DeclinedError) as caught:
        real.pay_invoice(begun.invoice.id, at_stripe.key())
    assert caught.value.code == "authentication_required"


def test_an_invoice_without_a_card_to_pay_it_is_refused(both: Both, gateway: PaymentGateway) -> None:
    begun = both.begin()
    with pytest.raises(InvalidRequestError):
        gateway.pay_invoice(begun.invoice.id, both.key())


def test_an_end_is_planned_and_taken_back(both: Both, gateway: PaymentGateway) -> None:
    there = both.begun()
    planned = gateway.change_subscription(there.id, SubscriptionChange(cancel_at_period_end=True), both.key())
    assert (planned.status, planned.cancel_at_period_end, planned.period_end) == ("active", True, there.period_end)
    back = gateway.change_subscription(there.id, SubscriptionChange(cancel_at_period_end=False), both.key())
    assert back.cancel_at_period_end is False


def test_a_planned_end_comes_with_the_period(both: Both, gateway: PaymentGateway) -> None:
    there = both.begun()
    gateway.change_subscription(there.id, SubscriptionChange(cancel_at_period_end=True), both.key())
    both.renew(there)
    ended = gateway.retrieve_subscription(there.id)
    assert (ended.status, ended.ended_at) == ("canceled", there.period_end)
    assert len(gateway.list_invoices(there.id)) == 1


def test_a_pause_is_set_and_cleared(both: Both, gateway: PaymentGateway) -> None:
    there = both.begun()
    paused = gateway.change_subscription(there.id, SubscriptionChange(is_paused=True), both.key())
    assert (paused.status, paused.is_paused) == ("active", True)
    resumed = gateway.change_subscription(there.id, SubscriptionChange(is_paused=False), both.key())
    assert resumed.is_paused is False


def test_nobody_is_charged_for_a_pause(both: Both, gateway: PaymentGateway) -> None:
    there = both.begun()
    gateway.change_subscription(there.id, SubscriptionChange(is_paused=True), both.key())
    both.renew(there)
    assert both.latest(there.id).status == "void"
    assert gateway.retrieve_subscription(there.id).status == "active"


def test_another_price_counts_from_the_next_period_on(both: Both, gateway: PaymentGateway) -> None:
    there, other = both.begun(), both.price(14_900, "installation:2")
    change = SubscriptionChange(item_id=there.item_id, price_id=other.id)
    changed = gateway.change_subscription(there.id, change, both.key())
    assert (changed.price_id, changed.period_end) == (other.id, there.period_end)
    assert len(gateway.list_invoices(there.id)) == 1
    both.renew(there)
    (line,) = both.latest(there.id).lines
    assert (line.price_id, line.amount_cents, line.is_proration) == (other.id, 14_900, False)


def test_a_cancelled_subscription_has_ended_once(both: Both, gateway: PaymentGateway) -> None:
    there = both.begun()
    ended = gateway.cancel_subscription(there.id, both.key())
    assert ended.status == "canceled"
    assert ended.ended_at is not None
    with pytest.raises(InvalidRequestError):
        gateway.cancel_subscription(there.id, both.key())
    with pytest.raises(InvalidRequestError):
        gateway.change_subscription(there.id, SubscriptionChange(cancel_at_period_end=False), both.key())


def test_the_same_key_changes_once(both: Both, gateway: PaymentGateway) -> None:
    """An answer that was lost is asked for again, also when the subscription has been changed in between."""
    there, pause = both.begun(), SubscriptionChange(is_paused=True)
    first = gateway.change_subscription(there.id, pause, "installation:pause:1")
    gateway.change_subscription(there.id, SubscriptionChange(is_paused=False), both.key())
    assert gateway.change_subscription(there.id, pause, "installation:pause:1") == first
    assert gateway.retrieve_subscription(there.id).is_paused is False


def test_a_cancellation_whose_answer_is_lost_says_that_there_is_nothing_to_cancel(
    both: Both, gateway: PaymentGateway
) -> None:
    """Stripe takes no keys with it: whoever sends it again has to look before he believes the refusal."""
    there = both.begun()
    gateway.cancel_subscription(there.id, "installation:cancel:1")
    with pytest.raises(InvalidRequestError):
        gateway.cancel_subscription(there.id, "installation:cancel:1")
    assert gateway.retrieve_subscription(there.id).status == "canceled"


def test_one_that_has_not_begun_cannot_be_changed_and_expires_when_it_is_cancelled(
    both: Both, gateway: PaymentGateway
) -> None:
    begun = both.begin()
    with pytest.raises(InvalidRequestError):
        gateway.change_subscription(begun.subscription.id, SubscriptionChange(is_paused=True), both.key())
    ended = gateway.cancel_subscription(begun.subscription.id, both.key())
    assert ended.status == "incomplete_expired"
    assert both.latest(ended.id).status == "void"


def test_a_saved_card_pays_at_once(both: Both, gateway: PaymentGateway) -> None:
    customer_id = both.customer()
    intent = gateway.create_intent(topping_up(customer_id, both.saved(customer_id), both.key()))
    assert (intent.status, intent.amount_received_cents, intent.customer) == ("succeeded", 14_000, customer_id)
    assert (intent.error_type, intent.error_message) == (None, None)
    assert gateway.retrieve_intent(intent.id).paid_at is not None


@pytest.mark.parametrize(
    ("card", "code", "error_type"),
    [
        ("declined", "card_declined", "card_error"),
        ("asks", "authentication_required", "authentication_required"),
    ],
)
def test_a_refusal_of_a_saved_card_leaves_an_intent_that_can_be_paid(
    both: Both, gateway: PaymentGateway, card: str, code: str, error_type: str
) -> None:
    """Its secret is what the owner finishes it with, in a browser."""
    customer_id = both.customer()
    call = topping_up(customer_id, both.saved(customer_id, card), both.key())
    for _ in range(2):
        with pytest.raises(DeclinedError) as caught:
            gateway.create_intent(call)
        assert caught.value.code == code
    assert caught.value.intent_id is not None
    intent = gateway.retrieve_intent(caught.value.intent_id)
    assert (intent.status, intent.error_type) == ("requires_payment_method", error_type)
    assert intent.error_message == caught.value.message
    assert intent.client_secret.startswith(f"{intent.id}_secret_")
    found = gateway.find_intent("installation:1", *around_now())
    assert found == intent


def test_an_unknown_outcome_of_a_saved_card_is_one_charge(at_stripe: AtStripe, real: StripeGateway) -> None:
    customer_id = at_stripe.customer()
    call = topping_up(customer_id, at_stripe.saved(customer_id), at_stripe.key())
    at_stripe.sandbox.fault({"cut": True}, "/v1/payment_intents", when="after", times=1)
    intent = real.create_intent(call)
    assert [one.id for one in at_stripe.sandbox.v1.payment_intents.list().data] == [intent.id]


@pytest.mark.parametrize("trouble", [{"status": 500, "stored": False}, {"cut": True}, {"cut": "body"}], ids=json.dumps)
@pytest.mark.parametrize("when", ["before", "after"])
def test_after_a_trouble_the_same_key_makes_one_customer_and_one_subscription(
    at_stripe: AtStripe, real: StripeGateway, trouble: dict[str, Any], when: str
) -> None:
    sandbox = at_stripe.sandbox
    at_stripe.price()
    sandbox.fault(trouble, "/v1/customers", when=when, times=1)
    customer_id = at_stripe.customer()
    sandbox.fault(trouble, "/v1/subscriptions", when=when, times=1)
    begun = at_stripe.begin(customer_id)
    assert [one.id for one in sandbox.v1.customers.list().data] == [customer_id]
    assert [one.id for one in sandbox.v1.subscriptions.list({"status": "all"}).data] == [begun.subscription.id]


def test_a_customer_carries_nothing_but_its_mark(at_stripe: AtStripe) -> None:
    """Nothing personal goes to Stripe."""
    made = at_stripe.sandbox.v1.customers.retrieve(at_stripe.customer())
    assert (made.email, made.name, made.description) == (None, None, None)
    assert made.metadata is not None
    assert made.metadata.to_dict() == {"billing_customer": MARK}


def test_lists_turn_their_pages(at_stripe: AtStripe, real: StripeGateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("billing.stripe_recurring.PAGE", 2)
    customers = [at_stripe.customer(f"installation:{number}") for number in range(5)]
    oldest = real.find_customer("installation:0", *around_now())
    assert oldest is not None
    assert oldest.id == customers[0]
    cards = [at_stripe.saved(customers[0]) for _ in range(5)]
    assert [card.id for card in real.list_cards(customers[0])] == cards[::-1]
    begun = [at_stripe.begin(customers[0], f"installation:{number}") for number in range(5)]
    assert real.find_subscription(customers[0], "installation:0") == begun[0]


def test_a_list_of_invoices_turns_its_pages(
    at_stripe: AtStripe, real: StripeGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("billing.stripe_recurring.PAGE", 2)
    there = at_stripe.begun()
    for _ in range(4):
        at_stripe.renew(real.retrieve_subscription(there.id))
    found = real.list_invoices(there.id)
    assert len(found) == 5
    assert [one.created_at for one in found] == sorted(one.created_at for one in found)


def test_an_invoice_of_more_lines_than_it_shows_is_read_to_the_end(at_stripe: AtStripe, real: StripeGateway) -> None:
    """A line that is not seen is a period that is paid and never credited."""
    there = at_stripe.begun()
    address = f"/v1/invoices?subscription={there.id}&expand[]=data.payments"
    body = at_stripe.sandbox.http.get(address, headers={"Authorization": f"Bearer {SECRET_KEY}"}).json()
    body["data"][0]["lines"].update(data=[], has_more=True)
    at_stripe.sandbox.fault({"status": 200, "body": body}, "/v1/invoices", times=1)
    (invoice,) = real.list_invoices(there.id)
    assert [line.price_id for line in invoice.lines] == [there.price_id]


def test_a_look_that_takes_too_long_does_not_say_that_there_is_nothing(
    real: StripeGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("billing.stripe_recurring.LOOK_SECONDS", 0.0)
    with pytest.raises(words.OutcomeUnknownError):
        real.find_customer(MARK, *around_now())


def test_an_end_that_is_planned_by_its_instant_is_an_end_with_the_period(
    at_stripe: AtStripe, real: StripeGateway
) -> None:
    """So Stripe's own page for customers does it."""
    there = at_stripe.begun()
    sandbox = at_stripe.sandbox
    sandbox.v1.subscriptions.update(there.id, {"cancel_at": int(there.period_end.timestamp())})
    assert real.retrieve_subscription(there.id).cancel_at_period_end is True
    sandbox.v1.subscriptions.update(there.id, {"cancel_at": int(there.period_end.timestamp()) + 86_400})
    assert real.retrieve_subscription(there.id).cancel_at_period_end is False


def test_an_invoice_is_paid_with_the_customers_card_where_the_subscription_has_none(
    at_stripe: AtStripe, real: StripeGateway
) -> None:
    begun = at_stripe.begin()
    use(at_stripe.sandbox, begun.subscription.customer_id, "pm_card_visa")
    assert real.pay_invoice(begun.invoice.id, at_stripe.key()).status == "paid"


Read = Callable[[object], object]
WHOLE: dict[str, tuple[Read, dict[str, Any]]] = {
    "customer": (recurring_answers.customer, {"object": "customer", "id": "cus_1", "created": 1}),
    "card": (
        recurring_answers.card,
        {
            "object": "payment_method",
            "id": "pm_1",
            "created": 1,
            "card": {"brand": "visa", "last4": "4242", "exp_month": 1, "exp_year": 2030},
        },
    ),
    "setup intent": (
        recurring_answers.setup,
        {"object": "setup_intent", "id": "seti_1", "client_secret": "s", "status": "succeeded"},
    ),
    "price": (
        recurring_answers.price,
        {
            "object": "price",
            "id": "price_1",
            "product": "prod_1",
            "unit_amount": 1,
            "currency": "eur",
            "recurring": {"interval": "month", "interval_count": 1},
        },
    ),
    "subscription": (
        invoice_answers.subscription,
        {
            "object": "subscription",
            "id": "sub_1",
            "customer": "cus_1",
            "status": "active",
            "items": {
                "data": [{"id": "si_1", "current_period_start": 1, "current_period_end": 2, "price": {"id": "price_1"}}]
            },
            "cancel_at_period_end": False,
            "livemode": False,
            "created": 1,
        },
    ),
    "invoice": (
        invoice_answers.invoice,
        {
            "object": "invoice",
            "id": "in_1",
            "status": "open",
            "billing_reason": "subscription_cycle",
            "amount_due": 1,
            "amount_paid": 0,
            "currency": "eur",
            "payments": {"data": []},
            "attempt_count": 0,
            "livemode": False,
            "created": 1,
            "status_transitions": {},
            "lines": {"object": "list", "data": [], "has_more": False},
        },
    ),
}


@pytest.mark.parametrize("name", WHOLE)
def test_an_answer_is_read_only_where_nothing_is_missing(name: str) -> None:
    """What is not there must not read as nothing: an answer without it is an unknown outcome."""
    read, body = WHOLE[name]
    read(body)
    for field in body:
        with pytest.raises(ValueError, match="validation error"):
            read({key: value for key, value in body.items() if key != field})


@pytest.mark.parametrize("answer", [None, [], 7, "", {}, {"object": "charge", "id": "ch_1"}], ids=repr)
@pytest.mark.parametrize(
    "read",
    [
        *(read for read, _ in WHOLE.values()),
        recurring_answers.customers,
        recurring_answers.cards,
        recurring_answers.product_id,
        recurring_answers.first_price,
        invoice_answers.begun,
        invoice_answers.subscriptions,
        invoice_answers.invoices,
        invoice_answers.lines,
        stripe_answers.intent,
    ],
    ids=lambda read: f"{read.__module__}.{read.__name__}",
)
def test_something_else_is_no_answer(read: Read, answer: object) -> None:
    with pytest.raises(ValueError, match="validation error"):
        read(answer)


def test_a_price_that_is_not_of_the_month_is_not_taken_for_ours() -> None:
    read, body = WHOLE["price"]
    with pytest.raises(ValueError, match="recurring"):
        read({**body, "recurring": {"interval": "year", "interval_count": 1}})
    with pytest.raises(ValueError, match="recurring"):
        read({**body, "recurring": {"interval": "month", "interval_count": 3}})


@pytest.mark.parametrize("place", ["subscription_item_details", "invoice_item_details"])
def test_a_proration_is_known_wherever_its_line_comes_from(place: str) -> None:
    line = {"id": "il_1", "amount": -5, "period": {"start": 1, "end": 2}, "parent": {place: {"proration": True}}}
    page = invoice_answers.lines({"object": "list", "data": [line], "has_more": False})
    assert page.found[0].is_proration is True
    assert page.found[0].price_id is None
