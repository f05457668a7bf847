"""What a plan may promise, and what it may not: the bounds of each of its facts, whoever writes them down."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import NamedTuple

from billing.errors import RefusedError
from billing.reads.written import euros, hours, instant
from billing.states import PlanType

NAME_LENGTH, DESCRIPTION_LENGTH = 100, 500
HIGHEST_CENTS = 10_000_000
MOST_MINUTES = 1000 * 60
LONGEST_DAYS = 3650
FURTHEST = timedelta(days=731)
"""Two years: nothing is scheduled beyond that from now."""

CURRENCY = "eur"

Complaints = Mapping[str, Sequence[str]]
"""By field, in the words of answers."""


class PlanTermsError(RefusedError):
    """A plan cannot be so; the message names the first field, `field_errors` each of them."""

    def __init__(self, field_errors: Complaints) -> None:
        field, (complaint, *_) = next(iter(field_errors.items()))
        super().__init__(f"{field}: {complaint}")
        self.field_errors = field_errors


@dataclass(frozen=True, slots=True)
class Terms:
    """All that a version of a plan says."""

    name: str
    description: str
    plan_type: PlanType
    minutes: int
    price_cents: int
    currency: str
    validity_days: int | None
    rollover_minutes: int | None


class Change(NamedTuple):
    """Of one field, in the words of answers."""

    field: str
    was: str | int | None
    now: str | int | None


def written(terms: Terms) -> dict[str, str | int | None]:
    """In the words of answers."""
    return {
        "name": terms.name,
        "description": terms.description,
        "plan_type": terms.plan_type,
        "hours_included": hours(terms.minutes),
        "minutes": terms.minutes,
        "price_eur": euros(terms.price_cents),
        "currency": terms.currency,
        "validity_days": terms.validity_days,
        "rollover_minutes": terms.rollover_minutes,
    }


def changes(before: Terms, after: Terms) -> Sequence[Change]:
    """What a reader of both would notice."""
    was, now = written(before), written(after)
    return [Change(field, was[field], now[field]) for field in was if field != "minutes" and was[field] != now[field]]


def check(terms: Terms) -> None:
    """Raises PlanTermsError."""
    if found := complaints(terms):
        raise PlanTermsError(found)


def complaints(terms: Terms) -> Complaints:
    """Nothing where the plan can be so."""
    found = {
        "name": _of_name(terms.name),
        "description": _of_description(terms.description),
        "hours_included": _between(
            terms.minutes, MOST_MINUTES, f"must be more than 0 and at most {hours(MOST_MINUTES)}"
        ),
        "price_eur": _between(
            terms.price_cents, HIGHEST_CENTS, f"must be more than 0 and at most {euros(HIGHEST_CENTS)}"
        ),
        "currency": None if terms.currency == CURRENCY else f"must be {CURRENCY}",
        "validity_days": _of_validity(terms),
        "rollover_minutes": _of_rollover(terms),
    }
    return {field: [complaint] for field, complaint in found.items() if complaint is not None}


def begins_at(asked: datetime | None, now: datetime) -> datetime:
    """The instant from which a version counts: an instant that has passed while the act waited is now.

    Raises PlanTermsError for one that is too far away.
    """
    begin = now if asked is None else max(asked, now)
    if begin > now + FURTHEST:
        raise PlanTermsError({"effective_from": [f"must be within two years from {instant(now)}"]})
    return begin


def check_begin(asked: datetime | None, now: datetime) -> None:
    """As somebody asks for it. Raises PlanTermsError for what is over or too far away.

    `now` is the database's, which says what is on sale.
    """
    if asked is not None and asked < now:
        raise PlanTermsError({"effective_from": [f"must not be in the past; it is {instant(now)}"]})
    begins_at(asked, now)


def terms_of(version: object) -> Terms:
    """Of whatever has these facts."""
    return Terms(**{field.name: getattr(version, field.name) for field in fields(Terms)})


def _of_name(name: str) -> str | None:
    if not 0 < len(name) <= NAME_LENGTH or name != name.strip():
        return f"must have 1 to {NAME_LENGTH} characters, none of them a space at an end"
    return None if name.isprintable() else "must have visible characters only"


def _of_description(description: str) -> str | None:
    if len(description) > DESCRIPTION_LENGTH:
        return f"must have {DESCRIPTION_LENGTH} characters at most"
    is_visible = all(line.isprintable() for line in description.split("\n"))
    return None if is_visible else "must have visible characters only"


def _between(value: int, most: int, words: str) -> str | None:
    return None if 0 < value <= most else words


def _of_validity(terms: Terms) -> str | None:
    if terms.plan_type is PlanType.SUBSCRIPTION:
        return None if terms.validity_days is None else "is of packages: a subscription's period says until when"
    if terms.validity_days is None:
        return "is required: a package ends some day"
    return _between(terms.validity_days, LONGEST_DAYS, f"must be from 1 to {LONGEST_DAYS}")


def _of_rollover(terms: Terms) -> str | None:
    if terms.rollover_minutes is None:
        return None
    if terms.plan_type is PlanType.PACKAGE:
        return "is of subscriptions: a package has no next period"
    return _between(
        terms.rollover_minutes, terms.minutes, f"must be from 1 to {terms.minutes}, the minutes of a period"
    )
