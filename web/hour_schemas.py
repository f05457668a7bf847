"""Bodies about hours: whose, how many, for which session. Whole minutes, whichever way they are written."""

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, StrictStr, ValidationInfo, WithJsonSchema, field_validator

from billing.consumptions.accept import Named
from billing.states import ConsumptionMode
from web.errors import invalid
from web.schemas import Body, Email

LONGEST_HOURS = 1_000
LONGEST_MINUTES = LONGEST_HOURS * 60
MOST_STUDENTS = 100
SESSION_LENGTH = 200
EXTERNAL_ID_LENGTH = 255
REASON_LENGTH = 500
FARTHEST = timedelta(days=366)

DECIMAL = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?", re.ASCII)
INSTANT = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?(Z|[+-][0-9]{2}:[0-9]{2})"
)


def _session_id(value: str) -> str:
    if not 0 < len(value) <= SESSION_LENGTH or not value.isprintable() or " " in value:
        raise ValueError(f"must have 1 to {SESSION_LENGTH} visible characters")
    return value


def _external_id(value: str) -> str:
    if not 0 < len(value) <= EXTERNAL_ID_LENGTH or not value.isprintable():
        raise ValueError(f"must have 1 to {EXTERNAL_ID_LENGTH} printable characters")
    return value


def _reason(value: str) -> str:
    reason = value.strip()
    if not 0 < len(reason) <= REASON_LENGTH or "\0" in reason:
        raise ValueError(f"must have 1 to {REASON_LENGTH} characters")
    return reason


def _hours(value: object) -> int:
    """Hours as minutes."""
    if isinstance(value, str) and DECIMAL.fullmatch(value):
        value = Decimal(value)
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise ValueError('must be a number of hours such as "1.50"')  # noqa: TRY004  # what pydantic makes a complaint of
    if not 0 < value <= LONGEST_HOURS:
        raise ValueError(f"must be more than 0 and at most {LONGEST_HOURS}")
    minutes = Decimal(value) * 60
    if minutes != int(minutes):
        raise ValueError("must be a whole number of minutes")
    return int(minutes)


def _minutes(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError("must be an integer")  # noqa: TRY004  # what pydantic makes a complaint of
    if not 0 < value <= LONGEST_MINUTES:
        raise ValueError(f"must be more than 0 and at most {LONGEST_MINUTES}")
    return value


def _instant(value: object) -> datetime:
    if not isinstance(value, str) or not INSTANT.fullmatch(value):
        raise ValueError("must be an instant with its zone, such as 2026-03-02T15:00:00Z")
    try:
        return datetime.fromisoformat(value).astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError("must be an instant that there is") from None


def _students(value: object) -> object:
    if not isinstance(value, list) or not 0 < len(value) <= MOST_STUDENTS:
        raise ValueError(f"must be a list of 1 to {MOST_STUDENTS} students")
    return value


def _mode(value: object) -> object:
    if not isinstance(value, str) or value not in list(ConsumptionMode):
        raise ValueError(f"must be one of: {', '.join(ConsumptionMode)}")
    return value


AS_HOURS = {
    "description": "A whole number of minutes.",
    "anyOf": [
        {"type": "string", "pattern": f"^{DECIMAL.pattern}$"},
        {"type": "number", "exclusiveMinimum": 0, "maximum": LONGEST_HOURS},
    ],
}
AS_MINUTES = {"type": "integer", "minimum": 1, "maximum": LONGEST_MINUTES}
AS_SESSION = {"type": "string", "minLength": 1, "maxLength": SESSION_LENGTH, "description": "Visible characters."}
AS_EXTERNAL_ID = {"type": "string", "minLength": 1, "maxLength": EXTERNAL_ID_LENGTH}
AS_REASON = {"type": "string", "minLength": 1, "maxLength": REASON_LENGTH}
AS_INSTANT = {"type": "string", "format": "date-time", "pattern": f"^{INSTANT.pattern}$"}
AS_MODE = {"type": "string", "enum": [*ConsumptionMode], "default": ConsumptionMode.CONSUME}
"""What is read here, as the OpenAPI document tells it."""

SessionId = Annotated[StrictStr, AfterValidator(_session_id), WithJsonSchema(AS_SESSION)]
ExternalId = Annotated[StrictStr, AfterValidator(_external_id), WithJsonSchema(AS_EXTERNAL_ID)]
Reason = Annotated[StrictStr, AfterValidator(_reason), WithJsonSchema(AS_REASON)]
Hours = Annotated[int, BeforeValidator(_hours), WithJsonSchema(AS_HOURS)]
Minutes = Annotated[int, BeforeValidator(_minutes), WithJsonSchema(AS_MINUTES)]
Instant = Annotated[datetime, BeforeValidator(_instant), WithJsonSchema(AS_INSTANT)]
Mode = Annotated[ConsumptionMode, BeforeValidator(_mode), WithJsonSchema(AS_MODE)]

CHECKED = Field(default=None, validate_default=True)
"""Of a field whose absence may be wrong."""


def _is_given(info: ValidationInfo, name: str) -> bool:
    """Whether a field that stands before this one is there; a wrong one is, and has its complaint already."""
    return name not in info.data or info.data[name] is not None


class StudentName(Body):
    """One of the two, by which a student is found."""

    email: Email | None = None
    external_id: ExternalId | None = CHECKED

    @field_validator("external_id")
    @classmethod
    def _one(cls, value: str | None, info: ValidationInfo) -> str | None:
        if (value is not None) is _is_given(info, "email") and "email" in info.data:
            raise ValueError("is required, unless there is an email; one of the two")
        return value

    @property
    def named(self) -> Named:
        return Named(self.external_id, self.email)


class Amount(Body):
    """Hours or minutes; held in minutes, once they are read."""

    hours: Hours | None = None
    minutes: Minutes | None = CHECKED

    @field_validator("minutes")
    @classmethod
    def _not_both(cls, value: int | None, info: ValidationInfo) -> int | None:
        if value is not None and info.data.get("hours") is not None:
            raise ValueError("is one too many beside hours")
        return value

    @property
    def asked(self) -> int | None:
        return self.minutes if self.hours is None else self.hours


class BookingBody(Amount):
    """A wish to take hours for a session, or to hold them until it is over."""

    student: StudentName | None = None
    students: Annotated[list[StudentName], BeforeValidator(_students)] | None = CHECKED
    session_id: SessionId
    mode: Mode = ConsumptionMode.CONSUME
    ends_at: Instant | None = CHECKED

    @field_validator("minutes")
    @classmethod
    def _some(cls, value: int | None, info: ValidationInfo) -> int | None:
        if value is None and not _is_given(info, "hours"):
            raise ValueError("is required, unless there are hours")
        return value

    @field_validator("students")
    @classmethod
    def _one_or_many(cls, value: list[StudentName] | None, info: ValidationInfo) -> list[StudentName] | None:
        if value is None and not _is_given(info, "student"):
            raise ValueError("is required, unless there is a student")
        if value is not None and info.data.get("student") is not None:
            raise ValueError("is one too many beside student")
        if value is not None and len({one.named for one in value}) < len(value):
            raise ValueError("names the same student twice")
        return value

    @field_validator("ends_at")
    @classmethod
    def _of_holds(cls, value: datetime | None, info: ValidationInfo) -> datetime | None:
        mode = info.data.get("mode")
        if value is None and mode is ConsumptionMode.HOLD:
            raise ValueError("is required for a hold")
        return value if mode is ConsumptionMode.HOLD else None  # what is taken at once has nothing to wait for

    @property
    def names(self) -> list[Named]:
        return [self.student.named] if self.student else [one.named for one in self.students or ()]

    @property
    def path(self) -> str:
        return "student" if self.student else "students"

    @property
    def wish(self) -> dict[str, Any]:
        """What was understood, for repeats to be known by: 1.50 hours and 90 minutes are the same."""
        names = sorted((named.external_id or "", named.email or "") for named in self.names)
        session = {"session_id": self.session_id, "mode": self.mode, "ends_at": self.ends_at}
        return {"act": "book", "students": names, "minutes": self.asked, **session}

    def in_time(self, now: datetime) -> "BookingBody":
        """Raises HttpError 400 where a hold would end in a time that nobody plans yet."""
        if self.ends_at is not None and self.ends_at > now + FARTHEST:
            raise invalid("ends_at", "must be within a year")
        return self


class CaptureBody(Amount):
    """Without an amount, all that is held."""


class RefundBody(Amount):
    """Without an amount, all that was taken."""

    reason: Reason
