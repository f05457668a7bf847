"""What every rule needs to know of the place it runs in."""

from dataclasses import dataclass
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlmodel import select

from billing.config import Settings
from billing.db import Begin
from billing.models import Installation

MARK = "billing_purchase"
"""The metadata key under which our payment intents at Stripe carry their mark."""

REFUND_MARK = "billing_refund"
"""The same for our refunds."""

CUSTOMER_MARK = "billing_customer"
"""The same for our customers, and for the setup intents by which cards are saved."""


@dataclass(frozen=True, slots=True)
class Deployment:
    """`installation` is drawn at the first migration; `zone` is where days begin and end."""

    installation: UUID
    livemode: bool
    zone: ZoneInfo

    @classmethod
    def of(cls, settings: Settings, begin: Begin) -> "Deployment":
        with begin() as session:
            installation = session.exec(select(Installation.id)).one()
        return cls(installation, settings.livemode, settings.zone)
