"""What a list can be narrowed to, in the words of people: euros, hours, business time, a student by address."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, func, select
from sqlmodel import col
from starlette_admin.contrib.sqla import filters as sqla
from starlette_admin.filters.base import BaseFilter, FilterApplyContext, FilterDataType, FilterValidationError
from starlette_admin.filters.date import DateTimeEqualFilter

from billing.models import Purchase, Student

LARGEST = 2**63 - 1
LARGEST_INTEGER = 2**31 - 1
NUMBER = re.compile(r"-?[0-9]{1,19}", re.ASCII)


def whole_number(raw: str, largest: int = LARGEST) -> int:
    if not NUMBER.fullmatch(raw.strip()) or abs(int(raw)) > largest:
        raise FilterValidationError(f"{raw!r} is no number that can be here")
    return int(raw)


def scaled(raw: str, by: int) -> int:
    """Euros in cents, or hours in minutes."""
    try:
        found = int((Decimal(raw) * by).to_integral_value())
    except (InvalidOperation, ValueError, OverflowError):
        raise FilterValidationError(f"{raw!r} is no number") from None
    if abs(found) > LARGEST_INTEGER:
        raise FilterValidationError(f"{raw!r} is no number that can be here")
    return found


class Equals(sqla.NumericEqualFilter):
    def parse_value(self, raw: Any) -> int:
        return whole_number(str(raw))


class AtLeast(sqla.GreaterThanOrEqualFilter):
    def parse_value(self, raw: Any) -> int:
        return whole_number(str(raw))


class AtMost(sqla.LessThanOrEqualFilter):
    def parse_value(self, raw: Any) -> int:
        return whole_number(str(raw))


class _OfHundred:
    def parse_value(self, raw: Any) -> int:
        return scaled(str(raw), 100)


class _OfSixty:
    def parse_value(self, raw: Any) -> int:
        return scaled(str(raw), 60)


class CentsEqual(_OfHundred, sqla.NumericEqualFilter):
    pass


class CentsAtLeast(_OfHundred, sqla.GreaterThanOrEqualFilter):
    pass


class CentsAtMost(_OfHundred, sqla.LessThanOrEqualFilter):
    pass


class MinutesEqual(_OfSixty, sqla.NumericEqualFilter):
    pass


class MinutesAtLeast(_OfSixty, sqla.GreaterThanOrEqualFilter):
    pass


class MinutesAtMost(_OfSixty, sqla.LessThanOrEqualFilter):
    pass


class _Instant(DateTimeEqualFilter):
    """Written without a zone, as browsers do, it is the business's."""

    def parse_value(self, raw: Any) -> datetime:
        try:
            return datetime.fromisoformat(str(raw))
        except ValueError:
            raise FilterValidationError(f"{raw!r} is no date and time") from None


def _aware(ctx: FilterApplyContext) -> datetime:
    at: datetime = ctx.value
    zone = UTC if ctx.request is None else ctx.request.scope["zone"]
    return at if at.tzinfo else at.replace(tzinfo=zone)


def _column(ctx: FilterApplyContext) -> Any:
    return getattr(ctx.view.model, ctx.field_name)  # type: ignore[union-attr]  # of a list over a table


class From(_Instant):
    name, label = "from", "Is at or after"

    def apply(self, ctx: FilterApplyContext) -> ColumnElement[bool]:
        found: ColumnElement[bool] = _column(ctx) >= _aware(ctx)
        return found


class Before(_Instant):
    name, label = "before", "Is before"

    def apply(self, ctx: FilterApplyContext) -> ColumnElement[bool]:
        found: ColumnElement[bool] = _column(ctx) < _aware(ctx)
        return found


class _OfName(sqla.EqualFilter):
    data_type = FilterDataType.STRING


class IsUuid(_OfName):
    def parse_value(self, raw: Any) -> UUID:
        try:
            return UUID(str(raw).strip())
        except ValueError:
            raise FilterValidationError(f"{raw!r} is no id") from None


class OfStudent(_OfName):
    """By number or address."""

    label = "Is (number or e-mail)"

    def parse_value(self, raw: Any) -> int | str:
        given = str(raw).strip()
        return whole_number(given) if given.isdigit() else given.lower()

    def apply(self, ctx: FilterApplyContext) -> ColumnElement[bool]:
        whose = _column(ctx)
        addressed = select(col(Student.id)).where(col(Student.email) == ctx.value)
        found: ColumnElement[bool] = whose == ctx.value if isinstance(ctx.value, int) else whose.in_(addressed)
        return found


class OfPurchase(_OfName):
    """By the number of its transaction."""

    label = "Is (transaction)"
    data_type = FilterDataType.NUMBER

    def parse_value(self, raw: Any) -> int:
        return whole_number(str(raw))

    def apply(self, ctx: FilterApplyContext) -> ColumnElement[bool]:
        number = select(col(Purchase.id)).where(col(Purchase.transaction_id) == ctx.value).scalar_subquery()
        found: ColumnElement[bool] = _column(ctx) == number
        return found


class HasText(sqla.ContainsFilter):
    def apply(self, ctx: FilterApplyContext) -> ColumnElement[bool]:
        return func.strpos(func.lower(_column(ctx)), str(ctx.value).lower()) > 0


NONE = (sqla.IsNullFilter, sqla.IsNotNullFilter)
NUMBERS: Sequence[type[BaseFilter]] = (Equals, AtLeast, AtMost, *NONE)
CENTS: Sequence[type[BaseFilter]] = (CentsEqual, CentsAtLeast, CentsAtMost, *NONE)
MINUTES: Sequence[type[BaseFilter]] = (MinutesEqual, MinutesAtLeast, MinutesAtMost, *NONE)
INSTANTS: Sequence[type[BaseFilter]] = (From, Before, *NONE)
TEXTS: Sequence[type[BaseFilter]] = (HasText, sqla.EqualFilter, *NONE)
WHOLE: Sequence[type[BaseFilter]] = (sqla.EqualFilter, *NONE)
WORDS: Sequence[type[BaseFilter]] = (sqla.EqualFilter, sqla.NotEqualFilter, sqla.InFilter, *NONE)
UUIDS: Sequence[type[BaseFilter]] = (IsUuid, *NONE)
STUDENTS: Sequence[type[BaseFilter]] = (OfStudent, *NONE)
PURCHASES: Sequence[type[BaseFilter]] = (OfPurchase, *NONE)
