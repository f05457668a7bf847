"""What staff can ask for of plans. What a plan may promise is not said here but in its terms."""

from datetime import datetime
from typing import Annotated, ClassVar, TypeVar

from pydantic import AfterValidator, Field

from billing.plans.terms import CURRENCY, Terms
from billing.staff.wishes import Wish
from billing.states import PlanType, StaffAction

T = TypeVar("T")

MOST_PLANS = 100
"""That are set together."""

LAST_PLACE = 10_000
LARGEST_ID = 2**31 - 1


def _is_unsaid(value: object) -> bool:
    """It is left out of the row, and of what an Idempotency-Key stands for, as if there were no such field."""
    return value is None


def _each_once(ids: tuple[int, ...]) -> tuple[int, ...]:
    """In the order in which they were written."""
    return tuple(dict.fromkeys(ids))


PlanNumber = Annotated[int, Field(ge=0, le=LARGEST_ID)]
Plans = Annotated[tuple[PlanNumber, ...], Field(min_length=1, max_length=MOST_PLANS), AfterValidator(_each_once)]
Place = Annotated[int, Field(ge=0, le=LAST_PLACE)]
Words = Annotated[str, Field(pattern=r"^[^\x00]*$")]


class CreatePlan(Wish):
    """A plan that was not there; without `effective_from` it counts at once, without a place it comes last."""

    action: ClassVar[StaffAction] = StaffAction.CREATE_PLAN
    name: Words
    description: Words = ""
    plan_type: PlanType
    minutes: int
    price_cents: int
    currency: Words = CURRENCY
    validity_days: int | None = None
    rollover_minutes: int | None = None
    effective_from: datetime | None = None
    is_active: bool = True
    is_featured: bool = False
    display_order: Place | None = None

    @property
    def target(self) -> str:
        return "plans"

    @property
    def terms(self) -> Terms:
        return Terms(
            name=self.name,
            description=self.description,
            plan_type=self.plan_type,
            minutes=self.minutes,
            price_cents=self.price_cents,
            currency=self.currency,
            validity_days=self.validity_days,
            rollover_minutes=self.rollover_minutes,
        )


class EditPlan(Wish):
    """Other terms from `effective_from` on, or from now on: what is None stays as it is.

    `expected_version` is the newest one that its author has seen; None: whichever is the newest by then. Of
    `validity_days` and `rollover_minutes` 0 is none. How the plan is shown is of no version, and counts at once.
    """

    action: ClassVar[StaffAction] = StaffAction.EDIT_PLAN
    plan_id: PlanNumber
    expected_version: int | None = None
    name: Words | None = None
    description: Words | None = None
    plan_type: PlanType | None = None
    minutes: int | None = None
    price_cents: int | None = None
    currency: Words | None = None
    validity_days: int | None = None
    rollover_minutes: int | None = None
    effective_from: datetime | None = None
    is_active: bool | None = Field(default=None, exclude_if=_is_unsaid)
    is_featured: bool | None = Field(default=None, exclude_if=_is_unsaid)
    display_order: Place | None = Field(default=None, exclude_if=_is_unsaid)

    @property
    def target(self) -> str:
        return f"plan:{self.plan_id}"

    @property
    def is_shown_otherwise(self) -> bool:
        return (self.is_active, self.is_featured, self.display_order) != (None, None, None)

    def edited(self, terms: Terms) -> Terms:
        """These terms with what is to be otherwise."""
        return Terms(
            name=_or(self.name, terms.name),
            description=_or(self.description, terms.description),
            plan_type=self.plan_type or terms.plan_type,
            minutes=_or(self.minutes, terms.minutes),
            price_cents=_or(self.price_cents, terms.price_cents),
            currency=_or(self.currency, terms.currency),
            validity_days=_or(self.validity_days, terms.validity_days) or None,
            rollover_minutes=_or(self.rollover_minutes, terms.rollover_minutes) or None,
        )


class SetPlans(Wish):
    """Whether plans are on sale, and how they are shown: all of them, or none. What is None stays as it is.

    The first of them gets the place `display_order`, each further one the next place. `expected_version` is the newest
    one that their author has seen of each; None: whichever it is.
    """

    action: ClassVar[StaffAction] = StaffAction.SET_PLANS
    plan_ids: Plans
    is_active: bool | None = None
    is_featured: bool | None = None
    display_order: Place | None = None
    expected_version: int | None = Field(default=None, exclude_if=_is_unsaid)

    @property
    def target(self) -> str:
        return f"plan:{self.plan_ids[0]}" if len(self.plan_ids) == 1 else "plans"


def _or(asked: T | None, present: T) -> T:
    return present if asked is None else asked
