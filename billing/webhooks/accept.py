"""Accepting events: one statement for all deliveries that wait; a repeat is as good as the first."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class IncomingEvent:
    """An event whose signature was good; `body` is what was signed, byte for byte."""

    stripe_event_id: str
    type: str
    body: bytes
    request_id: str
    received_at: datetime
