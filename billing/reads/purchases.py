"""A purchase as its buyer follows it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import RowMapping, text
from sqlalchemy.ext.asyncio import AsyncConnection

from billing.plans import PlanOnSale
from billing.states import SETTLED, PurchaseState, Step

FOLLOW = text("""
    SELECT purchase.id, purchase.transaction_id, purchase.caller_sub, purchase.state, purchase.error_type,
        purchase.error_message, purchase.payment_intent_id, purchase.client_secret, purchase.refunded_cents,
        purchase.accepted_at, purchase.cancel_requested_at IS NOT NULL AS is_cancel_wished, plan.*,
        timeline.serials, timeline.steps, timeline.states, timeline.instants
    FROM purchase
    JOIN plan_facts AS plan ON plan.version_id = purchase.plan_version_id
    CROSS JOIN LATERAL (
        SELECT array_agg(id ORDER BY id) AS serials, array_agg(step::text ORDER BY id) AS steps,
            array_agg(state::text ORDER BY id) AS states, array_agg(at ORDER BY id) AS instants
        FROM purchase_transition WHERE purchase_id = purchase.id
    ) AS timeline
    WHERE purchase.id = ANY(CAST(:ids AS uuid[]))
""")

VERSIONS = text("""
    SELECT id, state, error_type, error_message, refunded_cents, cancel_requested_at IS NOT NULL AS is_cancel_wished,
        coalesce((SELECT max(id) FROM purchase_transition WHERE purchase_id = purchase.id), 0) AS serial
    FROM purchase WHERE id = ANY(CAST(:ids AS uuid[]))
""")


class Version(NamedTuple):
    """Differs wherever a buyer could see a difference."""

    state: PurchaseState
    error_type: str | None
    error_message: str | None
    refunded_cents: int
    is_cancel_wished: bool
    serial: int


class TimelineStep(NamedTuple):
    """What happened, and the state it left behind. Serials grow, over all purchases; 0 is the acceptance."""

    serial: int
    step: Step
    state: PurchaseState
    at: datetime


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
    is_cancel_wished: bool
    plan: PlanOnSale
    timeline: Sequence[TimelineStep]

    @property
    def version(self) -> Version:
        return Version(
            self.state,
            self.error_type,
            self.error_message,
            self.refunded_cents,
            self.is_cancel_wished,
            self.timeline[-1].serial,
        )

    @property
    def is_final(self) -> bool:
        """Settled, or failed with nothing at Stripe that could still be paid."""
        return self.state in SETTLED or (self.state is PurchaseState.FAILED and self.payment_intent_id is None)

    def as_of(self, place: int) -> "PurchaseView":
        """The purchase as this step of its timeline left it; what is erased since then stays away."""
        if place == len(self.timeline) - 1:
            return self
        state = self.timeline[place].state
        has_intent, is_same = state is not PurchaseState.QUEUED, state is self.state
        return replace(
            self,
            state=state,
            error_type=self.error_type if is_same else None,
            error_message=self.error_message if is_same else None,
            payment_intent_id=self.payment_intent_id if has_intent else None,
            sealed_secret=self.sealed_secret if has_intent else None,
            refunded_cents=0,
            timeline=self.timeline[: place + 1],
        )


async def find_purchases(connection: AsyncConnection, ids: Sequence[UUID]) -> Mapping[UUID, PurchaseView]:
    rows = (await connection.execute(FOLLOW, {"ids": list(ids)})).mappings()
    return {row["id"]: _view(row) for row in rows}


async def find_versions(connection: AsyncConnection, ids: Sequence[UUID]) -> Mapping[UUID, Version]:
    """Cheaper than the purchases themselves: only to see whether they changed."""
    rows = await connection.execute(VERSIONS, {"ids": list(ids)})
    return {purchase_id: Version(PurchaseState(state), *rest) for purchase_id, state, *rest in rows}


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
        is_cancel_wished=row["is_cancel_wished"],
        plan=PlanOnSale.of(row),
        timeline=_timeline(row),
    )


def _timeline(row: RowMapping) -> list[TimelineStep]:
    """Accepting writes no transition: the purchase itself is its first step."""
    columns = (row[name] or () for name in ("serials", "steps", "states", "instants"))
    later = [
        TimelineStep(serial, Step(step), PurchaseState(state), at.astimezone(UTC))
        for serial, step, state, at in zip(*columns, strict=True)
    ]
    return [TimelineStep(0, Step.ACCEPTED, PurchaseState.QUEUED, row["accepted_at"].astimezone(UTC)), *later]
