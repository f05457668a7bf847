"""Packages of everybody: those that expired, those that are about to, and single ones by their numbers."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import RowMapping, text
from sqlalchemy.ext.asyncio import AsyncConnection

from billing.reads.lists import list_page
from billing.reads.packages import BOUGHT, PACKAGE, PackageView
from billing.reads.pages import Page, Slice

SHOWN = f"""
    hour_lot.id AS row_id, {PACKAGE}, hour_lot.minutes_expired AS lot_expired, student.id AS student_id,
    student.email AS student_email, student.name AS student_name
"""
OF_STUDENT = f"{BOUGHT} JOIN student ON student.id = hour_lot.student_id"
LISTED = f"""
    SELECT total.count, package.*
    FROM (SELECT count(*) AS count FROM hour_lot WHERE {{which}}) AS total
    LEFT JOIN LATERAL (
        SELECT {SHOWN}
        FROM (
            SELECT id FROM hour_lot WHERE {{which}}
            ORDER BY expires_at {{order}}, id {{order}} LIMIT :size OFFSET :skipped
        ) AS part JOIN hour_lot ON hour_lot.id = part.id {OF_STUDENT}
    ) AS package ON true
    ORDER BY package.expires_at {{order}}, package.row_id {{order}}
"""  # noqa: S608  # our own words
EXPIRED = LISTED.replace("{which}", "expires_at <= :now").replace("{order}", "DESC")
EXPIRING = LISTED.replace("{which}", "minutes_left > 0 AND expires_at > :now AND expires_at <= :until").replace(
    "{order}", "ASC"
)
THESE = text(f"""
    SELECT {SHOWN} FROM hour_lot {OF_STUDENT}
    WHERE purchase.transaction_id = ANY(CAST(:transactions AS bigint[])) ORDER BY purchase.transaction_id
""")  # noqa: S608
KNOWN = text("""
    SELECT transaction_id FROM purchase WHERE transaction_id = ANY(CAST(:transactions AS bigint[]))
""")


@dataclass(frozen=True, slots=True)
class OwnedPackageView:
    """A package and whose it is. `minutes_lost` expired, written off (`is_swept`) or not yet."""

    package: PackageView
    student_id: int
    student_email: str
    student_name: str
    minutes_lost: int
    is_swept: bool

    @classmethod
    def of(cls, row: RowMapping, now: datetime) -> "OwnedPackageView":
        package = PackageView.of(row, now)
        unwritten = row["lot_left"] if package.is_expired else 0
        return cls(
            package=package,
            student_id=row["student_id"],
            student_email=row["student_email"],
            student_name=row["student_name"],
            minutes_lost=row["lot_expired"] + unwritten,
            is_swept=package.is_expired and not unwritten,
        )


async def expired_packages(connection: AsyncConnection, part: Slice, *, now: datetime) -> Page[OwnedPackageView]:
    """Those that expired last first, swept or not."""
    return await list_page(connection, EXPIRED, part, lambda row: OwnedPackageView.of(row, now), now=now)


async def expiring_packages(
    connection: AsyncConnection, part: Slice, within: timedelta, *, now: datetime
) -> Page[OwnedPackageView]:
    """Those whose hours are lost then, if nobody takes them; the next ones first."""
    given = {"now": now, "until": now + within}
    return await list_page(connection, EXPIRING, part, lambda row: OwnedPackageView.of(row, now), **given)


async def packages_of(
    connection: AsyncConnection, transactions: Sequence[int], *, now: datetime
) -> Sequence[OwnedPackageView]:
    """The packages of these purchases, in the order of their numbers; a purchase without hours has none."""
    rows = (await connection.execute(THESE, {"transactions": list(transactions)})).mappings()
    return [OwnedPackageView.of(row, now) for row in rows]


async def unknown_transactions(connection: AsyncConnection, transactions: Sequence[int]) -> set[int]:
    """Those of the numbers that no purchase has."""
    found = (await connection.execute(KNOWN, {"transactions": list(transactions)})).scalars()
    return set(transactions) - set(found)
