"""A purchase as its buyer follows it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from sqlalchemy import RowMapping, text
from sqlalchemy.ext.asyncio import AsyncConnection

from billing.plans import PlanOnSale
from billing.states import SETTLED, PurchaseState, Step

FOLLOW = text("""
    SELECT purchase.id, purchase.transaction_id, purchase.caller_sub, purchase.state, purchase.error_type,
        purchase.error_message, purchase.payment_intent_id, purchase.client_secret, purchase.refunded_cents,
        purchase.accepted_at, plan.*, timeline.steps, timeline.instants
    FROM purchase
    JOIN plan_facts AS plan ON plan.version_id = purchase.plan_version_id
    CROSS JOIN LATERAL (
        SELECT array_agg(step::text ORDER BY id) AS steps, array_agg(at ORDER BY id) AS instants
        FROM purchase_transition WHERE purchase_id = purchase.id
    ) AS timeline
    WHERE purchase.id = :id
""")


@dataclass(frozen=True, slots=True)
class PurchaseView:
    id: UUID
    transaction_id: int
    caller_sub: str | None
    state: PurchaseState
    error_type: str | None
    error_message: str | None
    payment_intent_id: str | None
    sealed_secret: bytes | None
    """The client secret, encrypted, while there is still something to pay with it."""
    refunded_cents: int
    plan: PlanOnSale
    timeline: Sequence[tuple[Step, datetime]]


async def find_purchase(connection: AsyncConnection, purchase_id: UUID) -> PurchaseView | None:
    row = (await connection.execute(FOLLOW, {"id": purchase_id})).mappings().one_or_none()
    return None if row is None else _view(row)


def _view(row: RowMapping) -> PurchaseView:
    state = PurchaseState(row["state"])
    is_payable = row["payment_intent_id"] is not None and state not in SETTLED
    return PurchaseView(
        id=row["id"],
        transaction_id=row["transaction_id"],
        caller_sub=row["caller_sub"],
        state=state,
        error_type=row["error_type"],
        error_message=row["error_message"],
        payment_intent_id=row["payment_intent_id"],
        sealed_secret=row["client_secret"] if is_payable else None,
        refunded_cents=row["refunded_cents"],
        plan=PlanOnSale.of(row),
        timeline=_timeline(row),
    )


def _timeline(row: RowMapping) -> list[tuple[Step, datetime]]:
    """Accepting writes no transition: the purchase itself is its first step."""
    later = zip(row["steps"] or (), row["instants"] or (), strict=True)
    return [
        (Step.ACCEPTED, row["accepted_at"].astimezone(UTC)),
        *((Step(step), at.astimezone(UTC)) for step, at in later if step != Step.ACCEPTED),
    ]
