"""What differs between Stripe and us, and how far Stripe's side was read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import RowMapping, text
from sqlalchemy.ext.asyncio import AsyncConnection

from billing.states import CaseState, FindingKind, ReconciliationScope

LISTED = text("""
    SELECT finding.*, purchase.transaction_id, compared.at AS compared_at
    FROM finding LEFT JOIN purchase ON purchase.id = finding.purchase_id
    CROSS JOIN (SELECT max(started_at) AS at FROM reconciliation_run
        WHERE scope = 'ledger' AND finished_at IS NOT NULL AND error IS NULL) AS compared
    WHERE (CAST(:state AS text) IS NULL OR finding.state = :state)
        AND (CAST(:kind AS text) IS NULL OR finding.kind = :kind)
    ORDER BY finding.opened_at DESC, finding.id LIMIT :most
""")

# One row, to be measured together with the rest.
STANDING = """
    SELECT (SELECT at FROM cursor WHERE name = 'stripe_events') AS cursor_at,
        (SELECT jsonb_object_agg(one.scope, one.at) FROM (SELECT scope, (
            SELECT extract(epoch FROM finished_at)::float8 FROM reconciliation_run
            WHERE reconciliation_run.scope = kind.scope AND finished_at IS NOT NULL AND error IS NULL
            ORDER BY started_at DESC LIMIT 1) AS at FROM (VALUES ('events'), ('ledger')) AS kind (scope)) AS one
            WHERE one.at IS NOT NULL) AS succeeded_at,
        (SELECT jsonb_object_agg(kind, number) FROM (SELECT kind, count(*) AS number
            FROM finding WHERE state = 'open' GROUP BY kind) AS open) AS open_findings,
        (SELECT coalesce(sum(recorded), 0)::bigint FROM reconciliation_run
            WHERE scope = 'events' AND started_at > (SELECT max(started_at) FROM reconciliation_run
                WHERE scope = 'events') - interval '1 day') AS events_by_list
"""


@dataclass(frozen=True, slots=True)
class FindingView:
    """`transaction_id` is the number of its purchase; `compared_at` when ledgers were compared last."""

    id: UUID
    kind: FindingKind
    source: str
    transaction_id: int | None
    detail: str
    ours_cents: int | None
    theirs_cents: int | None
    owner: str | None
    state: CaseState
    opened_at: datetime
    seen_at: datetime
    compared_at: datetime | None
    closed_at: datetime | None
    closed_by: str | None
    note: str | None

    @property
    def is_gone(self) -> bool:
        """Ledgers were compared since it was seen last: it may have mended itself, or be older than what is looked at.

        Nobody but a person closes it.
        """
        return self.state is CaseState.OPEN and self.compared_at is not None and self.seen_at < self.compared_at

    @classmethod
    def of(cls, row: RowMapping) -> "FindingView":
        facts = {field.name: _in_utc(row[field.name]) for field in fields(cls)}
        return cls(**{**facts, "kind": FindingKind(row["kind"]), "state": CaseState(row["state"])})


@dataclass(frozen=True, slots=True)
class StandingView:
    """What was never read or never succeeded is None, or left out; `events_by_list` are those of the last day."""

    cursor_at: datetime | None
    succeeded_at: Mapping[ReconciliationScope, datetime]
    open_findings: Mapping[FindingKind, int]
    events_by_list: int

    @classmethod
    def of(cls, row: RowMapping) -> "StandingView":
        ended, open_findings = row["succeeded_at"] or {}, row["open_findings"] or {}
        return cls(
            cursor_at=_in_utc(row["cursor_at"]),
            succeeded_at={ReconciliationScope(scope): datetime.fromtimestamp(at, UTC) for scope, at in ended.items()},
            open_findings={kind: open_findings.get(kind.value, 0) for kind in FindingKind},
            events_by_list=row["events_by_list"],
        )


async def list_findings(
    connection: AsyncConnection, *, most: int, state: str | None = None, kind: str | None = None
) -> Sequence[FindingView]:
    """The newest first."""
    rows = await connection.execute(LISTED, {"state": state, "kind": kind, "most": most})
    return [FindingView.of(row) for row in rows.mappings()]


def _in_utc(value: Any) -> Any:
    return value.astimezone(UTC) if isinstance(value, datetime) else value
