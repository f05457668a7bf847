"""Differences between Stripe and us, and cases: what a person has to look at."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, ClassVar
from uuid import UUID

from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from billing.reads.conditions import Conditions
from billing.reads.lists import list_page
from billing.reads.pages import Page, Slice
from billing.states import CaseState, FindingKind

FINDINGS = """
    SELECT total.count, found.*
    FROM (SELECT count(*) AS count FROM finding WHERE {filter}) AS total
    LEFT JOIN LATERAL (
        SELECT id AS row_id, finding.*,
            (SELECT transaction_id FROM purchase WHERE purchase.id = finding.purchase_id) AS transaction_id
        FROM finding WHERE {filter} ORDER BY opened_at DESC, id DESC LIMIT :size OFFSET :skipped
    ) AS found ON true
    ORDER BY found.opened_at DESC, found.row_id DESC
"""
CASES = """
    SELECT total.count, found.*
    FROM (SELECT count(*) AS count FROM staff_case WHERE {filter}) AS total
    LEFT JOIN LATERAL (
        SELECT id AS row_id, staff_case.*,
            (SELECT transaction_id FROM purchase WHERE purchase.id = staff_case.purchase_id) AS transaction_id
        FROM staff_case WHERE {filter} ORDER BY id DESC LIMIT :size OFFSET :skipped
    ) AS found ON true
    ORDER BY found.row_id DESC
"""
CONDITIONS: Mapping[str, str] = {"state": "state = :state", "kind": "kind = :kind", "reason": "reason = :reason"}


@dataclass(frozen=True, slots=True)
class OpenFilter(Conditions):
    """What has to fit; None: anything. `kind` is of findings, `reason` of cases."""

    conditions: ClassVar[Mapping[str, str]] = CONDITIONS
    state: CaseState | None = None
    kind: FindingKind | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class FindingView:
    """Sums are in cents."""

    id: UUID
    kind: str
    source: str
    transaction_id: int | None
    detail: str
    ours_cents: int | None
    theirs_cents: int | None
    owner: str | None
    state: str
    opened_at: datetime
    seen_at: datetime
    closed_at: datetime | None
    closed_by: str | None
    note: str | None

    @classmethod
    def of(cls, row: RowMapping) -> "FindingView":
        return cls(**{name: _in_utc(row[name]) for name in cls.__slots__})


@dataclass(frozen=True, slots=True)
class CaseView:
    id: int
    reason: str
    source: str
    transaction_id: int | None
    detail: str
    state: str
    opened_at: datetime
    closed_at: datetime | None
    closed_by: str | None
    note: str | None

    @classmethod
    def of(cls, row: RowMapping) -> "CaseView":
        return cls(**{name: _in_utc(row[name]) for name in cls.__slots__})


async def page_findings(connection: AsyncConnection, part: Slice, only: OpenFilter) -> Page[FindingView]:
    """The newest first."""
    statement = FINDINGS.replace("{filter}", only.condition)
    return await list_page(connection, statement, part, FindingView.of, **only.values)


async def page_cases(connection: AsyncConnection, part: Slice, only: OpenFilter) -> Page[CaseView]:
    """The newest first."""
    statement = CASES.replace("{filter}", only.condition)
    return await list_page(connection, statement, part, CaseView.of, **only.values)


def _in_utc(value: Any) -> Any:
    return value.astimezone(UTC) if isinstance(value, datetime) else value
