"""Lists as Stripe pages them: newest first, cursors by id, `created` ranges.

Page: "Pagination" of Stripe's API reference.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from sqlite3 import Row
from typing import Any

from billing.sandbox.database import Database
from billing.sandbox.errors import ApiError, no_such
from billing.sandbox.objects import Body, Stored

_COMPARISONS = {"gt": ">", "gte": ">=", "lt": "<", "lte": "<="}
_DEFAULT_LIMIT, _HIGHEST_LIMIT = 10, 100


@dataclass
class Selection:
    """Rows of a table that has `id`, `created` and `seq`; conditions are our own words, values are bound."""

    table: str
    noun: str
    columns: str
    conditions: list[str] = field(default_factory=list)
    values: list[Any] = field(default_factory=list)

    def where(self, condition: str, *values: Any) -> "Selection":
        self.conditions.append(condition)
        self.values.extend(values)
        return self

    def statement(self, order: str) -> str:
        conditions = " AND ".join(self.conditions) or "TRUE"
        words = ("SELECT", self.columns, "FROM", self.table, "WHERE", conditions, "ORDER BY", order, "LIMIT ?")
        return " ".join(words)


def objects_of(kind: str, noun: str) -> Selection:
    return Selection("objects", noun, "id, body, behaviour").where("kind = ?", kind)


def body_of(row: Row) -> Body:
    return Stored.of(row).body


def page(
    database: Database, selection: Selection, params: dict[str, Any], url: str, show: Callable[[Row], Body] = body_of
) -> Body:
    limit = _limit(params)
    _narrow_by_time(selection, params.get("created"))
    is_backwards = _narrow_by_cursor(database, selection, params)
    order = "created, seq" if is_backwards else "created DESC, seq DESC"
    rows = database.rows(selection.statement(order), *selection.values, limit + 1)
    shown = [show(row) for row in rows[:limit]]
    return {
        "object": "list",
        "data": shown[::-1] if is_backwards else shown,
        "has_more": len(rows) > limit,
        "url": url,
    }


def _limit(params: dict[str, Any]) -> int:
    limit: int = params.get("limit", _DEFAULT_LIMIT)
    if not 1 <= limit <= _HIGHEST_LIMIT:
        bound = "greater than or equal to 1" if limit < 1 else f"less than or equal to {_HIGHEST_LIMIT}"
        sentence = f"This value must be {bound} (it currently is '{limit}')."
        raise ApiError(sentence, code="parameter_invalid_integer", param="limit")
    return limit


def _narrow_by_time(selection: Selection, created: dict[str, int] | int | None) -> None:
    if isinstance(created, int):
        selection.where("created = ?", created)
    for name, instant in created.items() if isinstance(created, dict) else ():
        selection.where(f"created {_COMPARISONS[name]} ?", instant)


def _narrow_by_cursor(database: Database, selection: Selection, params: dict[str, Any]) -> bool:
    """Whether the page is read from its cursor towards the newest."""
    given = [name for name in ("starting_after", "ending_before") if params.get(name)]
    if len(given) > 1:
        sentence = "You can only specify one of these parameters: starting_after, ending_before."
        raise ApiError(sentence, param="starting_after")
    for name in given:
        words = ("SELECT created, seq FROM", selection.table, "WHERE id = ?")
        row = database.row(" ".join(words), params[name])
        if row is None:
            raise no_such(selection.noun, params[name], param=name)
        sign = "<" if name == "starting_after" else ">"
        selection.where(f"(created, seq) {sign} (?, ?)", row["created"], row["seq"])
    return "ending_before" in given
