"""Reads are one statement each, and say what the rows say."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from sqlalchemy import event, text
from sqlalchemy.ext.asyncio import AsyncConnection

from billing.db import Begin, begin_async
from billing.ids import new_id
from billing.models import HourLot, PurchaseTransition
from billing.reads.balances import LOTS, balance_of
from billing.reads.plans import plans_on_sale
from billing.reads.purchases import TimelineStep, find_purchases, find_versions
from billing.reads.readiness import look_at_database
from billing.reads.whose import of_address, of_caller
from billing.states import LotOrigin, PurchaseState, Step
from tests.support.database import connect_async
from tests.support.factories import add_purchase, add_student

T = TypeVar("T")


def ask(url: str, query: Callable[[AsyncConnection], Awaitable[T]]) -> tuple[T, int]:
    """The answer, and how many statements it took."""

    async def run() -> tuple[T, int]:
        engine = connect_async(url)
        statements: list[str] = []
        event.listen(engine.sync_engine, "before_cursor_execute", lambda *given: statements.append(given[2]))
        async with begin_async(engine) as connection:
            answer = await query(connection)
        await engine.dispose()
        return answer, len(statements)

    return asyncio.run(run())


def test_each_read_is_one_statement(database_url: str, begin: Begin, now: datetime) -> None:
    purchase = add_purchase(begin, at=now)
    add_student(begin, at=now)
    reads: list[Callable[[AsyncConnection], Awaitable[object]]] = [
        plans_on_sale,
        look_at_database,
        lambda connection: find_purchases(connection, [purchase.id]),
        lambda connection: find_versions(connection, [purchase.id]),
        lambda connection: balance_of(connection, of_caller("x", "ana@example.com"), now=now),
        lambda connection: balance_of(connection, of_address("ana@example.com"), now=now),
    ]
    for read in reads:
        answer, statements = ask(database_url, read)
        assert (answer is not None, statements) == (True, 1)


def test_what_is_not_there_is_none(database_url: str, now: datetime) -> None:
    assert ask(database_url, lambda connection: find_purchases(connection, [new_id()]))[0] == {}
    assert ask(database_url, lambda connection: balance_of(connection, of_address("x@example.com"), now=now))[0] is None


def test_a_plan_counts_from_when_it_is_effective_and_in_its_last_version(database_url: str, begin: Begin) -> None:
    """A price may be announced; it holds from its day on."""
    version = """
        INSERT INTO pricing_plan_version (plan_id, version, name, description, plan_type, minutes, price_cents,
            currency, validity_days, effective_from)
        SELECT plan_id, :version, name, description, plan_type, minutes, :price, currency, validity_days,
            clock_timestamp() + :wait
        FROM pricing_plan_version WHERE plan_id = 2 AND version = 1
    """
    with begin() as session:
        for number, price, wait in ((2, 15_000, timedelta(seconds=-1)), (3, 16_000, timedelta(hours=1))):
            session.execute(text(version), {"version": number, "price": price, "wait": wait})
    plans, _ = ask(database_url, plans_on_sale)
    assert [plan.price_cents for plan in plans if plan.plan_id == 2] == [15_000]


def test_a_timeline_begins_with_the_acceptance(database_url: str, begin: Begin, now: datetime) -> None:
    purchase = add_purchase(begin, at=now)
    views, _ = ask(database_url, lambda connection: find_purchases(connection, [purchase.id]))
    assert views[purchase.id].timeline == [TimelineStep(0, Step.ACCEPTED, PurchaseState.QUEUED, now)]


def test_a_version_is_that_of_what_is_shown(database_url: str, begin: Begin, now: datetime) -> None:
    """The look each second compares the two; where they differed for nothing, it would wake everybody for ever."""
    trouble: dict[str, Any] = {"error_type": "api_error", "error_message": "Away.", "cancel_requested_at": now}
    purchases = [add_purchase(begin, at=now), add_purchase(begin, at=now, **trouble)]
    with begin() as session:
        for step in (Step.INTENT_CREATED, Step.PAYMENT_PROCESSING):
            state = PurchaseState.PENDING
            session.add(PurchaseTransition(purchase_id=purchases[0].id, step=step, state=state, cause="test", at=now))
            session.flush()
    ids = [purchase.id for purchase in purchases]
    views, _ = ask(database_url, lambda connection: find_purchases(connection, ids))
    versions, _ = ask(database_url, lambda connection: find_versions(connection, ids))
    assert versions == {purchase_id: view.version for purchase_id, view in views.items()}
    assert [versions[purchase_id].serial for purchase_id in ids] == [2, 0]


def test_sums_do_not_depend_on_how_many_lots_are_shown(database_url: str, begin: Begin, now: datetime) -> None:
    student = add_student(begin, at=now)
    expired = now - timedelta(days=1)
    with begin() as session:
        for number in range(LOTS + 50):
            lot = HourLot(
                student_id=student,
                origin=LotOrigin.GRANT,
                source=f"grant:{number}",
                currency="eur",
                starts_at=datetime(2020, 1, 1, tzinfo=UTC),
                expires_at=expired - timedelta(minutes=number),
                minutes_granted=1,
                minutes_left=1,
            )
            session.add(lot)
        total = {"student": student, "minutes": LOTS + 50}
        session.execute(
            text("""
                INSERT INTO student_balance (student_id, minutes_granted, minutes_left, minutes_consumed,
                    minutes_expired, minutes_refunded, minutes_frozen, minutes_held, minutes_owed, paid_cents,
                    returned_cents)
                VALUES (:student, :minutes, :minutes, 0, 0, 0, 0, 0, 0, 0, 0)
            """),
            total,
        )
    view, _ = ask(database_url, lambda connection: balance_of(connection, of_address("ana@example.com"), now=now))
    assert view is not None
    assert (view.minutes_expired, view.minutes_remaining, len(view.packages)) == (LOTS + 50, 0, LOTS)
