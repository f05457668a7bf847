"""Hours that came together, as their owner sees them."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import RowMapping

# With hour_lot, purchase and pricing_plan_version (as `version`) in the FROM.
PACKAGE = """
    hour_lot.id AS lot_id, hour_lot.origin, hour_lot.expires_at, purchase.transaction_id, version.name AS plan_name,
    hour_lot.minutes_granted AS lot_granted, hour_lot.minutes_consumed AS lot_consumed,
    hour_lot.minutes_left AS lot_left, hour_lot.minutes_refunded AS lot_refunded
"""
BOUGHT = """
    LEFT JOIN purchase ON purchase.id = hour_lot.purchase_id
    LEFT JOIN pricing_plan_version AS version ON version.id = purchase.plan_version_id
"""


@dataclass(frozen=True, slots=True)
class PackageView:
    """A lot, whatever it came from; without a purchase `transaction_id` is None."""

    transaction_id: int | None
    plan_name: str
    minutes_included: int
    minutes_consumed: int
    minutes_remaining: int
    expires_at: datetime | None
    is_expired: bool

    @classmethod
    def of(cls, lot: RowMapping, now: datetime) -> "PackageView":
        """From a row with the columns of PACKAGE."""
        expires_at = lot["expires_at"] and lot["expires_at"].astimezone(UTC)
        is_expired = expires_at is not None and expires_at <= now
        return cls(
            transaction_id=lot["transaction_id"],
            plan_name=lot["plan_name"] or str(lot["origin"]).capitalize(),
            minutes_included=lot["lot_granted"],
            minutes_consumed=lot["lot_consumed"],
            minutes_remaining=0 if is_expired else lot["lot_left"],
            expires_at=expires_at,
            is_expired=is_expired,
        )

    def expires_within(self, wait: timedelta, *, now: datetime) -> bool:
        """Whether hours are lost then, if nobody takes them."""
        is_due = self.expires_at is not None and self.expires_at <= now + wait
        return is_due and not self.is_expired and self.minutes_remaining > 0
