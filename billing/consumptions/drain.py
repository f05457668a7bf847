"""Decide what the platform asked for, in batches."""

from collections.abc import Sequence
from datetime import datetime

from billing import work
from billing.db import Begin
from billing.messages import FollowUp, Hints


def drain(begin: Begin, leases: work.Leases, hints: Hints, *, now: datetime) -> Sequence[FollowUp]:
    raise NotImplementedError
