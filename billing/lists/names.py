"""How the rows are called that others point to."""

from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import ARRAY, Select, any_, cast, select
from sqlmodel import Session, col

from billing.lists.selection import Kind
from billing.models import PricingPlanVersion, Purchase, Student

NAMES: Mapping[Kind, tuple[Any, Any]] = {
    Kind.STUDENT: (col(Student.id), col(Student.email)),
    Kind.PURCHASE: (col(Purchase.id), col(Purchase.transaction_id)),
    Kind.VERSION: (col(PricingPlanVersion.id), col(PricingPlanVersion.name)),
}


def names_of(session: Session, pointed: Iterable[tuple[Kind, Any]]) -> dict[tuple[Kind, Any], str]:
    """Of all that rows point to, which may be nothing: a statement for each kind that has names."""
    keys: dict[Kind, set[Any]] = {}
    for kind, key in pointed:
        if kind in NAMES and key is not None:
            keys.setdefault(kind, set()).add(key)
    return {(kind, row[0]): str(row[1]) for kind in keys for row in session.execute(_named(kind, keys[kind]))}


def _named(kind: Kind, keys: Iterable[Any]) -> Select[Any]:
    """In one statement for however many."""
    key, name = NAMES[kind]
    return select(key, name).where(key == any_(cast([*keys], ARRAY(key.type))))
