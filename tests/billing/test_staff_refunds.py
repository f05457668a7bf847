"""Staff give money back: an act that holds hours under its own id, and a quote that says what it would take."""

import threading
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text

from billing.cli.reading import ask_at
from billing.config import Settings
from billing.db import Begin
from billing.deployment import Deployment
from billing.errors import RefusedError
from billing.ids import new_id
from billing.messages import ActDecided, SendRefund
from billing.models import Purchase, Refund
from billing.reads.quotes import QuoteView, find_quote
from billing.refunds.quote import Policy
from billing.secrets import Vault
from billing.staff.accept import AcceptedAct
from billing.staff.accept_refund import accept_refund
from billing.staff.refunds import policy_of
from billing.staff.wishes import RefundPurchase, SetInvoice
from billing.states import ActState, RefundState
from tests.support.environment import make_settings
from tests.support.factories import add_purchase
from tests.support.office import Returns, intent_of
from tests.support.receipts import issued, lines_of, paid
from tests.support.staff import StaffRoom

DAY = 24 * 60


@pytest.fixture
def room(begin: Begin, database_url: str, now: datetime) -> StaffRoom:
    return StaffRoom(begin, database_url, now)


@pytest.fixture
def returns(begin: Begin, deployment: Deployment, vault: Vault, now: datetime) -> Returns:
    return Returns(begin, deployment, vault, now)


def wish_of(purchase: Purchase, cents: int | None = None) -> RefundPurchase:
    return RefundPurchase(transaction_id=purchase.transaction_id or 0, amount_cents=cents)


def test_the_act_is_the_refund(room: StaffRoom, returns: Returns) -> None:
    """One id from the wish to Stripe: whoever asked finds what became of it, and a second try makes no second one."""
    purchase = returns.sold(used=60)
    act_id = room.accept(wish_of(purchase, 6_300), by=accept_refund).id
    follow_ups = room.perform(act_id)
    assert follow_ups == [ActDecided(act_id=act_id), SendRefund(refund_id=act_id)]
    refund = returns.refund(act_id)
    assert (refund.state, refund.amount_cents, refund.minutes) == (RefundState.HELD, 6_300, 270)
    assert refund.request_id == "request-of-a-test"
    assert returns.send(act_id).state is RefundState.SUCCEEDED
    assert returns.minutes(purchase) == {"consumed": 60, "left": 270, "refunded": 270}


def test_the_act_says_what_it_changed_and_by_which_formula(room: StaffRoom, returns: Returns) -> None:
    """Auditors can reckon it again."""
    purchase = returns.sold(used=60)
    act = room.do(wish_of(purchase, 6_300))
    assert (act.state, act.target) == (ActState.DONE, f"purchase:{purchase.transaction_id}")
    assert act.before == {"refunded_cents": 0, "refunding_cents": 0, "minutes_left": 540, "minutes_held": 0}
    assert act.after == {
        "refunded_cents": 0,
        "refunding_cents": 6_300,
        "minutes_left": 270,
        "minutes_held": 270,
        "amount_cents": 6_300,
        "formula": "min(14000 x 540 / 600 - 0 fee, 12600 not given back) = 12600 cents",
    }


def test_an_act_that_is_worked_twice_is_one_refund(room: StaffRoom, returns: Returns) -> None:
    act_id = room.accept(wish_of(returns.sold(), 7_000), by=accept_refund).id
    room.perform(act_id)
    assert room.perform(act_id) == []
    assert [refund.id for refund in returns.refunds()] == [act_id]


@pytest.mark.parametrize(("cents", "error_type"), [(14_001, "refund_exceeds_refundable"), (None, "not_found")])
def test_a_refusal_changes_nothing(room: StaffRoom, returns: Returns, cents: int | None, error_type: str) -> None:
    purchase = returns.sold()
    act = room.do(wish_of(purchase, cents) if cents else RefundPurchase(transaction_id=999))
    assert (act.state, act.error_type, act.after) == (ActState.REFUSED, error_type, None)
    assert returns.refunds() == []
    assert returns.minutes(purchase) == {"left": 600}


def test_the_policy_is_what_the_settings_say(room: StaffRoom, returns: Returns, settings: Settings) -> None:
    urls = settings.database_url, settings.redis_url
    room.policy = policy_of(make_settings(*urls, REFUND_WINDOW_DAYS="14", REFUND_FEE_PERCENT="10"))
    assert room.policy == Policy(14, 10)
    early, late = returns.sold(), returns.sold()
    act = room.do(wish_of(early))
    assert (act.after or {})["amount_cents"] == 12_600
    room.now += timedelta(days=14)
    assert room.do(wish_of(late)).error_type == "invalid_transaction_state"


# --- one click, two clicks ---


def ask(room: StaffRoom, purchase: Purchase, cents: int | None = None, **facts: Any) -> AcceptedAct:
    return room.accept(wish_of(purchase, cents), by=accept_refund, **facts)


def test_a_second_click_is_the_first_as_long_as_it_is_on_its_way(room: StaffRoom, returns: Returns) -> None:
    """Asked for, held, sent: the money has not gone, so whoever asks again means the same money."""
    purchase = returns.sold()
    returns.gateway.refund_status = "pending"
    first = ask(room, purchase, 7_000)
    steps: Sequence[Callable[[], object]] = (
        lambda: None,
        lambda: room.perform(first.id),
        lambda: returns.send(first.id),
    )
    for step in steps:
        step()
        again = ask(room, purchase, 7_000, reason="Once more.")
        assert (again.id, again.is_replay) == (first.id, True)
    assert returns.refund(first.id).state is RefundState.SENT


def test_a_refund_that_is_decided_is_asked_for_anew(room: StaffRoom, returns: Returns) -> None:
    purchase = returns.sold()
    first = ask(room, purchase, 7_000)
    room.perform(first.id)
    returns.send(first.id)
    second = ask(room, purchase, 7_000)
    assert (second.id != first.id, second.is_replay) == (True, False)


def test_a_refused_wish_is_not_remembered(room: StaffRoom, returns: Returns) -> None:
    purchase = returns.sold()
    first = ask(room, purchase, 20_000)
    room.perform(first.id)
    assert ask(room, purchase, 20_000).id != first.id


def test_other_money_another_purchase_and_another_person_are_another_wish(room: StaffRoom, returns: Returns) -> None:
    purchase, other = returns.sold(), returns.sold()
    wishes = [
        ask(room, purchase, 7_000),
        ask(room, purchase, 7_001),
        ask(room, purchase),
        ask(room, other, 7_000),
        ask(room, purchase, 7_000, actor="staff-2"),
    ]
    assert len({accepted.id for accepted in wishes}) == len(wishes)


def test_a_key_of_its_own_is_a_wish_of_its_own(room: StaffRoom, returns: Returns) -> None:
    """Who sends keys says himself what is the same."""
    purchase = returns.sold()
    first = ask(room, purchase, 7_000, key="a")
    assert ask(room, purchase, 7_000, key="a").id == first.id
    assert ask(room, purchase, 7_000, key="b").id != first.id


def test_clicks_at_the_same_time_are_one_wish(room: StaffRoom, returns: Returns) -> None:
    """Two doors, one finger that trembles."""
    purchase = returns.sold()
    begin_together = threading.Barrier(6)
    found: list[UUID] = []

    def click() -> None:
        begin_together.wait()
        found.append(ask(room, purchase, 7_000).id)

    threads = [threading.Thread(target=click) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(found), len(set(found))) == (6, 1)


def test_what_is_accepted_again_after_a_lost_connection_is_no_repeat(room: StaffRoom, returns: Returns) -> None:
    """The door does the same once more where it does not know whether it was done: the caller has asked once."""
    purchase, act_id = returns.sold(), new_id()
    for _ in range(2):
        accepted = room.accept(wish_of(purchase), by=accept_refund, id=act_id)
        assert (accepted.id, accepted.is_replay) == (act_id, False)


# --- the quote ---


def quoted(room: StaffRoom, purchase: Purchase) -> QuoteView:
    number, policy, now = purchase.transaction_id or 0, room.policy, room.now
    found = ask_at(room.url, lambda connection: find_quote(connection, number, policy, now=now))
    assert found is not None
    return found


def sold_fresh(returns: Returns) -> Purchase:
    return returns.sold()


def sold_and_used(returns: Returns) -> Purchase:
    return returns.sold(used=151)


def sold_and_used_up(returns: Returns) -> Purchase:
    return returns.sold(used=600)


def sold_and_refunded_in_part(returns: Returns) -> Purchase:
    purchase = returns.sold(used=100)
    returns.refunded(purchase, 3_333)
    return returns.load(purchase)


def sold_and_on_its_way(returns: Returns) -> Purchase:
    purchase = returns.sold(used=100)
    returns.hold(purchase, 3_333)
    return returns.load(purchase)


def sold_and_refunded(returns: Returns) -> Purchase:
    purchase = returns.sold()
    returns.refunded(purchase)
    return returns.load(purchase)


def sold_and_disputed(returns: Returns) -> Purchase:
    purchase = returns.sold()
    made = returns.gateway.raise_dispute(intent_of(purchase), 14_000)
    returns.hear_of_dispute(made.id)
    return purchase


def sold_and_expired(returns: Returns) -> Purchase:
    return returns.sold(lasts_days=0.000_001)


def not_paid(returns: Returns) -> Purchase:
    return add_purchase(returns.desk.begin, at=returns.desk.now)


SITUATIONS = [
    sold_fresh,
    sold_and_used,
    sold_and_used_up,
    sold_and_refunded_in_part,
    sold_and_on_its_way,
    sold_and_refunded,
    sold_and_disputed,
    sold_and_expired,
    not_paid,
]


def held_or_refused(returns: Returns, purchase: Purchase, policy: Policy) -> Refund | RefusedError:
    try:
        return returns.refund(returns.hold(purchase, policy=policy))
    except RefusedError as error:
        return error


@pytest.mark.parametrize("policy", [Policy(), Policy(fee_percent=7), Policy(window_days=1)], ids=str)
@pytest.mark.parametrize("situation", SITUATIONS)
def test_the_quote_is_what_a_refund_takes_or_is_refused_with(
    room: StaffRoom, returns: Returns, situation: Callable[[Returns], Purchase], policy: Policy
) -> None:
    """Nobody is promised an amount that he does not get, and nobody is told another reason than the one that counts."""
    purchase = situation(returns)
    room.policy = policy
    returns.pass_time(DAY)
    room.now = returns.desk.now
    offered, made = quoted(room, purchase), held_or_refused(returns, purchase, policy)
    if isinstance(made, RefusedError):
        assert (type(made), str(made)) == (type(offered.refusal), str(offered.refusal))
        assert offered.refundable_cents == 0
    else:
        assert offered.refusal is None
        assert (made.amount_cents, made.minutes) == (offered.refundable_cents, offered.minutes_unused)
        assert str(offered.refundable_cents) in (offered.formula or "")


# --- invoices ---


def test_an_invoice_is_named_on_the_receipt(room: StaffRoom, returns: Returns, settings: Settings) -> None:
    """The accountant's number beside ours: the same receipt, printed anew."""
    paid(room.begin, returns.sold().student_id or 0, at=room.now)
    (receipt,) = issued(room.begin, settings, at=room.now)
    first = room.do(SetInvoice(receipt_id=receipt["id"], invoice_ref="FT 2026/1"))
    assert (first.state, first.before, first.after) == (
        ActState.DONE,
        {"invoice_ref": None},
        {"invoice_ref": "FT 2026/1"},
    )
    second = room.do(SetInvoice(receipt_id=receipt["id"], invoice_ref="FT 2026/2"))
    assert (second.before, second.target) == ({"invoice_ref": "FT 2026/1"}, f"receipt:{receipt['id']}")
    with room.begin() as session:
        pdf = session.execute(text("SELECT pdf FROM receipt WHERE id = :id"), {"id": receipt["id"]}).scalar_one()
    assert any("FT 2026/2" in line for line in lines_of(bytes(pdf)))


def test_an_invoice_of_no_receipt_is_refused(room: StaffRoom) -> None:
    act = room.do(SetInvoice(receipt_id=new_id(), invoice_ref="FT 2026/1"))
    assert (act.state, act.error_type) == (ActState.REFUSED, "not_found")
