"""What a list shows, and which rows of it, in the words that a worker reads."""

from collections.abc import Collection, Mapping

from starlette.requests import Request
from starlette_admin.actions import ActionSelection
from starlette_admin.fields import BaseField
from starlette_admin.filters import FilterGroup, FilterRegistry, FilterRule
from starlette_admin.types import RequestAction
from starlette_admin.views import BaseModelView

from billing.lists.names import NAMES
from billing.lists.search import cleaned
from billing.lists.selection import Column, Condition, Group, Kind, Logic, Selection
from web.admin.lists.fields import (
    At,
    Euros,
    Facts,
    Flag,
    Hours,
    Id,
    Letter,
    Link,
    Name,
    Number,
    Target,
    Text,
    Word,
    Words,
)
from web.admin.lists.filters import Checked

KINDS: Mapping[type[BaseField], Kind] = {
    Text: Kind.TEXT,
    Name: Kind.TEXT,
    Id: Kind.TEXT,
    Word: Kind.TEXT,
    Target: Kind.TEXT,
    Number: Kind.NUMBER,
    Euros: Kind.CENTS,
    Hours: Kind.MINUTES,
    At: Kind.INSTANT,
    Flag: Kind.FLAG,
    Facts: Kind.JSON,
    Words: Kind.WORDS,
    Letter: Kind.LETTER,
}
"""A field of another kind is for a page only: who makes one that is exported says here how."""


def selection_of(request: Request, view: BaseModelView, asked: ActionSelection, wanted: Collection[str]) -> Selection:
    """With the columns of these names that the one who asks may export, all of them where none is named."""
    fields = view.get_fields_list(request, action=RequestAction.EXPORT)
    chosen = [field for field in fields if field.name in wanted] or fields
    return Selection(
        list_name=str(view.key),
        title=str(view.menu_label),
        columns=tuple(Column(name=one.name, label=str(one.label or one.name), kind=kind_of(one)) for one in chosen),
        where=_group(request, view, asked.filters or FilterGroup()),
        term=None if asked.q is None else cleaned(asked.q),
    )


def kind_of(field: BaseField) -> Kind:
    if isinstance(field, Link):
        return Kind(field.to) if field.to in NAMES else Kind.TEXT
    return KINDS[type(field)]


def _group(request: Request, view: BaseModelView, group: FilterGroup) -> Group:
    fields = {field.name: field for field in view.get_fields_list(request)}
    registry = view.get_filter_registry()
    parts: list[Condition | Group] = []
    for rule in group.rules:
        if isinstance(rule, FilterRule):
            parts.append(_condition(request, registry, fields[rule.field], rule))
        elif (inner := _group(request, view, rule)).parts:  # one without rules narrows nothing
            parts.append(inner)
    return Group(logic=Logic.ANY if group.logic == "or" else Logic.ALL, parts=tuple(parts))


def _condition(request: Request, registry: FilterRegistry, field: BaseField, rule: FilterRule) -> Condition:
    found = registry.get_filter(field, rule.filter)
    if found is None or not issubclass(found, Checked):
        raise TypeError(f"{field.name} is narrowed by {rule.filter}, of which no condition is known")
    return found().condition(rule.field, rule.value, request.scope["zone"])
