"""Bodies of what staff ask for of plans; how much of each there may be is said by the terms of plans."""

from decimal import Decimal
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, StrictStr, WithJsonSchema

from billing.plans.terms import (
    CURRENCY,
    DESCRIPTION_LENGTH,
    HIGHEST_CENTS,
    LONGEST_DAYS,
    MOST_MINUTES,
    NAME_LENGTH,
)
from billing.staff.plan_wishes import LARGEST_ID, LAST_PLACE, MOST_PLANS, CreatePlan, EditPlan, SetPlans
from billing.states import PlanType
from web.errors import invalid
from web.hour_schemas import AS_HOURS, AS_INSTANT, Instant
from web.schemas import AMOUNT, Body
from web.staff.bodies import Flag, Reason

HIGHEST_EUROS = HIGHEST_CENTS // 100


def _whole(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError("must be an integer")  # noqa: TRY004  # what pydantic makes a complaint of
    return value


def _trimmed(value: str) -> str:
    text = value.replace("\r\n", "\n").strip()
    if "\0" in text:
        raise ValueError("must have visible characters only")
    return text


def _plan_type(value: object) -> object:
    if not isinstance(value, str) or value not in list(PlanType):
        raise ValueError(f"must be one of: {', '.join(PlanType)}")
    return value


def _exactly(value: object, places: int, of: str) -> int:
    """An amount in hundredths, or hours in minutes. Raises ValueError where something would be left over."""
    if isinstance(value, str) and AMOUNT.fullmatch(value):
        value = Decimal(value)
    if isinstance(value, bool) or not isinstance(value, int | Decimal) or not -(10**9) < value < 10**9:
        raise ValueError(of)
    parts = Decimal(value) * places
    if parts != int(parts):
        raise ValueError("may have two places at most" if places == 100 else "must be a whole number of minutes")
    return int(parts)


def _cents(value: object) -> int:
    return _exactly(value, 100, 'must be an amount such as "140.00"')


def _minutes(value: object) -> int:
    return _exactly(value, 60, 'must be a number of hours such as "1.50"')


def _plan_ids(value: object) -> tuple[int, ...]:
    """In their order, each once. Beyond the range of these numbers there is no plan, and 0 names none either."""
    if not isinstance(value, list) or not 0 < len(value) <= MOST_PLANS:
        raise ValueError(f"must be a list of 1 to {MOST_PLANS} numbers of plans")
    numbers = [_whole(one) for one in value]
    return tuple(dict.fromkeys(number if 0 < number <= LARGEST_ID else 0 for number in numbers))


def _place(value: object) -> int:
    place = _whole(value)
    if not 0 <= place <= LAST_PLACE:
        raise ValueError(f"must be from 0 to {LAST_PLACE}")
    return place


AS_NAME = {
    "type": "string",
    "minLength": 1,
    "maxLength": NAME_LENGTH,
    "description": "Of no other active plan, now or later; it is trimmed.",
}
AS_DESCRIPTION = {"type": "string", "maxLength": DESCRIPTION_LENGTH}
AS_TYPE = {"type": "string", "enum": [*PlanType]}
AS_PRICE = {
    "description": "In euros.",
    "anyOf": [
        {"type": "string", "pattern": f"^{AMOUNT.pattern}$"},
        {"type": "number", "exclusiveMinimum": 0, "maximum": HIGHEST_EUROS, "multipleOf": 0.01},
    ],
}
AS_VALIDITY = {
    "type": ["integer", "null"],
    "minimum": 1,
    "maximum": LONGEST_DAYS,
    "description": "Of a package: for so many days after the day of payment its hours can be taken.",
}
AS_ROLLOVER = {
    "type": ["integer", "null"],
    "minimum": 1,
    "maximum": MOST_MINUTES,
    "description": "Of a subscription: how much of what a period leaves lives on in the next one; null: nothing.",
}
AS_BEGIN = {
    **AS_INSTANT,
    "description": "From when on it counts, within two years; absent: at once. By the real time, also in a sandbox "
    "whose clock was moved.",
}
AS_VERSION = {
    "type": ["integer", "null"],
    "minimum": 1,
    "description": "The newest version that the caller has seen: where there is a newer one, nothing is done. Absent: "
    "whichever is the newest by then.",
}
AS_PLACE = {"type": "integer", "minimum": 0, "maximum": LAST_PLACE}
AS_PLANS = {
    "type": "array",
    "items": {"type": "integer", "minimum": 1, "maximum": LARGEST_ID},
    "minItems": 1,
    "maxItems": MOST_PLANS,
    "description": "One that comes twice counts once.",
}
"""What is read here, as the OpenAPI document tells it."""

Name = Annotated[StrictStr, AfterValidator(_trimmed), WithJsonSchema(AS_NAME)]
Description = Annotated[StrictStr, AfterValidator(_trimmed), WithJsonSchema(AS_DESCRIPTION)]
Kind = Annotated[PlanType, BeforeValidator(_plan_type), WithJsonSchema(AS_TYPE)]
Hours = Annotated[int, BeforeValidator(_minutes), WithJsonSchema(AS_HOURS)]
Cents = Annotated[int, BeforeValidator(_cents), WithJsonSchema(AS_PRICE)]
Currency = Annotated[StrictStr, AfterValidator(_trimmed), WithJsonSchema({"type": "string", "enum": [CURRENCY]})]
Days = Annotated[int, BeforeValidator(_whole)]
Minutes = Annotated[int, BeforeValidator(_whole)]
Begin = Annotated[Instant, WithJsonSchema(AS_BEGIN)]
Place = Annotated[int, BeforeValidator(_place), WithJsonSchema(AS_PLACE)]
Version = Annotated[int, BeforeValidator(_whole)]
Plans = Annotated[tuple[int, ...], BeforeValidator(_plan_ids), WithJsonSchema(AS_PLANS)]


SHOWN = ("is_active", "is_featured", "display_order")
"""Facts of a plan that are of no version."""

NULLABLE = ("validity_days", "rollover_minutes")
TERMS = ("name", "description", "plan_type", "hours_included", "price_eur", "currency", *NULLABLE)


class PlanBody(Body):
    """A plan that is not there yet. A package needs `validity_days`, and a subscription has none."""

    name: Name
    description: Description = ""
    plan_type: Kind
    hours_included: Hours
    price_eur: Cents
    currency: Currency = CURRENCY
    validity_days: Annotated[Days | None, WithJsonSchema(AS_VALIDITY)] = None
    rollover_minutes: Annotated[Minutes | None, WithJsonSchema(AS_ROLLOVER)] = None
    effective_from: Begin | None = None
    is_active: Flag = True
    is_featured: Flag = False
    display_order: Place | None = None
    reason: Reason

    @property
    def wish(self) -> CreatePlan:
        given = self.model_dump(exclude={"hours_included", "price_eur", "reason"})
        return CreatePlan(**given, minutes=self.hours_included, price_cents=self.price_eur)


class PlanEditBody(Body):
    """What is to be otherwise, from `effective_from` on; what is absent stays as it is.

    `is_active`, `is_featured` and `display_order` are of no version: they count at once.
    """

    expected_version: Annotated[Version | None, WithJsonSchema(AS_VERSION)] = None
    name: Name | None = None
    description: Description | None = None
    plan_type: Kind | None = None
    hours_included: Hours | None = None
    price_eur: Cents | None = None
    currency: Currency | None = None
    validity_days: Annotated[Days | None, WithJsonSchema(AS_VALIDITY)] = None
    rollover_minutes: Annotated[Minutes | None, WithJsonSchema(AS_ROLLOVER)] = None
    effective_from: Begin | None = None
    is_active: Flag | None = None
    is_featured: Flag | None = None
    display_order: Place | None = None
    reason: Reason

    def wish(self, plan_id: int) -> EditPlan | SetPlans:
        """Where the plan is only shown otherwise, it is set as with others: no new version is made.

        A null where null means something is 0, for "as it is" is the other thing that nothing can mean.
        Raises HttpError 400 for an instant that nothing would wait for.
        """
        given: dict[str, Any] = self.model_dump(exclude={"hours_included", "price_eur", "reason"})
        shown = {name: given[name] for name in SHOWN if given[name] is not None}
        if shown and not self._says_terms:
            if self.effective_from is not None:
                raise invalid("effective_from", f"is of what a plan says; {', '.join(shown)} would count at once")
            return SetPlans(plan_ids=(plan_id,), expected_version=self.expected_version, **shown)
        none = {name: 0 for name in NULLABLE if self._is_null(name)}
        return EditPlan(plan_id=plan_id, minutes=self.hours_included, price_cents=self.price_eur, **{**given, **none})

    @property
    def _says_terms(self) -> bool:
        return any(getattr(self, name) is not None for name in TERMS) or any(self._is_null(name) for name in NULLABLE)

    def _is_null(self, name: str) -> bool:
        return name in self.model_fields_set and getattr(self, name) is None


class PlansBody(Body):
    """All of them, or none; the first gets the place `display_order`, each further one the next place."""

    plan_ids: Plans
    is_active: Flag | None = None
    is_featured: Flag | None = None
    display_order: Place | None = None
    reason: Reason

    @property
    def wish(self) -> SetPlans:
        return SetPlans(**self.model_dump(exclude={"reason"}))

    @property
    def says_something(self) -> bool:
        return (self.is_active, self.is_featured, self.display_order) != (None, None, None)
