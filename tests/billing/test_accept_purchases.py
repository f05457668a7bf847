"""Accepting purchases: one row for each wish, frozen facts, and for the rest the reason why not."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from sqlmodel import col, select

from billing.db import Begin, begin_async
from billing.errors import (
    BillingError,
    IdempotencyMismatchError,
    LockTimeoutError,
    PlanUnknownError,
    PriceChangedError,
)
from billing.ids import new_id
from billing.models import Purchase
from billing.purchases.accept import AcceptedPurchase, Caller, PurchaseRequest, accept
from billing.states import PlanType, PurchaseState
from tests.support.database import connect_async

T = TypeVar("T")
Answer = AcceptedPurchase | BillingError

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
GIVE_UP_AFTER = timedelta(minutes=15)
STANDARD, SUBSCRIPTION, NO_PLAN = 2, 5, 99
STANDARD_CENTS = 14_000


def wish(key: str | None = None, **changes: Any) -> PurchaseRequest:
    """A guest's wish for the standard package."""
    facts: dict[str, Any] = {
        "id": new_id(),
        "scope": "guest:ana@example.com",
        "idempotency_key": key,
        "body_hash": b"body" if key else None,
        "plan_id": STANDARD,
        "expected_price_cents": None,
        "buyer_name": "Ana d’Água",
        "buyer_email": "ana@example.com",
        "caller": None,
        "request_id": "request",
        "accepted_at": NOON,
        **changes,
    }
    return PurchaseRequest(**facts)


@asynccontextmanager
async def door(url: str) -> AsyncIterator[AsyncEngine]:
    engine = connect_async(url)
    try:
        yield engine
    finally:
        await engine.dispose()


async def flush(engine: AsyncEngine, *wishes: PurchaseRequest) -> list[Answer]:
    async with begin_async(engine) as connection:
        return await ask(connection, *wishes)


async def ask(connection: AsyncConnection, *wishes: PurchaseRequest) -> list[Answer]:
    return await accept(connection, wishes, give_up_after=GIVE_UP_AFTER)


def at_door(url: str, visit: Callable[[AsyncEngine], Awaitable[T]]) -> T:
    async def run() -> T:
        async with door(url) as engine:
            return await visit(engine)

    return asyncio.run(run())


def flushed(url: str, *wishes: PurchaseRequest) -> list[Answer]:
    return at_door(url, lambda engine: flush(engine, *wishes))


def accepted(answer: Answer) -> AcceptedPurchase:
    assert isinstance(answer, AcceptedPurchase), answer
    return answer


def purchases(begin: Begin) -> list[Purchase]:
    with begin() as session:
        return list(session.exec(select(Purchase).order_by(col(Purchase.transaction_id))))


def edit(begin: Begin, statement: str) -> None:
    with begin() as session:
        session.execute(text(statement))


RAISE_PRICE = """
    INSERT INTO pricing_plan_version (plan_id, version, name, description, plan_type, minutes, price_cents, currency,
        validity_days, effective_from)
    VALUES (2, 2, 'Dearer', '', 'package', 300, 99900, 'eur', 7, '2026-02-01Z')
"""
TAKE_OFF_SALE = "UPDATE pricing_plan SET is_active = false WHERE id = 2"


def test_a_wish_becomes_a_queued_row_with_all_that_a_worker_needs(database_url: str, begin: Begin) -> None:
    """The row is the queue of record: what is not in it is forgotten."""
    caller = Caller("sub-1", "eva@example.com", email_verified=True)
    asked = wish("key", caller=caller, scope="user:sub-1", expected_price_cents=STANDARD_CENTS)
    answer = accepted(flushed(database_url, asked)[0])
    (row,) = purchases(begin)
    assert (answer.id, answer.state, answer.is_replay) == (asked.id, PurchaseState.QUEUED, False)
    assert (row.id, row.state, row.request_id, row.transaction_id) == (asked.id, PurchaseState.QUEUED, "request", 1)
    assert (row.scope, row.idempotency_key, row.body_hash) == ("user:sub-1", "key", b"body")
    assert (row.caller_sub, row.caller_email, row.caller_email_verified) == ("sub-1", "eva@example.com", True)
    assert (row.buyer_name, row.buyer_email, row.student_id) == ("Ana d’Água", "ana@example.com", None)
    assert (row.accepted_at, row.give_up_at) == (NOON, NOON + GIVE_UP_AFTER)
    assert row.due_at is not None
    assert row.hint_at is not None
    assert row.hint_at - row.due_at == pytest.approx(timedelta(seconds=2), abs=timedelta(seconds=0.1))
    assert (row.attempts, row.lease_token, row.payment_intent_id) == (0, None, None)


def test_the_plan_is_frozen_onto_the_purchase(database_url: str, begin: Begin) -> None:
    """Price, hours and validity come from the plan's row at that moment, and no later edit reaches them."""
    asked = wish("key")
    plan = accepted(flushed(database_url, asked)[0]).plan
    edit(begin, RAISE_PRICE)
    (row,) = purchases(begin)
    assert (row.plan_version_id, row.plan_type, row.price_cents, row.currency) == (2, PlanType.PACKAGE, 14_000, "eur")
    assert (row.minutes, row.validity_days) == (600, 45)
    assert (plan.name, plan.price_cents, plan.minutes, plan.validity_days) == ("Standard Package", 14_000, 600, 45)
    replay = accepted(flushed(database_url, wish("key"))[0])
    assert replay.plan == plan
    assert accepted(flushed(database_url, wish())[0]).plan.price_cents == 99_900


REFUSALS: list[tuple[str, dict[str, Any], type[BillingError]]] = [
    ("no such plan", {"plan_id": NO_PLAN}, PlanUnknownError),
    ("no such plan, whatever the price", {"plan_id": NO_PLAN, "expected_price_cents": 1}, PlanUnknownError),
    ("a subscription at a wrong price", {"plan_id": SUBSCRIPTION, "expected_price_cents": 1}, PriceChangedError),
    ("another price", {"expected_price_cents": STANDARD_CENTS - 1}, PriceChangedError),
    ("no price at all", {"expected_price_cents": 0}, PriceChangedError),
]


@pytest.mark.parametrize("has_key", [True, False])
def test_what_cannot_be_sold_is_refused_for_its_first_reason(database_url: str, begin: Begin, has_key: bool) -> None:
    """The buyer mends one thing at a time, the most basic first; nothing is kept of a refusal."""
    answers = flushed(database_url, *(wish(what if has_key else None, **changes) for what, changes, _ in REFUSALS))
    assert [type(answer) for answer in answers] == [error for *_, error in REFUSALS]
    assert purchases(begin) == []


def test_a_used_key_with_another_body_is_that_before_all_else(database_url: str, begin: Begin) -> None:
    """A client that reuses keys has a defect of its own, and has to hear of that one."""
    firsts = [wish(what) for what, *_ in REFUSALS]
    others = [wish(what, body_hash=b"other", **changes) for what, changes, _ in REFUSALS]
    together, later = flushed(database_url, *firsts, *others)[len(firsts) :], flushed(database_url, *others)
    assert [type(answer) for answer in [*together, *later]] == [IdempotencyMismatchError] * 2 * len(REFUSALS)
    assert len(purchases(begin)) == len(REFUSALS)


def test_a_plan_off_sale_is_unknown(database_url: str, begin: Begin) -> None:
    """What was taken off sale a second ago cannot be bought from a page that is a minute old."""
    edit(begin, TAKE_OFF_SALE)
    assert isinstance(flushed(database_url, wish())[0], PlanUnknownError)


def test_a_repeat_is_answered_with_the_first_purchase(database_url: str, begin: Begin) -> None:
    """A double click buys once, in one flush or in two."""
    first, *others = flushed(database_url, wish("key"), wish("key"), wish("key"))
    later = flushed(database_url, wish("key"))
    assert not accepted(first).is_replay
    assert all(accepted(answer).is_replay for answer in [*others, *later])
    assert {accepted(answer).id for answer in [first, *others, *later]} == {purchases(begin)[0].id}
    assert len(purchases(begin)) == 1


def test_a_repeat_tells_the_state_of_now(database_url: str, begin: Begin) -> None:
    """A client that comes back after a crash learns how far its purchase has come."""
    flushed(database_url, wish("key"))
    edit(begin, "UPDATE purchase SET state = 'failed', due_at = NULL, hint_at = NULL")
    replay = accepted(flushed(database_url, wish("key"))[0])
    assert (replay.state, replay.is_replay) == (PurchaseState.FAILED, True)


def test_a_repeat_is_answered_even_when_its_plan_is_gone(database_url: str, begin: Begin) -> None:
    """The purchase exists; "no such plan" would make the client buy another."""
    first = accepted(flushed(database_url, wish("key", expected_price_cents=STANDARD_CENTS))[0])
    edit(begin, RAISE_PRICE)
    edit(begin, TAKE_OFF_SALE)
    replay = accepted(flushed(database_url, wish("key", expected_price_cents=STANDARD_CENTS))[0])
    assert (replay.id, replay.plan, replay.is_replay) == (first.id, first.plan, True)


def test_without_a_key_each_wish_is_a_purchase(database_url: str, begin: Begin) -> None:
    """Two brothers may buy the same on the same evening."""
    answers = flushed(database_url, wish(), wish())
    assert [accepted(answer).is_replay for answer in answers] == [False, False]
    assert len(purchases(begin)) == 2


def test_a_key_is_of_its_caller(database_url: str, begin: Begin) -> None:
    """Nobody can guess, block or read another's purchase by its key."""
    answers = flushed(database_url, wish("key"), wish("key", scope="user:sub-1"))
    assert [accepted(answer).is_replay for answer in answers] == [False, False]
    assert len(purchases(begin)) == 2


def test_a_refused_key_is_free_again(database_url: str) -> None:
    """The buyer confirms the new price and the page sends the same key."""
    wrong = wish("key", expected_price_cents=1, body_hash=b"wrong")
    assert isinstance(flushed(database_url, wrong)[0], PriceChangedError)
    assert not accepted(flushed(database_url, wish("key"))[0]).is_replay


def test_a_refused_wish_does_not_take_its_neighbour_of_the_same_key_with_it(database_url: str, begin: Begin) -> None:
    """Both come within milliseconds when a page corrects itself; the good one must not hear "no such plan"."""
    wrong = wish("key", expected_price_cents=1, body_hash=b"wrong")
    refused, good = flushed(database_url, wrong, wish("key"))
    assert isinstance(refused, PriceChangedError | IdempotencyMismatchError)
    assert not accepted(good).is_replay
    assert len(purchases(begin)) == 1


def test_a_crowd_is_answered_each_with_its_own(database_url: str, begin: Begin) -> None:
    """Answers are told apart by their place: a mix-up would give a stranger's purchase away."""
    crowd = [wish(f"key-{number}", plan_id=1 + number % 6, buyer_name=f"Buyer {number}") for number in range(120)]
    answers = flushed(database_url, *crowd)
    rows = {row.id: row for row in purchases(begin)}
    for asked, answer in zip(crowd, answers, strict=True):
        assert (accepted(answer).id, accepted(answer).plan.plan_id) == (asked.id, asked.plan_id)
        assert rows[asked.id].buyer_name == asked.buyer_name
    assert len(rows) == 120


def test_the_second_door_waits_and_answers_with_the_first_one_s_purchase(database_url: str, begin: Begin) -> None:
    """Two processes get the two clicks of one double click; both answer with the same task."""

    async def visit(engine: AsyncEngine) -> tuple[list[Answer], list[Answer]]:
        async with begin_async(engine) as connection:
            first = await ask(connection, wish("key"))
            second = asyncio.create_task(flush(engine, wish("key")))
            await asyncio.sleep(0.1)
            assert not second.done()
        return first, await second

    first, second = at_door(database_url, visit)
    assert accepted(second[0]).is_replay
    assert accepted(second[0]).id == accepted(first[0]).id
    assert len(purchases(begin)) == 1


def test_the_second_door_does_not_wait_for_ever(database_url: str, begin: Begin) -> None:
    """A first request that hangs costs the second half a second and an answer that says so; then it may come again."""

    async def visit(engine: AsyncEngine) -> list[Answer]:
        async with begin_async(engine) as connection:
            await ask(connection, wish("key"))
            started = asyncio.get_running_loop().time()
            with pytest.raises(LockTimeoutError):
                await flush(engine, wish("key"))
            assert asyncio.get_running_loop().time() - started < 1.5
        return await flush(engine, wish("key"))

    assert accepted(at_door(database_url, visit)[0]).is_replay
    assert len(purchases(begin)) == 1


def test_the_second_door_buys_where_the_first_one_gave_up(database_url: str, begin: Begin) -> None:
    """What was not committed never happened, and nobody was told otherwise."""
    mine = wish("key")

    async def visit(engine: AsyncEngine) -> list[Answer]:
        with pytest.raises(ConnectionAbortedError):  # noqa: PT012
            async with begin_async(engine) as connection:
                await ask(connection, wish("key"))
                second = asyncio.create_task(flush(engine, mine))
                await asyncio.sleep(0.1)
                raise ConnectionAbortedError
        return await second

    answer = accepted(at_door(database_url, visit)[0])
    assert (answer.id, answer.is_replay) == (mine.id, False)
    assert [row.id for row in purchases(begin)] == [mine.id]


def test_doors_that_share_keys_in_other_orders_never_wait_in_a_circle(database_url: str, begin: Begin) -> None:
    """Flushes are sorted by key: two crowds of the same buyers end well, each key with one purchase."""
    keys = [f"key-{number}" for number in range(40)]

    async def visit(engine: AsyncEngine) -> list[list[Answer]]:
        crowds = [[wish(key) for key in (keys if turn % 2 else keys[::-1])] for turn in range(4)]
        return await asyncio.gather(*(flush(engine, *crowd) for crowd in crowds))

    answers = [accepted(answer) for crowd in at_door(database_url, visit) for answer in crowd]
    made: set[UUID] = {answer.id for answer in answers if not answer.is_replay}
    assert len(made) == len(keys) == len(purchases(begin))
    assert {answer.id for answer in answers} == made


def test_one_body_under_two_keys_is_two_purchases(database_url: str, begin: Begin) -> None:
    """The key says what is a repeat; the body says only whether it is the same repeat."""
    first = wish("key-1")
    answers = flushed(database_url, first, replace(first, id=new_id(), idempotency_key="key-2"))
    assert [accepted(answer).is_replay for answer in answers] == [False, False]
    assert len(purchases(begin)) == 2
