"""The packages of a student one after the other, and what was taken from each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from billing.reads.packages import BOUGHT, PACKAGE, PackageView
from billing.reads.pages import ALL, Filter, Page, Slice, page_of
from billing.reads.whose import Whose
from billing.states import EntryKind

ENTRIES_OF_A_PACKAGE = 100
"""The newest ones that one answer shows; the ledger has all."""

CONSUMPTION = (EntryKind.CONSUME, EntryKind.HOLD, EntryKind.RELEASE)
GIVEN_BACK = f"hour_entry.kind = '{EntryKind.RESTORE}' AND hour_entry.consumption_id IS NOT NULL"
"""What an extension brings back of an expired package is restored too, but no lesson had it."""

PURCHASED = f"""
    WITH who AS ({{who}})
    SELECT who.id AS student_id, total.count, package.*
    FROM who
    CROSS JOIN LATERAL (
        SELECT count(*) AS count FROM hour_lot WHERE student_id = who.id{{filter}}
    ) AS total
    LEFT JOIN LATERAL (
        SELECT hour_lot.id AS row_id, {PACKAGE}{{consumption}}
        FROM (
            SELECT id FROM hour_lot WHERE student_id = who.id{{filter}}
            ORDER BY expires_at DESC NULLS FIRST, id DESC LIMIT :size OFFSET :skipped
        ) AS shown
        JOIN hour_lot ON hour_lot.id = shown.id {BOUGHT}
    ) AS package ON true
    ORDER BY package.expires_at DESC NULLS FIRST, package.row_id DESC
"""  # noqa: S608  # our own words
ACTIVE = " AND (expires_at IS NULL OR expires_at > :now) AND minutes_refunded < minutes_granted"
TAKEN = f""", (
    SELECT coalesce(jsonb_agg(to_jsonb(entry) ORDER BY entry.id DESC), '[]') FROM (
        SELECT hour_entry.id, extract(epoch FROM hour_entry.at) AS at, hour_entry.kind, part.minutes, hour_entry.source
        FROM hour_allocation AS part JOIN hour_entry ON hour_entry.id = part.entry_id
        WHERE part.lot_id = hour_lot.id
            AND (hour_entry.kind IN ({", ".join(f"'{kind}'" for kind in CONSUMPTION)}) OR {GIVEN_BACK})
        ORDER BY part.entry_id DESC LIMIT {ENTRIES_OF_A_PACKAGE}
    ) AS entry
) AS taken"""  # noqa: S608


@dataclass(frozen=True, slots=True)
class TakenView:
    """What one entry moved of one package; minutes that were taken are negative."""

    entry_id: int
    at: datetime
    kind: EntryKind
    minutes: int
    source: str

    @classmethod
    def of(cls, entry: Mapping[str, Any]) -> "TakenView":
        at = datetime.fromtimestamp(entry["at"], UTC)
        return cls(entry["id"], at, EntryKind(entry["kind"]), entry["minutes"], entry["source"])


@dataclass(frozen=True, slots=True)
class PurchasedView:
    package: PackageView
    taken: Sequence[TakenView] | None
    """None where nobody asked."""


async def purchased_by(
    connection: AsyncConnection,
    whose: Whose,
    part: Slice,
    only: Filter = ALL,
    *,
    now: datetime,
    active_only: bool = False,
    with_consumption: bool = False,
) -> Page[PurchasedView]:
    """Those that live longest first. An active one is not expired, and was not wholly given back."""
    condition = (ACTIVE if active_only else "") + only.conditions_by("hour_lot.purchase_id")
    template = PURCHASED.replace("{filter}", condition).replace("{consumption}", TAKEN if with_consumption else "")

    def view(row: RowMapping) -> PurchasedView:
        taken = [TakenView.of(entry) for entry in row["taken"]] if with_consumption else None
        return PurchasedView(PackageView.of(row, now), taken)

    values = {**part.bounds, **only.values, **({"now": now} if active_only else {})}
    return await page_of(connection, whose, template, view, **values)
