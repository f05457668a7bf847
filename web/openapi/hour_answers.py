"""What answers about booked hours look like."""

from typing import Literal
from uuid import UUID

from pydantic import Field, RootModel

from billing.states import ActState, ConsumptionActKind, ConsumptionMode, ConsumptionState
from web.openapi.answers import MAYBE, Absent, Hours, Instant, Path, Shape


class HourAct(Shape):
    """Something that was asked for; `minutes` is null where the whole was meant."""

    id: UUID
    act: ConsumptionActKind
    status: ActState
    error_type: str | Absent = MAYBE
    minutes: int | None
    hours: Hours | None
    reason: str | Absent = MAYBE
    requested_at: Instant
    decided_at: Instant | None


class HourStudent(Shape):
    id: int
    email: str
    name: str
    external_id: str | Absent = MAYBE


class HourPackage(Shape):
    transaction_id: int | None = Field(description="Null for hours that were not bought.")
    minutes: int
    hours: Hours


class HourConsumption(Shape):
    """The hours of one student for one session. Minutes are exact; hours are rounded half up."""

    success: Literal[True]
    id: UUID
    session_id: str
    mode: ConsumptionMode
    status: ConsumptionState
    minutes: int = Field(description="As booked.")
    hours: Hours
    minutes_held: int
    hours_held: Hours
    minutes_consumed: int = Field(description="Taken, less what was given back.")
    hours_consumed: Hours
    minutes_returned: int
    hours_returned: Hours
    ends_at: Instant | None = Field(description="Of a hold, which lapses 24 hours after it.")
    error_type: str | Absent = MAYBE
    student: HourStudent
    packages: list[HourPackage] = Field(description="What is taken from each package, or held in it, now.")
    requested_at: Instant
    decided_at: Instant | None
    acts: list[HourAct] = Field(description="Everything that was asked about it, the oldest first.")


class HourGroup(Shape):
    """The hours of all students who were booked together."""

    success: Literal[True]
    id: UUID
    session_id: str
    mode: ConsumptionMode
    status: ConsumptionState = Field(
        description="The first of `requested`, `held`, `consumed`, `refunded`, `released`, `lapsed` and `refused` "
        "in which any of them is."
    )
    consumptions: list[HourConsumption]


class HourBooking(RootModel[HourConsumption | HourGroup]):
    """Of one student, or of a group."""


class HourActStatus(HourAct):
    """What became of it, and of what it is about."""

    success: Literal[True]
    consumption: HourConsumption | HourGroup


class BookingAccepted(Shape):
    """The wish is committed; a worker decides it next."""

    success: Literal[True]
    id: UUID
    status: ConsumptionState = Field(description="`requested`; of a repeated request the state of now.")
    status_url: Path


class ActAccepted(Shape):
    """The wish is committed; a worker decides it next."""

    success: Literal[True]
    id: UUID = Field(description="Of the act.")
    status: ActState = Field(description="`requested`; of a repeated request the state of now.")
    status_url: Path
