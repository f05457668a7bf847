"""Give back the hours of holds that nobody captured or released in time."""

from collections.abc import Sequence
from datetime import datetime

from billing.db import Begin
from billing.messages import FollowUp


def lapse_holds(begin: Begin, *, now: datetime) -> Sequence[FollowUp]:
    raise NotImplementedError
