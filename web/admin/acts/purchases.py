"""Acts about purchases: money that goes back, and hours that last longer."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from hashlib import sha256
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from billing.lists.search import number_of, uuid_of
from billing.reads.quotes import QuoteView, find_quote
from billing.reads.written import euros, hours
from billing.staff.accept_refund import accept_refund
from billing.staff.refunds import policy_of
from billing.staff.wishes import MOST_PACKAGES, BulkExtend, Extend, RefundPurchase, Wish
from billing.states import PurchaseState
from web.admin.acts.form import REASON, AcceptBy, Act, Input, Subject, Table
from web.admin.lists.fields import page_of
from web.door import Door
from web.staff.bodies import BulkExtendBody, ExtendBody, RefundPurchaseBody

MOST_NAMED = 50
"""Beyond so many packages the form carries a digest of how they stand."""

NUMBERS = text("""
    SELECT transaction_id FROM purchase
    WHERE transaction_id = ANY(CAST(:numbers AS bigint[])) OR id = ANY(CAST(:tasks AS uuid[])) ORDER BY transaction_id
""")
PACKAGES = text("""
    SELECT purchase.id, purchase.transaction_id, purchase.state, purchase.buyer_email, version.name,
        lot.minutes_left, lot.minutes_expired, lot.expires_at,
        (
            SELECT count(*) FROM staff_act AS act
            WHERE act.target = 'purchase:' || purchase.transaction_id AND act.state = 'requested'
        ) AS waiting
    FROM purchase JOIN pricing_plan_version AS version ON version.id = purchase.plan_version_id
    LEFT JOIN hour_lot AS lot ON lot.purchase_id = purchase.id
    WHERE transaction_id = ANY(CAST(:numbers AS bigint[])) ORDER BY transaction_id
""")


async def numbers_of(door: Door, of: Sequence[str]) -> Sequence[int]:
    """Transactions by their numbers or tasks; empty where one of them is not there."""
    numbers = [number for one in of if (number := number_of(one)) is not None]
    tasks = [task for one in of if (task := uuid_of(one)) is not None]
    if not 0 < len(set(of)) <= MOST_PACKAGES:
        return ()

    async def query(connection: AsyncConnection) -> Sequence[int]:
        found = await connection.execute(NUMBERS, {"numbers": numbers, "tasks": tasks})
        return [int(number) for number in found.scalars()]

    found = await door.ask(query)
    return found if len(found) == len(set(of)) else ()


class GiveBack(Act):
    name, title, button = "refund", "Refund", "Give this money back"
    needs_recent_sign_in = True
    accept_by = AcceptBy(accept_refund)

    async def find(self, of: Sequence[str], now: datetime) -> Subject | None:
        numbers = await numbers_of(self.door, of)
        if len(numbers) != 1:
            return None
        policy = policy_of(self.door.settings)
        quote = await self.door.ask(lambda connection: find_quote(connection, numbers[0], policy, now=now))
        return None if quote is None else _quoted(quote)

    def inputs(self, subject: Subject) -> Sequence[Input]:
        most = subject.facts["Can be given back (€)"]
        amount = Input("refund_amount", "Amount (€)", hint=f"At most {most}; empty: all of it.", given=most)
        return (amount, REASON)

    def wish(self, subject: Subject, given: Mapping[str, Any]) -> tuple[Wish, str]:
        body = RefundPurchaseBody.of({**given, "transaction_id": subject.loaded})
        return RefundPurchase(transaction_id=body.transaction_id, amount_cents=body.refund_amount), body.reason


def _quoted(quote: QuoteView) -> Subject:
    facts = {
        "Price (€)": euros(quote.price_cents),
        "Given back already (€)": euros(quote.refunded_cents),
        "Unused hours": hours(quote.minutes_unused),
        "Fee (€)": euros(quote.fee_cents),
        "Can be given back (€)": euros(quote.refundable_cents),
        "How it is reckoned": quote.formula or "nothing is reckoned",
    }
    hindrance = None if quote.refusal is None else str(quote.refusal)
    title = f"Transaction {quote.transaction_id}"
    back = page_of("purchase", quote.purchase_id)
    return Subject(title, facts, hindrance=hindrance, back=back, loaded=quote.transaction_id)


class Lengthen(Act):
    """One package, or several: then all of them or none. A worker looks again at the ends that were seen here."""

    name, title, button = "extend", "Extend packages", "Let them last longer"
    is_for_admins = False

    async def find(self, of: Sequence[str], now: datetime) -> Subject | None:
        numbers = await numbers_of(self.door, of)
        if not numbers:
            return None

        async def query(connection: AsyncConnection) -> Sequence[Any]:
            return (await connection.execute(PACKAGES, {"numbers": [*numbers]})).all()

        return _packages(await self.door.ask(query), numbers, self.door)

    def inputs(self, subject: Subject) -> Sequence[Input]:
        days = Input("extension_days", "Days", "number", "They are added to the last day, or to today.", "30")
        from_now = Input("extend_from_now", "Count from today", "checkbox", "For packages that have expired.")
        return (days, from_now, REASON)

    def wish(self, subject: Subject, given: Mapping[str, Any]) -> tuple[Wish, str]:
        ends: Mapping[int, datetime | None] = subject.loaded
        numbers = [*ends]
        if len(numbers) == 1:
            body = ExtendBody.of(given)
            wish = Extend(
                transaction_id=numbers[0],
                extension_days=body.extension_days,
                extend_from_now=body.extend_from_now,
                expected_expires_at=ends[numbers[0]],
            )
            return wish, body.reason
        BulkExtendBody.of({**given, "transaction_ids": numbers})
        all_of_them = ExtendBody.of(given)
        many = BulkExtend(
            transaction_ids=tuple(numbers),
            extension_days=all_of_them.extension_days,
            extend_from_now=all_of_them.extend_from_now,
            expected_ends={number: end for number, end in ends.items() if end is not None},
        )
        return many, all_of_them.reason


def _packages(rows: Sequence[Any], numbers: Sequence[int], door: Door) -> Subject:
    zone = door.settings.zone

    def until(row: Any) -> str:
        return "never" if row.expires_at is None else row.expires_at.astimezone(zone).strftime("%Y-%m-%d %H:%M %Z")

    facts = {f"Transaction {row.transaction_id}": f"until {until(row)}{_waiting(row.waiting)}" for row in rows}
    if len(facts) > MOST_NAMED:
        facts = {"All of them": sha256(repr(facts).encode()).hexdigest()[:16]}
    shown = [
        (str(row.transaction_id), row.state, row.buyer_email, row.name, _hours(row.minutes_left), until(row))
        for row in rows
    ]
    table = Table("Packages", ("Transaction", "State", "Buyer", "Plan", "Hours left", "Until"), shown)
    unpaid = [row.transaction_id for row in rows if row.state != PurchaseState.COMPLETED]
    hindrance = f"Transaction {unpaid[0]} is not paid, or was given back." if unpaid else None
    back = page_of("purchase", rows[0].id) if len(rows) == 1 else "/admin/purchase/list"
    title = f"Transaction {numbers[0]}" if len(numbers) == 1 else f"{len(numbers)} packages"
    ends = {int(row.transaction_id): row.expires_at for row in rows}
    return Subject(title, facts, (table,), hindrance, back, ends)


def _waiting(acts: int) -> str:
    return {0: "", 1: ", an act waits"}.get(acts, f", {acts} acts wait")


def _hours(minutes: int | None) -> str:
    return "" if minutes is None else hours(minutes)
