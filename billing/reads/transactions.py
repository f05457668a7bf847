"""Purchases of everybody, paid or not, as staff look through them."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, RowMapping, Select, func, or_, select, true
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import col

from billing.lists.search import cleaned, number_of
from billing.lists.tables import TABLES
from billing.models import HourLot, PricingPlanVersion, Purchase, Student
from billing.reads.history import TransactionView
from billing.reads.pages import ALL, Filter, Page, Slice

Clause = ColumnElement[bool]

SHOWN: Any = (
    col(Purchase.transaction_id).label("row_id"),
    col(Purchase.id).label("task_id"),
    col(Purchase.plan_type),
    col(PricingPlanVersion.name).label("plan_name"),
    col(Purchase.price_cents),
    col(Purchase.refunded_cents),
    col(Purchase.state),
    col(HourLot.expires_at),
    col(Purchase.accepted_at),
    col(Purchase.paid_at),
    col(Purchase.buyer_name),
    col(Purchase.buyer_email),
    col(Purchase.payment_intent_id),
    col(Purchase.error_type),
    col(Student.id).label("student_id"),
    col(Student.name).label("student_name"),
    col(Student.email).label("student_email"),
)


class Ordering(StrEnum):
    """By what, upwards or (with a minus) downwards; rows that are alike by their numbers, in the same direction."""

    OLDEST = "created_at"
    NEWEST = "-created_at"
    CHEAPEST = "amount"
    DEAREST = "-amount"
    PAID_FIRST = "paid_at"
    PAID_LAST = "-paid_at"

    @property
    def keys(self) -> tuple[Any, Any]:
        """What was never paid comes last in both directions."""
        column, number = COLUMNS[self.removeprefix("-")], col(Purchase.transaction_id)
        if self.startswith("-"):
            return column.desc().nulls_last(), number.desc()
        return column.asc().nulls_last(), number.asc()


COLUMNS: dict[str, Any] = {
    "created_at": col(Purchase.accepted_at),
    "amount": col(Purchase.price_cents),
    "paid_at": col(Purchase.paid_at),
}


@dataclass(frozen=True, slots=True)
class TransactionFilter:
    """What has to fit; None: anything. Both bounds of the time at which a purchase was accepted are part of it."""

    kinds: Filter = ALL
    term: str | None = None
    since: datetime | None = None
    until: datetime | None = None

    def clauses(self) -> Iterator[Clause]:
        if self.kinds.states is not None:
            yield col(Purchase.state).in_(self.kinds.states)
        if self.kinds.plan_types is not None:
            yield col(Purchase.plan_type).in_(self.kinds.plan_types)
        if self.since is not None:
            yield col(Purchase.accepted_at) >= self.since
        if self.until is not None:
            yield col(Purchase.accepted_at) <= self.until
        if self.term is not None:
            yield _found(self.term)


@dataclass(frozen=True, slots=True)
class StaffTransactionView:
    """A purchase and whose it is: nobody's yet, as long as it is not known to which student it belongs."""

    transaction: TransactionView
    buyer_name: str
    buyer_email: str
    payment_intent_id: str | None
    error_type: str | None
    student_id: int | None
    student_name: str | None
    student_email: str | None

    @classmethod
    def of(cls, row: RowMapping) -> "StaffTransactionView":
        facts = {name: row[name] for name in cls.__slots__ if name != "transaction"}
        return cls(transaction=TransactionView.of(row), **facts)


async def list_transactions(
    connection: AsyncConnection, part: Slice, only: TransactionFilter, ordering: Ordering = Ordering.NEWEST
) -> Page[StaffTransactionView]:
    """A page, and how many there are in all, by one statement."""
    rows = (await connection.execute(_listed(part, only, ordering))).mappings().all()
    shown = [StaffTransactionView.of(row) for row in rows if row["row_id"] is not None]
    return Page(None, rows[0]["count"], shown)


def _listed(part: Slice, only: TransactionFilter, ordering: Ordering) -> Select[Any]:
    """A row for each row of the page, and one without `row_id` where the page has none; each has the `count` of all.

    Only the rows of the page are joined with what they show.
    """
    clauses, bounds = [*only.clauses()], part.bounds
    total = select(func.count().label("count")).select_from(Purchase).where(*clauses).subquery("total")
    place = func.row_number().over(order_by=ordering.keys).label("place")
    found = select(col(Purchase.id)).where(*clauses).order_by(*ordering.keys)
    page = found.limit(bounds["size"]).offset(bounds["skipped"]).subquery("page")
    bought = (
        select(*SHOWN, place)
        .select_from(page)
        .join(Purchase, col(Purchase.id) == page.c.id)
        .join(PricingPlanVersion, col(PricingPlanVersion.id) == col(Purchase.plan_version_id))
        .outerjoin(HourLot, col(HourLot.purchase_id) == col(Purchase.id))
        .outerjoin(Student, col(Student.id) == col(Purchase.student_id))
        .subquery("bought")
    )
    listed = select(total.c.count, bought).select_from(total.outerjoin(bought, true()))
    return listed.order_by(bought.c.place)


def _found(term: str) -> Clause:
    """As the search of the purchases' list, and besides by the name and address that its student has now."""
    found = TABLES["purchase"].search.clause(term, ())
    if number_of(cleaned(term)) is not None:  # a number is a transaction's, never a student's
        return found
    named = select(col(Student.id)).where(TABLES["student"].search.clause(term, ()))
    return or_(found, col(Purchase.student_id).in_(named))
