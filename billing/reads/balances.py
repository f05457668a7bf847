"""A student's hours as they may be spent now.

An expired lot has nothing left from the instant of its expiry, swept or not: here it counts as the sweep will write it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from billing.reads.packages import BOUGHT, PACKAGE, PackageView
from billing.reads.subscriptions import IN_SHORT, SubscriptionInShort
from billing.reads.whose import Whose
from billing.reads.written import euros, hours

LOTS = 200
"""Packages that one answer shows: those that expire next first, then those that expired last."""

UNSWEPT = """
    SELECT sum(minutes_left) AS minutes FROM hour_lot
    WHERE student_id = who.id AND minutes_left > 0 AND expires_at <= :now
"""
# A row for each lot, and one without a lot where there is none.
BALANCE = f"""
    WITH who AS ({{who}})
    SELECT who.id, who.name, who.email, balance.*, coalesce(unswept.minutes, 0) AS unswept, subscribed.*, lot.*
    FROM who
    LEFT JOIN student_balance AS balance ON balance.student_id = who.id
    LEFT JOIN LATERAL ({UNSWEPT}) AS unswept ON true
    LEFT JOIN LATERAL ({IN_SHORT}) AS subscribed ON true
    LEFT JOIN LATERAL (
        SELECT {PACKAGE}
        FROM (
            SELECT * FROM hour_lot WHERE student_id = who.id
            ORDER BY coalesce(expires_at <= :now, false), abs(extract(epoch FROM expires_at - :now)) NULLS LAST, id
            LIMIT :lots
        ) AS hour_lot {BOUGHT}
    ) AS lot ON true
    ORDER BY coalesce(lot.expires_at <= :now, false), abs(extract(epoch FROM lot.expires_at - :now)) NULLS LAST,
        lot.lot_id
"""  # noqa: S608  # our own words


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
    subscription: SubscriptionInShort | None = None


async def balance_of(connection: AsyncConnection, whose: Whose, *, now: datetime) -> BalanceView | None:
    """None where there is no such student."""
    given = whose.values(now=now, lots=LOTS)
    return _view((await connection.execute(whose.statement(BALANCE), given)).mappings().all(), now)


def _view(rows: Sequence[RowMapping], now: datetime) -> BalanceView | None:
    if not rows:
        return None
    row = rows[0]
    student = BalanceView(row["id"], row["name"], row["email"], subscription=SubscriptionInShort.of(row))
    if row["minutes_granted"] is None:
        return student
    return replace(
        student,
        minutes_purchased=row["minutes_granted"],
        minutes_consumed=row["minutes_consumed"],
        minutes_expired=row["minutes_expired"] + row["unswept"],
        minutes_held=row["minutes_held"],
        # What was taken back beyond what was left is owed; both together are what was taken back.
        minutes_refunded=row["minutes_refunded"] + row["minutes_owed"],
        minutes_frozen=row["minutes_frozen"],
        minutes_remaining=row["minutes_left"] - row["unswept"] - row["minutes_owed"],
        amount_cents=row["paid_cents"] - row["returned_cents"],
        packages=[PackageView.of(lot, now) for lot in rows if _is_shown(lot)],
    )


def _is_shown(lot: RowMapping) -> bool:
    """What was wholly given back is no package any more."""
    return lot["lot_id"] is not None and lot["lot_refunded"] < lot["lot_granted"]


def written_sums(balance: BalanceView) -> dict[str, str]:
    """The sums as people and programs are given them, in the words of the answer `balance_summary`."""
    return {
        "hours_purchased": hours(balance.minutes_purchased),
        "hours_consumed": hours(balance.minutes_consumed),
        "hours_expired": hours(balance.minutes_expired),
        "hours_held": hours(balance.minutes_held),
        "hours_refunded": hours(balance.minutes_refunded),
        "hours_frozen": hours(balance.minutes_frozen),
        "remaining_hours": hours(balance.minutes_remaining),
        "balance_amount": euros(balance.amount_cents),
    }
