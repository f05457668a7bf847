"""Send one notification."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol
from zoneinfo import ZoneInfo

from billing import work
from billing.db import Begin
from billing.messages import Message, SendNotification


class Post(Protocol):
    """Where mail is handed in."""


def send_notification(
    begin: Begin, leases: work.Leases, post: Post, message: SendNotification, *, zone: ZoneInfo, now: datetime
) -> Sequence[Message]:
    raise NotImplementedError
