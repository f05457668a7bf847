"""The entries of a student's ledger, and why a balance was what it was."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from billing.reads.pages import ALL, Filter, Page, Slice, page_of
from billing.reads.whose import Whose
from billing.states import EntryKind

ENTRIES = """
    WITH who AS ({who})
    SELECT who.id AS student_id, total.count, entry.*{explained}
    FROM who
    CROSS JOIN LATERAL (SELECT count(*) AS count FROM hour_entry WHERE student_id = who.id{filter}) AS total
    {explanation}
    LEFT JOIN LATERAL (
        SELECT hour_entry.id AS row_id, hour_entry.at, hour_entry.kind, hour_entry.minutes, hour_entry.balance_after,
            hour_entry.source, purchase.transaction_id
        FROM (
            SELECT id FROM hour_entry WHERE student_id = who.id{filter} ORDER BY id DESC LIMIT :size OFFSET :skipped
        ) AS shown
        JOIN hour_entry ON hour_entry.id = shown.id
        LEFT JOIN purchase ON purchase.id = hour_entry.purchase_id
    ) AS entry ON true
    ORDER BY entry.row_id DESC
"""
UP_TO = " AND hour_entry.at <= :until"
EXPLAINED = ", sums.by_kind, coalesce(late.minutes, 0) AS late_minutes"
# What had expired by then and was not written off yet counts as expired, as it does in a balance of now. A lot that was
# extended later ended when it was said to at the time.
EXPLANATION = """
    CROSS JOIN LATERAL (
        SELECT coalesce(jsonb_object_agg(kind, minutes), '{}') AS by_kind FROM (
            SELECT kind, sum(minutes) AS minutes FROM hour_entry
            WHERE student_id = who.id AND at <= :until GROUP BY kind
        ) AS kinds
    ) AS sums
    CROSS JOIN LATERAL (
        SELECT CAST(sum(moved.minutes) AS bigint) AS minutes
        FROM (
            SELECT part.lot_id, sum(part.minutes) AS minutes
            FROM hour_entry CROSS JOIN LATERAL (
                SELECT lot_id, minutes FROM hour_allocation WHERE entry_id = hour_entry.id OFFSET 0
            ) AS part
            WHERE hour_entry.student_id = who.id AND hour_entry.at <= :until
            GROUP BY part.lot_id HAVING sum(part.minutes) <> 0
        ) AS moved
        JOIN hour_lot ON hour_lot.id = moved.lot_id
        LEFT JOIN LATERAL (
            SELECT expired_at FROM lot_end WHERE lot_id = moved.lot_id AND at > :until ORDER BY at, id LIMIT 1
        ) AS later ON true
        WHERE coalesce(later.expired_at, hour_lot.expires_at) <= :until
    ) AS late
"""


@dataclass(frozen=True, slots=True)
class EntryView:
    """`minutes` is signed; `balance_after` is the sum of all entries up to this one."""

    id: int
    at: datetime
    kind: EntryKind
    minutes: int
    transaction_id: int | None
    source: str
    balance_after: int

    @classmethod
    def of(cls, row: RowMapping) -> "EntryView":
        return cls(
            id=row["row_id"],
            at=row["at"].astimezone(UTC),
            kind=EntryKind(row["kind"]),
            minutes=row["minutes"],
            transaction_id=row["transaction_id"],
            source=row["source"],
            balance_after=row["balance_after"],
        )


@dataclass(frozen=True, slots=True)
class Explanation:
    """The balance at an instant: the sum of the entries up to it, less what had expired and was not yet written off."""

    at: datetime
    minutes_by_kind: Mapping[EntryKind, int]
    minutes_expired_unwritten: int = 0

    @property
    def minutes(self) -> int:
        return sum(self.minutes_by_kind.values())

    @property
    def minutes_remaining(self) -> int:
        return self.minutes - self.minutes_expired_unwritten


async def ledger_of(connection: AsyncConnection, whose: Whose, part: Slice, only: Filter = ALL) -> Page[EntryView]:
    """The newest first."""
    condition = only.conditions_by("hour_entry.purchase_id")
    template = _template(condition, explained="", explanation="")
    return await page_of(connection, whose, template, EntryView.of, **part.bounds, **only.values)


async def explain(
    connection: AsyncConnection, whose: Whose, part: Slice, until: datetime, only: Filter = ALL
) -> tuple[Page[EntryView], Explanation]:
    """The entries up to an instant, the newest first, and the balance that they make; a filter only hides entries."""
    condition = UP_TO + only.conditions_by("hour_entry.purchase_id")
    template = _template(condition, explained=EXPLAINED, explanation=EXPLANATION)
    page = await page_of(connection, whose, template, EntryView.of, until=until, **part.bounds, **only.values)
    if page.first is None:
        return page, Explanation(until, {})
    by_kind = {kind: page.first["by_kind"][kind] for kind in EntryKind if kind in page.first["by_kind"]}
    return page, Explanation(until, by_kind, page.first["late_minutes"])


def _template(condition: str, *, explained: str, explanation: str) -> str:
    parts = {"{filter}": condition, "{explained}": explained, "{explanation}": explanation}
    template = ENTRIES
    for place, part in parts.items():
        template = template.replace(place, part)
    return template
