"""What was bought for a student, paid or not, and what the student bought."""

from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from billing.reads.pages import ALL, Filter, Page, Slice, page_of
from billing.reads.whose import Whose
from billing.states import PlanType, PurchaseState

# What somebody else started shows from its payment on; what the caller started shows at once, before a worker knows
# whose it is, and whoever gets the hours. Who may see everything asks without a caller.
HISTORY = """
    WITH who AS ({who}), visible AS (
        SELECT purchase.transaction_id FROM purchase WHERE purchase.caller_sub = CAST(:caller AS text){filter}
        UNION ALL
        SELECT purchase.transaction_id FROM purchase
        WHERE purchase.student_id = (SELECT id FROM who)
            AND (purchase.caller_sub = CAST(:caller AS text)) IS NOT TRUE
            AND (purchase.paid_at IS NOT NULL OR CAST(:caller AS text) IS NULL){filter}
    )
    SELECT (SELECT id FROM who) AS student_id, total.count, bought.*
    FROM (SELECT count(*) AS count FROM visible) AS total
    LEFT JOIN LATERAL (
        SELECT transaction_id AS row_id, purchase.id AS task_id, purchase.plan_type, version.name AS plan_name,
            purchase.price_cents, purchase.refunded_cents, purchase.state, hour_lot.expires_at, purchase.accepted_at,
            purchase.paid_at
        FROM (SELECT transaction_id FROM visible ORDER BY transaction_id DESC LIMIT :size OFFSET :skipped) AS shown
        JOIN purchase USING (transaction_id)
        JOIN pricing_plan_version AS version ON version.id = purchase.plan_version_id
        LEFT JOIN hour_lot ON hour_lot.purchase_id = purchase.id
    ) AS bought ON true
    ORDER BY bought.row_id DESC
"""


@dataclass(frozen=True, slots=True)
class TransactionView:
    transaction_id: int
    task_id: UUID
    transaction_type: PlanType
    plan_name: str
    amount_cents: int
    refunded_cents: int
    payment_status: PurchaseState
    expires_at: datetime | None
    created_at: datetime
    paid_at: datetime | None

    @classmethod
    def of(cls, row: RowMapping) -> "TransactionView":
        return cls(
            transaction_id=row["row_id"],
            task_id=row["task_id"],
            transaction_type=PlanType(row["plan_type"]),
            plan_name=row["plan_name"],
            amount_cents=row["price_cents"],
            refunded_cents=row["refunded_cents"],
            payment_status=PurchaseState(row["state"]),
            expires_at=row["expires_at"] and row["expires_at"].astimezone(UTC),
            created_at=row["accepted_at"].astimezone(UTC),
            paid_at=row["paid_at"] and row["paid_at"].astimezone(UTC),
        )


async def history_of(
    connection: AsyncConnection, whose: Whose, part: Slice, only: Filter = ALL
) -> Page[TransactionView]:
    """The newest first."""
    template = HISTORY.replace("{filter}", only.conditions())
    values = {"caller": whose.caller, **part.bounds, **only.values}
    return await page_of(connection, whose, template, TransactionView.of, **values)
