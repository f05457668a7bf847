"""Which rows of a list are wanted and how, in words that can be kept in a row and read by another process."""

from enum import StrEnum

from pydantic import BaseModel, ConfigDict, StrictInt, StrictStr

from billing.errors import PermanentError

SelectionValue = StrictInt | StrictStr | tuple[StrictStr, ...] | None


class SelectionOutdatedError(PermanentError):
    """It asks for a list, a column or a condition that there is not, or not any more."""


class Kind(StrEnum):
    """What a column holds, and so how its cells are written."""

    TEXT = "text"
    NUMBER = "number"
    CENTS = "cents"
    MINUTES = "minutes"
    INSTANT = "instant"
    FLAG = "flag"
    JSON = "json"
    WORDS = "words"
    STUDENT = "student"
    PURCHASE = "purchase"
    VERSION = "version"
    """These three by what people call the row that is pointed to."""
    LETTER = "letter"
    """The name of a dead letter, of two columns."""


class Check(StrEnum):
    """How a column is compared with the value of a condition."""

    EQUALS = "equals"
    DIFFERS = "differs"
    AT_LEAST = "at_least"
    AT_MOST = "at_most"
    BEFORE = "before"
    HAS_TEXT = "has_text"
    AMONG = "among"
    IS_NULL = "is_null"
    IS_NOT_NULL = "is_not_null"
    IS_TRUE = "is_true"
    IS_FALSE = "is_false"
    OF_STUDENT = "of_student"
    """Of a number, or of an address."""
    OF_PURCHASE = "of_purchase"
    """Of the number of a transaction."""


class Logic(StrEnum):
    ALL = "all"
    ANY = "any"


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Column(_Frozen):
    name: str
    label: str
    kind: Kind


class Condition(_Frozen):
    """Ids and instants are written as text, by the database's own rules for them."""

    field: str
    check: Check
    value: SelectionValue = None


class Group(_Frozen):
    """Without parts it lets every row pass."""

    logic: Logic = Logic.ALL
    parts: "tuple[Condition | Group, ...]" = ()


class Selection(_Frozen):
    """`list_name` is a key of `TABLES`, `title` what people call the list, `term` what was searched for."""

    list_name: str
    title: str
    columns: tuple[Column, ...]
    where: Group = Group()
    term: str | None = None
