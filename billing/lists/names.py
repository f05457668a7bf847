"""How the rows are called that others point to."""

from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import ARRAY, Select, any_, cast, select
from sqlmodel import col

from billing.lists.selection import Kind
from billing.models import PricingPlanVersion, Purchase, Student

NAMES: Mapping[Kind, tuple[Any, Any]] = {
    Kind.STUDENT: (col(Student.id), col(Student.email)),
    Kind.PURCHASE: (col(Purchase.id), col(Purchase.transaction_id)),
    Kind.VERSION: (col(PricingPlanVersion.id), col(PricingPlanVersion.name)),
}


def named(kind: Kind, ids: Iterable[Any]) -> Select[Any]:
    """Keys and names, in one statement for however many."""
    key, name = NAMES[kind]
    return select(key, name).where(key == any_(cast([*ids], ARRAY(key.type))))
