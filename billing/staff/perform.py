"""Do what staff asked for, and write down what it changed."""

from collections.abc import Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

from billing import work
from billing.db import Begin
from billing.messages import FollowUp, PerformStaffAct


def perform_act(
    begin: Begin, leases: work.Leases, message: PerformStaffAct, *, zone: ZoneInfo, now: datetime
) -> Sequence[FollowUp]:
    raise NotImplementedError
