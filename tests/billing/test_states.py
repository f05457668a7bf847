"""Every move of a purchase that is allowed, and none beside it."""

from datetime import UTC, datetime, timedelta
from itertools import product

import pytest
from sqlmodel import select

from billing.db import Begin
from billing.ids import new_id
from billing.models import Purchase, PurchaseTransition
from billing.purchases import lifecycle
from billing.states import (
    OPEN_EVENT_STATES,
    PAYABLE,
    PURCHASE_MOVES,
    SETTLED,
    EventState,
    PlanType,
    PurchaseState,
    Step,
)
from tests.support.factories import add_purchase

S = PurchaseState
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)

ALLOWED = {
    (S.QUEUED, S.PENDING): "Stripe made the intent",
    (S.QUEUED, S.FAILED): "Stripe refused, or we gave up",
    (S.QUEUED, S.CANCELLED): "cancelled before a create was sent",
    (S.PENDING, S.PROCESSING): "a slow way of paying",
    (S.PENDING, S.COMPLETED): "paid",
    (S.PENDING, S.FAILED): "declined",
    (S.PENDING, S.CANCELLED): "Stripe said canceled",
    (S.PENDING, S.EXPIRED): "Stripe said canceled, after its time",
    (S.PROCESSING, S.COMPLETED): "paid in the end",
    (S.PROCESSING, S.FAILED): "declined in the end",
    (S.PROCESSING, S.CANCELLED): "Stripe said canceled",
    (S.PROCESSING, S.EXPIRED): "Stripe said canceled, after its time",
    (S.FAILED, S.COMPLETED): "a declined intent was paid with another card",
    (S.FAILED, S.CANCELLED): "a declined intent was cancelled",
    (S.FAILED, S.EXPIRED): "a declined intent ran out",
    (S.CANCELLED, S.COMPLETED): "the money is there, so the hours are",
    (S.EXPIRED, S.COMPLETED): "the money is there, so the hours are",
    (S.COMPLETED, S.REFUNDED): "wholly refunded",
}


def make_purchase(state: PurchaseState) -> Purchase:
    return Purchase(
        id=new_id(),
        scope="guest:ana@example.com",
        request_id="request",
        buyer_name="Ana",
        buyer_email="ana@example.com",
        plan_version_id=2,
        plan_type=PlanType.PACKAGE,
        price_cents=14_000,
        currency="eur",
        minutes=600,
        validity_days=45,
        state=state,
        client_secret=b"sealed",
        accepted_at=NOON,
        give_up_at=NOON + timedelta(minutes=15),
    )


@pytest.mark.parametrize(("current", "target"), list(product(PurchaseState, PurchaseState)))
def test_a_purchase_moves_as_the_table_says_and_not_otherwise(current: PurchaseState, target: PurchaseState) -> None:
    """Late news must never undo a later state, so each of the pairs is decided once, here."""
    purchase = make_purchase(current)
    assert lifecycle.can_move(current, target) == ((current, target) in ALLOWED)
    if (current, target) in ALLOWED:
        lifecycle.move_to(purchase, target)
        assert purchase.state is target
    else:
        with pytest.raises(lifecycle.IllegalMoveError, match=f"{current} -> {target}"):
            lifecycle.move_to(purchase, target)
        assert purchase.state is current


@pytest.mark.parametrize(("current", "target"), ALLOWED)
def test_the_client_secret_goes_when_a_purchase_is_settled(current: PurchaseState, target: PurchaseState) -> None:
    """A secret that has nothing left to do is a secret that can only leak; a declined intent may still be paid."""
    purchase = make_purchase(current)
    lifecycle.move_to(purchase, target)
    assert (purchase.client_secret is None) == (target in SETTLED)


def test_every_state_has_its_moves() -> None:
    """A state that the table does not know would be a KeyError on the day it is reached."""
    assert set(PURCHASE_MOVES) == set(PurchaseState)
    assert frozenset({S.COMPLETED, S.CANCELLED, S.EXPIRED, S.REFUNDED}) == SETTLED
    assert all(S.COMPLETED in PURCHASE_MOVES[state] for state in PAYABLE)


def test_no_state_is_a_trap_but_the_last() -> None:
    """From everywhere a payment can still become hours, and hours a refund."""
    reached = {S.REFUNDED}
    for _ in PurchaseState:
        reached |= {state for state in PurchaseState if PURCHASE_MOVES[state] & reached}
    assert reached == set(PurchaseState)


def test_states_are_the_words_of_the_contract() -> None:
    """They are stored and shown as they are; renaming one is a change of contract and a migration."""
    assert [str(state) for state in PurchaseState] == [
        "queued",
        "pending",
        "processing",
        "completed",
        "failed",
        "cancelled",
        "expired",
        "refunded",
    ]
    assert [str(state) for state in EventState] == ["received", "asking", "applied", "ignored", "parked", "dead"]
    assert frozenset({EventState.RECEIVED, EventState.ASKING}) == OPEN_EVENT_STATES


def test_a_failure_is_told_to_the_buyer_and_noted(begin: Begin) -> None:
    """The buyer sees a class and a safe sentence; the timeline keeps what caused it."""
    purchase_id = add_purchase(begin, at=NOON, state=S.PENDING).id
    with begin() as session:
        purchase = session.exec(select(Purchase).where(Purchase.id == purchase_id)).one()
        lifecycle.fail(session, purchase, "card_error", "x" * 600, cause="evt_1", at=NOON)
    with begin() as session:
        failed = session.exec(select(Purchase).where(Purchase.id == purchase_id)).one()
        (note,) = session.exec(select(PurchaseTransition))
    assert (failed.state, failed.error_type, failed.error_message) == (S.FAILED, "card_error", "x" * 500)
    assert (note.step, note.state, note.cause, note.at) == (Step.PAYMENT_FAILED, S.FAILED, "evt_1", NOON)
