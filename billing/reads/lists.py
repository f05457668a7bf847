"""Lists that are of no one student: a page of them, and how many rows there are in all."""

from collections.abc import Callable
from typing import Any, TypeVar

from sqlalchemy import RowMapping, text
from sqlalchemy.ext.asyncio import AsyncConnection

from billing.reads.pages import Page, Slice

T = TypeVar("T")


async def list_page(
    connection: AsyncConnection, statement: str, part: Slice, of: Callable[[RowMapping], T], **values: Any
) -> Page[T]:
    """The statement gives a row for each row of the page, and one without `row_id` where the page has none.

    Each has the `count` of all; `:size` and `:skipped` are the bounds of the page.
    """
    found = (await connection.execute(text(statement), {**part.bounds, **values})).mappings().all()
    return Page(None, found[0]["count"], [of(row) for row in found if row["row_id"] is not None])
