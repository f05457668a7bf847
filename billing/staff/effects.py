"""What an act of staff may know of its place, and what it says that it changed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from billing.messages import FollowUp
from billing.refunds.quote import Policy


@dataclass(frozen=True, slots=True)
class Context:
    """`zone` is where days begin and end; `refunds` is what is given back of a purchase, and how long."""

    zone: ZoneInfo
    now: datetime
    refunds: Policy


@dataclass(frozen=True, slots=True)
class Effect:
    """What was there `before`, and what is there `after`, in the words of answers; both are kept with the act."""

    before: Mapping[str, Any] | None
    after: Mapping[str, Any] | None
    follow_ups: Sequence[FollowUp] = ()
