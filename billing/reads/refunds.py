"""Refunds as staff see them: those that were asked for here, whatever became of them, and those made elsewhere."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import RowMapping, text
from sqlalchemy.ext.asyncio import AsyncConnection

from billing.reads.lists import list_page
from billing.reads.pages import Page, Slice
from billing.reads.written import euros, hours, instant
from billing.states import RefundOrigin

UNDECIDED = frozenset({"requested", "held", "sent"})
STATUSES = ("requested", "refused", "held", "sent", "succeeded", "failed", "cancelled")

# An act that was done is the refund of its id.
REFUNDS = """
    SELECT refund.id, refund.state::text AS status, purchase.transaction_id, refund.amount_cents, refund.minutes,
        refund.minutes_short, refund.origin::text, act.reason, act.actor, refund.stripe_refund_id, refund.error_type,
        refund.error_message, coalesce(act.requested_at, refund.created_at) AS requested_at, refund.decided_at
    FROM refund JOIN purchase ON purchase.id = refund.purchase_id LEFT JOIN staff_act AS act ON act.id = refund.id
    UNION ALL
    SELECT id, state::text, CAST(parameters ->> 'transaction_id' AS bigint),
        CAST(parameters ->> 'amount_cents' AS integer), NULL, NULL, 'staff', reason, actor, NULL, error_type,
        error_message, requested_at, decided_at
    FROM staff_act WHERE action = 'refund' AND state IN ('requested', 'refused')
"""
LISTED = f"""
    WITH known AS (SELECT * FROM ({REFUNDS}) AS refund WHERE {{filter}})
    SELECT total.count, shown.*
    FROM (SELECT count(*) AS count FROM known) AS total
    LEFT JOIN LATERAL (
        SELECT id AS row_id, known.* FROM known ORDER BY requested_at DESC, id DESC LIMIT :size OFFSET :skipped
    ) AS shown ON true
    ORDER BY shown.requested_at DESC, shown.row_id DESC
"""  # noqa: S608  # our own words
ONE = text(f"SELECT id AS row_id, refund.* FROM ({REFUNDS}) AS refund WHERE id = :id")  # noqa: S608

CONDITIONS: Mapping[str, str] = {
    "transaction_id": "transaction_id = :transaction_id",
    "status": "status = :status",
    "origin": "origin = :origin",
}


@dataclass(frozen=True, slots=True)
class RefundFilter:
    """What has to fit; None: anything."""

    transaction_id: int | None = None
    status: str | None = None
    origin: RefundOrigin | None = None

    @property
    def values(self) -> dict[str, Any]:
        return {name: value for name in CONDITIONS if (value := getattr(self, name)) is not None}

    @property
    def condition(self) -> str:
        return " AND ".join(CONDITIONS[name] for name in self.values) or "true"


@dataclass(frozen=True, slots=True)
class RefundView:
    """`amount_cents` is None where all that could be given back was asked for and nobody has reckoned it yet.

    One that is not held yet, or was refused, has no minutes.
    """

    id: UUID
    status: str
    transaction_id: int
    amount_cents: int | None
    minutes: int | None
    minutes_short: int | None
    origin: RefundOrigin
    reason: str | None
    actor: str | None
    stripe_refund_id: str | None
    error_type: str | None
    error_message: str | None
    requested_at: datetime
    decided_at: datetime | None

    @property
    def is_decided(self) -> bool:
        return self.status not in UNDECIDED

    @classmethod
    def of(cls, row: RowMapping) -> "RefundView":
        facts: dict[str, Any] = {name: row[name] for name in cls.__slots__}
        facts["origin"] = RefundOrigin(row["origin"])
        facts["requested_at"] = row["requested_at"].astimezone(UTC)
        facts["decided_at"] = row["decided_at"] and row["decided_at"].astimezone(UTC)
        return cls(**facts)


async def list_refunds(connection: AsyncConnection, part: Slice, only: RefundFilter) -> Page[RefundView]:
    """The newest first."""
    statement = LISTED.replace("{filter}", only.condition)
    return await list_page(connection, statement, part, RefundView.of, **only.values)


async def find_refund(connection: AsyncConnection, refund_id: UUID) -> RefundView | None:
    row = (await connection.execute(ONE, {"id": refund_id})).mappings().one_or_none()
    return None if row is None else RefundView.of(row)


def written_refund(view: RefundView) -> dict[str, Any]:
    """In the words of answers: what went wrong is there where something did."""
    error = {} if view.error_type is None else {"error_type": view.error_type, "message": view.error_message or ""}
    return {
        "id": str(view.id),
        "status": view.status,
        "transaction_id": view.transaction_id,
        "amount": None if view.amount_cents is None else euros(view.amount_cents),
        "minutes": view.minutes,
        "hours": None if view.minutes is None else hours(view.minutes),
        "minutes_short": view.minutes_short,
        "origin": view.origin,
        "reason": view.reason,
        "requested_by": view.actor,
        "stripe_refund_id": view.stripe_refund_id,
        **error,
        "requested_at": instant(view.requested_at),
        "decided_at": view.decided_at and instant(view.decided_at),
    }
