"""Sweeps of expired lots."""

from collections.abc import Sequence
from datetime import datetime

from billing import work
from billing.db import Begin
from billing.messages import FollowUp, Message, SweepLots
from billing.states import SweepTrigger


def start_sweep(begin: Begin, trigger: SweepTrigger, *, grace_hours: int, now: datetime) -> Sequence[Message]:
    raise NotImplementedError


def sweep_lots(begin: Begin, terms: work.LeaseTerms, message: SweepLots, *, now: datetime) -> Sequence[FollowUp]:
    raise NotImplementedError
