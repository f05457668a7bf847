"""Whether a lesson could be booked now, and why not."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy.ext.asyncio import AsyncConnection

from billing.reads.balances import UNSWEPT
from billing.reads.whose import Whose

PACKAGE_WHERE = """EXISTS (
        SELECT FROM hour_lot WHERE student_id = who.id AND minutes_refunded < minutes_granted AND {}
    )"""
SPENDABLE = f"""
    WITH who AS ({{who}})
    SELECT who.id AS student_id, coalesce(balance.minutes_left - balance.minutes_owed, 0) AS minutes,
        coalesce(unswept.minutes, 0) AS unswept, {PACKAGE_WHERE.format("true")} AS has_any,
        {PACKAGE_WHERE.format("expires_at > :now")} OR {PACKAGE_WHERE.format("expires_at IS NULL")} AS has_living
    FROM who
    LEFT JOIN student_balance AS balance ON balance.student_id = who.id
    LEFT JOIN LATERAL ({UNSWEPT}) AS unswept ON true
"""  # noqa: S608  # our own words


class NoBooking(StrEnum):
    """Why hours cannot be taken; the words in which a consumption is refused too."""

    INSUFFICIENT_BALANCE = "insufficient_balance"
    PACKAGE_EXPIRED = "package_expired"
    NO_PACKAGES = "no_packages"


@dataclass(frozen=True, slots=True)
class Spendable:
    """What could be taken now; a debt makes it less, and less than nothing is nothing."""

    student_id: int | None = None
    minutes: int = 0
    has_any_package: bool = False
    has_living_package: bool = False

    def refusal_of(self, minutes: int) -> NoBooking | None:
        if minutes <= self.minutes:
            return None
        if not self.has_any_package:
            return NoBooking.NO_PACKAGES
        return NoBooking.INSUFFICIENT_BALANCE if self.has_living_package else NoBooking.PACKAGE_EXPIRED


async def spendable_by(connection: AsyncConnection, whose: Whose, *, now: datetime) -> Spendable:
    row = (await connection.execute(whose.statement(SPENDABLE), whose.values(now=now))).mappings().one_or_none()
    if row is None:
        return Spendable()
    left = max(0, row["minutes"] - row["unswept"])
    return Spendable(row["student_id"], left, row["has_any"], row["has_living"])
