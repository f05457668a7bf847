"""Pages of rows: one statement gives the rows of a page, and how many there are in all."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from billing.reads.whose import Whose

T = TypeVar("T")

LAST_PAGE = 10_000_000
"""Nobody has so many rows: this page of anything is empty."""


@dataclass(frozen=True, slots=True)
class Slice:
    """Which rows of a list: `page` counts from 1."""

    page: int = 1
    size: int = 20

    @property
    def bounds(self) -> dict[str, int]:
        return {"size": self.size, "skipped": (min(self.page, LAST_PAGE) - 1) * self.size}


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """`student_id` is None where there is no such student; `first` has what the statement says beside the rows."""

    student_id: int | None
    count: int
    rows: Sequence[T]
    first: RowMapping | None = None


@dataclass(frozen=True, slots=True)
class Filter:
    """Values of which one has to fit; None: any of them, an empty one: nothing does."""

    states: Sequence[str] | None = None
    plan_types: Sequence[str] | None = None

    def conditions(self, column: str = "purchase.{}") -> str:
        """For a WHERE that goes on; `column` says how a purchase's facts are reached there."""
        state = "" if self.states is None else f" AND {column.format('state')} = ANY(CAST(:states AS text[]))"
        if self.plan_types is None:
            return state
        return f"{state} AND {column.format('plan_type')} = ANY(CAST(:plan_types AS text[]))"

    def conditions_by(self, purchase_id: str) -> str:
        """Where a purchase is known by its id only; asked row by row, so that no plan reads all purchases for it."""
        return self.conditions(f"(SELECT purchase.{{}} FROM purchase WHERE purchase.id = {purchase_id})")  # noqa: S608

    @property
    def values(self) -> dict[str, Sequence[str]]:
        given = {"states": self.states, "plan_types": self.plan_types}
        return {name: list(values) for name, values in given.items() if values is not None}


ALL = Filter()


async def page_of(
    connection: AsyncConnection, whose: Whose, template: str, of: Callable[[RowMapping], T], **values: Any
) -> Page[T]:
    """The statement gives a row for each row of the page, and one without `row_id` where the page has none.

    Each has `student_id` and `count` too.
    """
    found = await connection.execute(whose.statement(template), whose.values(**values))
    rows = found.mappings().all()
    if not rows:
        return Page(None, 0, ())
    shown = [of(row) for row in rows if row["row_id"] is not None]
    return Page(rows[0]["student_id"], rows[0]["count"], shown, rows[0])
