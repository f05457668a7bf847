"""Conditions as clauses of a query: the only place that makes one, for lists and for exports of them."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Uuid, and_, false, func, inspect, or_, select, true
from sqlmodel import col

from billing.lists.selection import Check, Condition, Group, Logic, SelectionOutdatedError
from billing.models import Purchase, Student
from billing.models.columns import Instant

Clause = ColumnElement[bool]


def clause_of(model: type[Any], condition: Condition) -> Clause:
    """Raises SelectionOutdatedError where the table has no such column, or the value cannot be one of its."""
    column = column_of(model, condition.field)
    return CLAUSES[condition.check](column, _typed(column, condition.value))


def where_of(model: type[Any], group: Group) -> Clause:
    """Raises SelectionOutdatedError as `clause_of` does."""
    clauses = [where_of(model, one) if isinstance(one, Group) else clause_of(model, one) for one in group.parts]
    if not clauses:
        return true()
    return or_(*clauses) if group.logic is Logic.ANY else and_(*clauses)


def column_of(model: type[Any], name: str) -> Any:
    if name not in inspect(model).column_attrs:
        raise SelectionOutdatedError(f"{model.__tablename__} has no column {name}")
    return getattr(model, name)


def _typed(column: Any, value: Any) -> Any:
    """Ids and instants are text in a selection; the rest is as it was."""
    if not isinstance(value, str):
        return value
    try:
        if isinstance(column.type, Instant):
            return datetime.fromisoformat(value)
        return UUID(value) if isinstance(column.type, Uuid) else value
    except ValueError:
        raise SelectionOutdatedError(f"{column.key} holds nothing like {value!r}") from None


def _has_text(column: Any, value: Any) -> Clause:
    """Not a pattern: what people write may hold its characters."""
    return func.strpos(func.lower(column), str(value).lower()) > 0


def _of_student(column: Any, value: Any) -> Clause:
    addressed = select(col(Student.id)).where(col(Student.email) == value)
    found: Clause = column == value if isinstance(value, int) else column.in_(addressed)
    return found


def _of_purchase(column: Any, value: Any) -> Clause:
    found: Clause = column == select(col(Purchase.id)).where(col(Purchase.transaction_id) == value).scalar_subquery()
    return found


CLAUSES: Mapping[Check, Callable[[Any, Any], Clause]] = {
    Check.EQUALS: lambda column, value: column == value,
    Check.DIFFERS: lambda column, value: column != value,
    Check.AT_LEAST: lambda column, value: column >= value,
    Check.AT_MOST: lambda column, value: column <= value,
    Check.BEFORE: lambda column, value: column < value,
    Check.HAS_TEXT: _has_text,
    Check.AMONG: lambda column, value: column.in_(value),
    Check.IS_NULL: lambda column, _: column.is_(None),
    Check.IS_NOT_NULL: lambda column, _: column.is_not(None),
    Check.IS_TRUE: lambda column, _: column == true(),
    Check.IS_FALSE: lambda column, _: column == false(),
    Check.OF_STUDENT: _of_student,
    Check.OF_PURCHASE: _of_purchase,
}
