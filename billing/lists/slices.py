"""The rows of a selection one slice after the other, in the order of their keys."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Uuid, inspect, select, tuple_
from sqlmodel import Session

from billing.lists.conditions import Clause, column_of, where_of
from billing.lists.names import names_of
from billing.lists.selection import Column, Kind, Selection, SelectionOutdatedError
from billing.lists.tables import TABLES, Table

Key = Sequence[Any]


@dataclass(frozen=True, slots=True)
class Slice:
    """`rows` have a value for each column; `last` is the key of the last of them, None where there is none."""

    rows: Sequence[Sequence[Any]]
    names: dict[tuple[Kind, Any], str]
    last: Key | None
    has_more: bool


def read_slice(session: Session, selection: Selection, after: Key | None, most: int) -> Slice:
    """At most so many rows, of those whose keys come after this one.

    Raises SelectionOutdatedError where the list, a column or a condition is not there any more.
    """
    table = TABLES.get(selection.list_name)
    if table is None:
        raise SelectionOutdatedError(f"there is no list {selection.list_name}")
    keys = [getattr(table.model, column.key) for column in inspect(table.model).primary_key]
    wanted = select(*keys, *(_expression(table.model, column) for column in selection.columns))
    wanted = wanted.where(where_of(table.model, selection.where), *_found(session, table, selection.term))
    if after is not None:
        wanted = wanted.where(_beyond(keys, after))
    read = session.execute(wanted.order_by(*keys).limit(most + 1)).all()
    kept = read[:most]
    rows = [row[len(keys) :] for row in kept]
    last = [_as_json(value) for value in kept[-1][: len(keys)]] if kept else None
    kinds = [column.kind for column in selection.columns]
    pointed = ((kind, value) for row in rows for kind, value in zip(kinds, row, strict=True))
    return Slice(rows, names_of(session, pointed), last, has_more=len(read) > most)


def _expression(model: type[Any], column: Column) -> Any:
    """Of columns that are asked for twice each is one of its own."""
    if column.kind is Kind.LETTER:
        return (column_of(model, "kind") + ":" + column_of(model, "subject")).label(None)
    return column_of(model, column.name).label(None)


def _found(session: Session, table: Table, term: str | None) -> Sequence[Clause]:
    return () if term is None else (table.search.clause(term, table.search.students(session, term)),)


def _beyond(keys: Sequence[Any], after: Key) -> Clause:
    if len(keys) != len(after):
        raise SelectionOutdatedError("the keys of the list are not those of then")
    values = [UUID(value) if isinstance(key.type, Uuid) else value for key, value in zip(keys, after, strict=True)]
    found: Clause = keys[0] > values[0] if len(keys) == 1 else tuple_(*keys) > tuple_(*values)
    return found


def _as_json(value: Any) -> Any:
    return str(value) if isinstance(value, UUID) else value
