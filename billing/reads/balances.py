"""A student's hours as they may be spent now.

An expired lot has nothing left from the instant of its expiry, swept or not: here it counts as the sweep will write it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import RowMapping, text
from sqlalchemy.ext.asyncio import AsyncConnection

LOTS = 200
"""Packages that one answer shows: those that expire next first, then those that expired last."""

OF_CALLER = """
    SELECT * FROM student WHERE external_id = :sub OR (external_id IS NULL AND email = :email)
    ORDER BY external_id NULLS LAST LIMIT 1
"""
OF_ADDRESS = """
    SELECT * FROM student WHERE (email = :email AND email_verified) OR (email = :email AND external_id IS NULL)
    ORDER BY email_verified DESC LIMIT 1
"""
# A row for each lot, and one without a lot where there is none.
BALANCE = """
    WITH who AS ({who})
    SELECT who.id, who.name, who.email, balance.*, coalesce(unswept.minutes, 0) AS unswept, lot.*
    FROM who
    LEFT JOIN student_balance AS balance ON balance.student_id = who.id
    LEFT JOIN LATERAL (
        SELECT sum(minutes_left) AS minutes FROM hour_lot
        WHERE student_id = who.id AND minutes_left > 0 AND expires_at <= :now
    ) AS unswept ON true
    LEFT JOIN LATERAL (
        SELECT hour_lot.id AS lot_id, origin, expires_at, purchase.transaction_id, version.name AS plan_name,
            hour_lot.minutes_granted AS lot_granted, hour_lot.minutes_consumed AS lot_consumed,
            hour_lot.minutes_left AS lot_left, hour_lot.minutes_refunded AS lot_refunded
        FROM hour_lot
        LEFT JOIN purchase ON purchase.id = hour_lot.purchase_id
        LEFT JOIN pricing_plan_version AS version ON version.id = purchase.plan_version_id
        WHERE hour_lot.student_id = who.id
        ORDER BY coalesce(expires_at <= :now, false), abs(extract(epoch FROM expires_at - :now)) NULLS LAST, hour_lot.id
        LIMIT :lots
    ) AS lot ON true
"""
BALANCE_OF_CALLER = text(BALANCE.format(who=OF_CALLER))
BALANCE_OF_ADDRESS = text(BALANCE.format(who=OF_ADDRESS))


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

    def expires_within(self, wait: timedelta, *, now: datetime) -> bool:
        """Whether hours are lost then, if nobody takes them."""
        is_due = self.expires_at is not None and self.expires_at <= now + wait
        return is_due and not self.is_expired and self.minutes_remaining > 0


@dataclass(frozen=True, slots=True)
class BalanceView:
    """Sums in minutes and cents: purchased = consumed + expired + held + refunded + frozen + remaining."""

    student_id: int | None = None
    name: str = ""
    email: str | None = None
    minutes_purchased: int = 0
    minutes_consumed: int = 0
    minutes_expired: int = 0
    minutes_held: int = 0
    minutes_refunded: int = 0
    minutes_frozen: int = 0
    minutes_remaining: int = 0
    amount_cents: int = 0
    packages: Sequence[PackageView] = ()


async def balance_of_caller(
    connection: AsyncConnection, *, sub: str, verified_email: str | None, now: datetime
) -> BalanceView | None:
    """The student that the platform knows by `sub`, else the guest student of the verified address."""
    given = {"sub": sub, "email": verified_email, "now": now, "lots": LOTS}
    return _view((await connection.execute(BALANCE_OF_CALLER, given)).mappings().all(), now)


async def balance_of_address(connection: AsyncConnection, email: str, *, now: datetime) -> BalanceView | None:
    """The student who has verified this address, else the guest student of it."""
    given = {"email": email, "now": now, "lots": LOTS}
    return _view((await connection.execute(BALANCE_OF_ADDRESS, given)).mappings().all(), now)


def _view(rows: Sequence[RowMapping], now: datetime) -> BalanceView | None:
    if not rows:
        return None
    row = rows[0]
    student = {"student_id": row["id"], "name": row["name"], "email": row["email"]}
    if row["minutes_granted"] is None:
        return BalanceView(**student)
    return BalanceView(
        **student,
        minutes_purchased=row["minutes_granted"],
        minutes_consumed=row["minutes_consumed"],
        minutes_expired=row["minutes_expired"] + row["unswept"],
        minutes_held=row["minutes_held"],
        # What was taken back beyond what was left is owed; both together are what was taken back.
        minutes_refunded=row["minutes_refunded"] + row["minutes_owed"],
        minutes_frozen=row["minutes_frozen"],
        minutes_remaining=row["minutes_left"] - row["unswept"] - row["minutes_owed"],
        amount_cents=row["paid_cents"] - row["returned_cents"],
        packages=[_package(lot, now) for lot in rows if _is_shown(lot)],
    )


def _is_shown(lot: RowMapping) -> bool:
    """What was wholly given back is no package any more."""
    return lot["lot_id"] is not None and lot["lot_refunded"] < lot["lot_granted"]


def _package(lot: RowMapping, now: datetime) -> PackageView:
    expires_at = lot["expires_at"] and lot["expires_at"].astimezone(UTC)
    is_expired = expires_at is not None and expires_at <= now
    return PackageView(
        transaction_id=lot["transaction_id"],
        plan_name=lot["plan_name"] or str(lot["origin"]).capitalize(),
        minutes_included=lot["lot_granted"],
        minutes_consumed=lot["lot_consumed"],
        minutes_remaining=0 if is_expired else lot["lot_left"],
        expires_at=expires_at,
        is_expired=is_expired,
    )
