"""Request bodies: what is taken from them, and the complaints about what cannot be."""

import re
import unicodedata
from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, StrictStr, ValidationError, WithJsonSchema

from web.emails import EMAIL_LENGTH, normalised
from web.errors import HttpError

NAME_LENGTH = 150
PUNCTUATION_OF_NAMES = " '’.-"
LARGEST_ID = 2**31 - 1
HIGHEST_PRICE_EUROS = 1_000_000

DIGITS = re.compile(r"[0-9]{1,19}")
AMOUNT = re.compile(r"[0-9]{1,9}(\.[0-9]{1,2})?")


def _is_of_a_name(character: str) -> bool:
    return unicodedata.category(character)[0] in "LM" or character in PUNCTUATION_OF_NAMES


def _buyer_name(value: str) -> str:
    name = value.strip()
    if not 0 < len(name) <= NAME_LENGTH:
        raise ValueError(f"must have 1 to {NAME_LENGTH} characters")
    if not all(_is_of_a_name(character) for character in name):
        raise ValueError("may have letters, spaces, apostrophes, full stops and hyphens only")
    return name


def _plan_id(value: object) -> int:
    """Beyond the range of a plan's id there is no plan, and 0 names none either."""
    if isinstance(value, str) and DIGITS.fullmatch(value):
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError("must be an integer")  # noqa: TRY004  # what pydantic makes a complaint of
    return value if 0 < value <= LARGEST_ID else 0


def _cents(value: object) -> int:
    amount = _amount(value)
    if not 0 < amount <= HIGHEST_PRICE_EUROS:
        raise ValueError(f"must be positive and at most {HIGHEST_PRICE_EUROS}")
    if int(amount.as_tuple().exponent) < -2:
        raise ValueError("may have two places at most")
    return int(amount * 100)


def _amount(value: object) -> Decimal:
    if isinstance(value, str) and AMOUNT.fullmatch(value):
        return Decimal(value)
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise ValueError('must be an amount such as "140.00"')  # noqa: TRY004  # what pydantic makes a complaint of
    return Decimal(value)


AS_NAME = {
    "type": "string",
    "minLength": 1,
    "maxLength": NAME_LENGTH,
    "description": "Letters of any script, marks, spaces, apostrophes, full stops and hyphens; it is trimmed.",
}
AS_EMAIL = {"type": "string", "format": "email", "maxLength": EMAIL_LENGTH}
AS_PLAN_ID = {
    "anyOf": [
        {"type": "integer", "minimum": 1, "maximum": LARGEST_ID},
        {"type": "string", "pattern": f"^{DIGITS.pattern}$"},
    ]
}
AS_PRICE = {
    "description": "What the buyer was shown: another price than the present one is refused. In euros.",
    "anyOf": [
        {"type": "string", "pattern": f"^{AMOUNT.pattern}$"},
        {"type": "number", "exclusiveMinimum": 0, "maximum": HIGHEST_PRICE_EUROS, "multipleOf": 0.01},
    ],
}
"""What is read here, as the OpenAPI document tells it."""

BuyerName = Annotated[StrictStr, AfterValidator(_buyer_name), WithJsonSchema(AS_NAME)]
Email = Annotated[StrictStr, AfterValidator(normalised), WithJsonSchema(AS_EMAIL)]
PlanId = Annotated[int, BeforeValidator(_plan_id), WithJsonSchema(AS_PLAN_ID)]
Cents = Annotated[int, BeforeValidator(_cents), WithJsonSchema(AS_PRICE)]


class Body(BaseModel):
    """Fields nobody knows are ignored: callers may be newer than we are."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Self:
        """Raises HttpError 400 that names every wrong field, the first of them in its message."""
        try:
            return cls.model_validate(given)
        except ValidationError as error:
            raise _complaint(error) from None


class StudentInfo(Body):
    name: BuyerName
    email: Email


class PurchaseBody(Body):
    """A wish to buy. The price in it is what the buyer was shown, never what he pays."""

    plan_id: PlanId
    student_info: StudentInfo
    expected_price_eur: Cents | None = None
    """Held in cents, once it is read."""


COMPLAINTS: Mapping[str, str] = {
    "missing": "is required",
    "string_type": "must be a string",
    "model_type": "must be an object",
}


def _complaint(error: ValidationError) -> HttpError:
    found: dict[str, list[str]] = {}
    for detail in error.errors(include_url=False, include_input=False, include_context=False):
        path = ".".join(str(part) for part in detail["loc"])
        words = COMPLAINTS.get(detail["type"]) or detail["msg"].removeprefix("Value error, ")
        found.setdefault(path, []).append(words)
    path, words = next((path, words[0]) for path, words in found.items())
    return HttpError(400, "validation_error", f"{path}: {words}", field_errors=found)
