"""What a list can be narrowed to, in the words of people: euros, hours, business time, a student by address."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime, tzinfo
from decimal import Decimal, InvalidOperation
from typing import Any, ClassVar
from uuid import UUID

from starlette_admin.contrib.sqla import filters as sqla
from starlette_admin.filters.base import BaseFilter, FilterApplyContext, FilterDataType, FilterValidationError
from starlette_admin.filters.date import DateTimeEqualFilter

from billing.lists.conditions import Clause, clause_of
from billing.lists.selection import Check, Condition, SelectionValue

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


class Checked(BaseFilter):
    """Each narrows a list by the condition that an export of the list keeps: the two cannot differ."""

    check: ClassVar[Check]

    def condition(self, field: str, value: Any, zone: tzinfo) -> Condition:
        """Of a value as `parse_value` gave it; instants without a zone are of this one."""
        kept = None if self.data_type is FilterDataType.NONE else canonical(value, zone)
        return Condition(field=field, check=self.check, value=kept)

    def apply(self, ctx: FilterApplyContext) -> Clause:
        zone = UTC if ctx.request is None else ctx.request.scope["zone"]
        return clause_of(ctx.view.model, self.condition(ctx.field_name, ctx.value, zone))  # type: ignore[union-attr]


def canonical(value: Any, zone: tzinfo) -> SelectionValue:
    if isinstance(value, datetime):
        return (value if value.tzinfo else value.replace(tzinfo=zone)).isoformat()
    if isinstance(value, list):
        return tuple(value)
    return value if isinstance(value, int) else str(value)


class _Whole(Checked):
    def parse_value(self, raw: Any) -> int:
        return whole_number(str(raw))


class Equals(_Whole, sqla.NumericEqualFilter):
    check = Check.EQUALS


class AtLeast(_Whole, sqla.GreaterThanOrEqualFilter):
    check = Check.AT_LEAST


class AtMost(_Whole, sqla.LessThanOrEqualFilter):
    check = Check.AT_MOST


class _OfHundred(Checked):
    def parse_value(self, raw: Any) -> int:
        return scaled(str(raw), 100)


class _OfSixty(Checked):
    def parse_value(self, raw: Any) -> int:
        return scaled(str(raw), 60)


class CentsEqual(_OfHundred, sqla.NumericEqualFilter):
    check = Check.EQUALS


class CentsAtLeast(_OfHundred, sqla.GreaterThanOrEqualFilter):
    check = Check.AT_LEAST


class CentsAtMost(_OfHundred, sqla.LessThanOrEqualFilter):
    check = Check.AT_MOST


class MinutesEqual(_OfSixty, sqla.NumericEqualFilter):
    check = Check.EQUALS


class MinutesAtLeast(_OfSixty, sqla.GreaterThanOrEqualFilter):
    check = Check.AT_LEAST


class MinutesAtMost(_OfSixty, sqla.LessThanOrEqualFilter):
    check = Check.AT_MOST


class _Instant(Checked, DateTimeEqualFilter):
    """Written without a zone, as browsers do, it is the business's."""

    def parse_value(self, raw: Any) -> datetime:
        try:
            return datetime.fromisoformat(str(raw))
        except ValueError:
            raise FilterValidationError(f"{raw!r} is no date and time") from None


class From(_Instant):
    name, label, check = "from", "Is at or after", Check.AT_LEAST


class Before(_Instant):
    name, label, check = "before", "Is before", Check.BEFORE


class _OfText(Checked):
    def parse_value(self, raw: Any) -> str:
        return str(raw)


class Is(_OfText, sqla.EqualFilter):
    check = Check.EQUALS


class IsNot(_OfText, sqla.NotEqualFilter):
    check = Check.DIFFERS


class IsAmong(Checked, sqla.InFilter):
    check = Check.AMONG


class HasText(_OfText, sqla.ContainsFilter):
    check = Check.HAS_TEXT


class IsUuid(Checked, sqla.EqualFilter):
    check = Check.EQUALS

    def parse_value(self, raw: Any) -> UUID:
        try:
            return UUID(str(raw).strip())
        except ValueError:
            raise FilterValidationError(f"{raw!r} is no id") from None


class OfStudent(Checked, sqla.EqualFilter):
    """By number or address."""

    label, check = "Is (number or e-mail)", Check.OF_STUDENT

    def parse_value(self, raw: Any) -> int | str:
        given = str(raw).strip()
        return whole_number(given) if given.isdigit() else given.lower()


class OfPurchase(Checked, sqla.EqualFilter):
    """By the number of its transaction."""

    label, check = "Is (transaction)", Check.OF_PURCHASE
    data_type = FilterDataType.NUMBER

    def parse_value(self, raw: Any) -> int:
        return whole_number(str(raw))


class IsNull(Checked, sqla.IsNullFilter):
    check = Check.IS_NULL


class IsNotNull(Checked, sqla.IsNotNullFilter):
    check = Check.IS_NOT_NULL


class IsTrue(Checked, sqla.IsTrueFilter):
    check = Check.IS_TRUE


class IsFalse(Checked, sqla.IsFalseFilter):
    check = Check.IS_FALSE


Filters = Sequence[type[Checked]]
NONE: Filters = (IsNull, IsNotNull)
NUMBERS: Filters = (Equals, AtLeast, AtMost, *NONE)
CENTS: Filters = (CentsEqual, CentsAtLeast, CentsAtMost, *NONE)
MINUTES: Filters = (MinutesEqual, MinutesAtLeast, MinutesAtMost, *NONE)
INSTANTS: Filters = (From, Before, *NONE)
TEXTS: Filters = (HasText, Is, *NONE)
WHOLE: Filters = (Is, *NONE)
WORDS: Filters = (Is, IsNot, IsAmong, *NONE)
FLAGS: Filters = (IsTrue, IsFalse, *NONE)
UUIDS: Filters = (IsUuid, *NONE)
STUDENTS: Filters = (OfStudent, *NONE)
PURCHASES: Filters = (OfPurchase, *NONE)
