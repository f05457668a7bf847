"""Periods of a subscription: they follow one another from its anchor, also over months of different lengths.

Page: "Set the subscription billing cycle date" of Stripe's documentation.
"""

from calendar import monthrange
from datetime import UTC, datetime, timedelta
from itertools import count

from billing.sandbox.objects import Body

_DAYS = {"day": 1, "week": 7}
_MONTHS = {"month": 1, "year": 12}


def end_after(anchor: int, recurring: Body, start: int) -> int:
    """When the period ends that begins at `start`; an anchor on the 31st is kept over shorter months."""
    ends = (_step(anchor, recurring, number) for number in count(1))
    return next(end for end in ends if end > start)


def _step(anchor: int, recurring: Body, number: int) -> int:
    begin = datetime.fromtimestamp(anchor, UTC)
    steps = recurring["interval_count"] * number
    if recurring["interval"] in _DAYS:
        return int((begin + timedelta(days=_DAYS[recurring["interval"]] * steps)).timestamp())
    months = begin.month - 1 + _MONTHS[recurring["interval"]] * steps
    year, month = begin.year + months // 12, months % 12 + 1
    day = min(begin.day, monthrange(year, month)[1])
    return int(begin.replace(year=year, month=month, day=day).timestamp())
