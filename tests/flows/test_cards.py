"""Saved cards from the browser to the list, through every process."""

import threading
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import httpx2
import pytest

from tests.flows.subscribing import STANDARD, Student, Time, confirm, pipeline, proven
from tests.support.servers import RunningPostgres, RunningValkey
from tests.support.stack import PREFIX, Stack, eventually

TOGETHER = 20


@pytest.fixture(scope="module")
def stack(
    postgres: RunningPostgres, valkey: RunningValkey, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("flow_cards")
    with pipeline(postgres, valkey, folder, "flow_cards") as running:
        yield running
        proven(running)


@pytest.fixture
def student(stack: Stack) -> Student:
    return Student(stack)


def shown(student: Student) -> dict[str, bool]:
    """The last four digits of each card, and whether it is the default one."""
    return {card["last4"]: card["is_default"] for card in student.cards}


def there(student: Student) -> Mapping[str, bool]:
    """The same, as Stripe has it."""
    at = student.stack.stripe.v1
    settings = at.customers.retrieve(student.customer_id).invoice_settings
    default = settings.default_payment_method if settings else None
    cards = at.payment_methods.list({"customer": student.customer_id, "type": "card"}).data
    return {card.card.last4: card.id == default for card in cards if card.card}


def wait_for(student: Student, cards: Mapping[str, bool]) -> None:
    eventually(lambda: shown(student) == cards, 20, lambda: f"wanted {cards}, found {shown(student)}")


def test_a_card_is_saved_in_a_browser(student: Student) -> None:
    """The door gives the browser a secret, Stripe the card, and an event brings it into the list."""
    wish = student.done("payment-methods/", {})
    assert wish["client_secret"].startswith(wish["setup_intent_id"])
    assert wish["publishable_key"] == student.stack.settings.stripe_publishable_key
    assert student.cards == []
    assert confirm(student.stack, wish)["status"] == "succeeded"
    wait_for(student, {"4242": True})
    (card,) = student.cards
    assert (card["brand"], card["exp_month"], card["exp_year"], card["is_expired"]) == ("visa", 12, 2034, False)


def test_a_bank_that_asks_its_customer_first(student: Student) -> None:
    """Refused at the bank's page, there is no card; approved, there is."""
    stack = student.stack
    wish = student.done("payment-methods/", {})
    for verdict in ("refuse", "approve"):
        asked = confirm(stack, wish, "pm_card_threeDSecure2Required")
        assert asked["status"] == "requires_action"
        stack.control.post(f"/3ds/{asked['id']}/{verdict}").raise_for_status()
        Time(stack).settle()
        assert len(student.cards) == (verdict == "approve")


def test_a_declined_card_is_not_saved(student: Student) -> None:
    wish = student.done("payment-methods/", {})
    assert confirm(student.stack, wish, "pm_card_chargeDeclined")["error"]["code"] == "card_declined"
    assert student.refused("payment-methods/", {"payment_method_id": "pm_card_chargeDeclined"}) == (409, "card_error")
    Time(student.stack).settle()
    assert student.cards == []


def test_cards_come_and_go(student: Student) -> None:
    """Attached by their ids, preferred, removed: the list is Stripe's after each step."""
    visa = student.attach("pm_card_visa")
    master = student.attach("pm_card_mastercard")
    assert shown(student) == there(student) == {"4242": True, "4444": False}
    student.prefer(master)
    assert shown(student) == there(student) == {"4242": False, "4444": True}
    student.done(f"payment-methods/{master}/", method="DELETE")
    assert shown(student) == there(student) == {"4242": True}
    assert student.refused(f"payment-methods/{master}/", method="DELETE") == (404, "card_not_found")
    student.done(f"payment-methods/{visa}/", method="DELETE")
    Time(student.stack).settle()
    assert shown(student) == there(student) == {}


def test_another_student_s_card_is_none(student: Student) -> None:
    """Whoever knows its id can do nothing with it, and Stripe is not asked."""
    stack, owner = student.stack, Student(student.stack)
    card = owner.attach("pm_card_visa")
    student.attach("pm_card_mastercard")
    Time(stack).settle()
    stack.control.delete("/requests")
    assert student.refused(f"payment-methods/{card}/set-default/") == (404, "card_not_found")
    assert student.refused(f"payment-methods/{card}/", method="DELETE") == (404, "card_not_found")
    assert student.refused("payment-methods/", {"payment_method_id": card}) == (404, "card_not_found")
    topup = {"plan_id": STANDARD, "payment_method_id": card}
    assert student.refused("quick-topup/", topup) == (404, "card_not_found")
    assert stack.control.get("/requests").json()["requests"] == []
    assert (shown(owner), shown(student)) == ({"4242": True}, {"4444": True})


def renew(stack: Stack, card_id: str, **card: Any) -> None:
    stack.control.post(f"/payment_methods/{card_id}/renew", json=card).raise_for_status()


def test_a_card_that_its_bank_replaced_is_shown_as_the_new_one(student: Student) -> None:
    card = student.attach("pm_card_visa")
    renew(student.stack, card, exp_year=2040, exp_month=6, last4="0007")
    wait_for(student, {"0007": True})
    (shown_card,) = student.cards
    assert (shown_card["id"], shown_card["exp_month"], shown_card["exp_year"]) == (card, 6, 2040)


def test_an_expired_card_pays_nothing(student: Student) -> None:
    """It is shown as what it is, and cannot be preferred."""
    old, good = student.attach("pm_card_visa"), student.attach("pm_card_mastercard")
    renew(student.stack, old, exp_year=2020, exp_month=1)
    eventually(lambda: [card["is_expired"] for card in student.cards] == [True, False], 20)
    assert student.refused("quick-topup/", {"plan_id": STANDARD}) == (409, "card_expired")
    assert student.refused(f"payment-methods/{old}/set-default/") == (409, "card_expired")
    student.prefer(good)
    assert shown(student) == there(student) == {"4242": False, "4444": True}


def test_an_expired_card_is_not_saved(student: Student) -> None:
    """Its expiry is known once Stripe has it: it is taken off again."""
    time = Time(student.stack)
    february = datetime(time.now.year + 1, 2, 2, tzinfo=UTC)
    time.pass_at_once(february)
    card: Any = {"number": "4242424242424242", "exp_month": 1, "exp_year": february.year}
    method = student.stack.stripe.v1.payment_methods.create({"type": "card", "card": card})
    assert student.refused("payment-methods/", {"payment_method_id": method.id}) == (409, "card_expired")
    time.settle()
    assert shown(student) == there(student) == {}


def test_a_customer_who_was_deleted_at_stripe_is_made_anew(student: Student) -> None:
    student.attach("pm_card_visa")
    former = student.customer_id
    student.stack.stripe.v1.customers.delete(former)
    wait_for(student, {})
    assert student.refused("quick-topup/", {"plan_id": STANDARD}) == (409, "no_payment_method")
    student.attach("pm_card_mastercard")
    assert student.customer_id != former
    assert shown(student) == there(student) == {"4444": True}


def test_twenty_first_wishes_at_once_make_one_customer(student: Student) -> None:
    """Cards, setups, purchases: whichever worker comes first makes the customer, and the others find it."""
    stack, barrier, answers = student.stack, threading.Barrier(TOGETHER), list[httpx2.Response]()

    def ask(number: int) -> None:
        barrier.wait()
        with httpx2.Client(base_url=stack.url, timeout=40) as door:
            if number % 2:
                body: dict[str, Any] = {"plan_id": 6, "student_info": {"name": "Ana", "email": student.email}}
                answers.append(door.post(f"{PREFIX}/purchase/initiate/", json=body, headers=student.bearer))
            else:
                headers = {**student.bearer, "Idempotency-Key": f"{student.email}-{number}"}
                answers.append(door.post(f"{PREFIX}/payment-methods/", json={}, headers=headers))

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(TOGETHER)]
    before = len(stack.stripe.v1.customers.list({"limit": 100}).data)
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {answer.status_code for answer in answers} == {202}, [answer.text for answer in answers]
    Time(stack).settle()
    undecided = "SELECT count(*) FROM account_act WHERE caller_sub = :sub AND state <> 'done'"
    assert stack.scalar(undecided, sub=student.sub) == 0
    assert len(stack.stripe.v1.customers.list({"limit": 100}).data) == before + 1
    setups = stack.stripe.v1.setup_intents.list({"customer": student.customer_id, "limit": 100}).data
    assert len(setups) == TOGETHER // 2
