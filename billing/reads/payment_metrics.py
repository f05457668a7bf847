"""What purchases brought in a window of time, by one statement: counts, money, hours, and what Stripe said of it.

The window begins at `from`, and ends before `to`, so that what follows another one counts nothing twice.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import RowMapping, text
from sqlalchemy.ext.asyncio import AsyncConnection

from billing.states import DisputeState, EntryKind, EventState, PurchaseState, RefundState

# A purchase is paid after it was accepted: one look at the table finds both. `sold` are those that were paid then.
_PURCHASES = """
    WITH recent AS MATERIALIZED (
        SELECT state, accepted_at >= :since AND accepted_at < :until AS is_accepted,
            paid_at >= :since AND paid_at < :until AS is_paid, price_cents, plan_version_id
        FROM purchase WHERE (accepted_at >= :since OR paid_at >= :since) AND accepted_at < :until
    ), sold AS (
        SELECT version.name AS plan_name, sum(sums.count)::bigint AS count, sum(sums.cents)::bigint AS cents
        FROM (
            SELECT plan_version_id, count(*) AS count, sum(price_cents) AS cents FROM recent WHERE is_paid GROUP BY 1
        ) AS sums
        JOIN pricing_plan_version AS version ON version.id = sums.plan_version_id GROUP BY 1
    )
    SELECT (
        SELECT jsonb_object_agg(state, number)
        FROM (SELECT state, count(*) AS number FROM recent WHERE is_accepted GROUP BY state) AS kind
    ) AS purchases, (
        SELECT jsonb_agg(jsonb_build_array(plan_name, count, cents) ORDER BY cents DESC, plan_name) FROM sold
    ) AS plans
"""
# What a lesson gave back was not consumed, what an extension or an undone sweep brought back did not expire.
_HOURS = f"""
    SELECT coalesce(sum(minutes) FILTER (WHERE kind = '{EntryKind.CREDIT}'), 0)::bigint AS credited,
        coalesce(-sum(minutes) FILTER (WHERE kind = '{EntryKind.CONSUME}'
            OR kind = '{EntryKind.RESTORE}' AND consumption_id IS NOT NULL), 0)::bigint AS consumed,
        coalesce(-sum(minutes) FILTER (WHERE kind = '{EntryKind.EXPIRE}'
            OR kind = '{EntryKind.RESTORE}' AND consumption_id IS NULL), 0)::bigint AS expired,
        coalesce(-sum(minutes) FILTER (WHERE kind IN ('{EntryKind.REFUND}', '{EntryKind.CORRECT}')), 0)::bigint
            AS refunded
    FROM hour_entry WHERE at >= :since AND at < :until
"""  # noqa: S608  # our own words
# Sums of now. An expired lot has nothing left from the instant of its expiry, swept or not.
_OUTSTANDING = """
    SELECT (SELECT coalesce(sum(minutes_left + minutes_held + minutes_frozen), 0) FROM student_balance)::bigint
        - (SELECT coalesce(sum(minutes_left), 0) FROM hour_lot WHERE minutes_left > 0 AND expires_at <= :until)::bigint
        AS outstanding
"""
_REFUNDS = f"""
    SELECT count(*) FILTER (WHERE state = '{RefundState.SUCCEEDED}') AS refunds,
        coalesce(sum(amount_cents) FILTER (WHERE state = '{RefundState.SUCCEEDED}'), 0)::bigint AS refunded_cents,
        count(*) FILTER (WHERE state IN ('{RefundState.FAILED}', '{RefundState.CANCELLED}')) AS failed_refunds
    FROM refund WHERE decided_at >= :since AND decided_at < :until
"""  # noqa: S608
_DISPUTES = f"""
    SELECT count(*) FILTER (WHERE opened_at >= :since AND opened_at < :until) AS opened,
        count(*) FILTER (WHERE is_decided AND state = '{DisputeState.WON}') AS won,
        count(*) FILTER (WHERE is_decided AND state = '{DisputeState.LOST}') AS lost,
        coalesce(sum(lost_cents) FILTER (WHERE is_decided AND state = '{DisputeState.LOST}'), 0)::bigint AS lost_cents,
        count(*) FILTER (WHERE state IN ('{DisputeState.INQUIRY}', '{DisputeState.OPEN}')) AS open
    FROM (SELECT *, decided_at >= :since AND decided_at < :until AS is_decided FROM dispute) AS dispute
"""  # noqa: S608
_EVENTS = """
    SELECT jsonb_object_agg(state, number) AS events FROM (
        SELECT state, count(*) AS number FROM webhook_event WHERE received_at >= :since AND received_at < :until
        GROUP BY state
    ) AS kind
"""
MEASURE = text(f"""
    SELECT bought.*, moved.*, held.*, returned.*, disputed.*, heard.*
    FROM ({_PURCHASES}) AS bought CROSS JOIN ({_HOURS}) AS moved CROSS JOIN ({_OUTSTANDING}) AS held
    CROSS JOIN ({_REFUNDS}) AS returned CROSS JOIN ({_DISPUTES}) AS disputed CROSS JOIN ({_EVENTS}) AS heard
""")  # noqa: S608


@dataclass(frozen=True, slots=True)
class HoursView:
    """Minutes that entries of the window moved, and those that are `outstanding` now."""

    credited: int
    consumed: int
    expired: int
    refunded: int
    outstanding: int


@dataclass(frozen=True, slots=True)
class RefundsView:
    """Refunds that were decided in the window: `count` and `cents` of those that arrived, `failed` did not."""

    count: int
    cents: int
    failed: int


@dataclass(frozen=True, slots=True)
class DisputesView:
    """Disputes that came and that were decided in the window, and those that are `open` now."""

    opened: int
    won: int
    lost: int
    lost_cents: int
    open: int


@dataclass(frozen=True, slots=True)
class PlanSoldView:
    plan_name: str
    count: int
    cents: int


@dataclass(frozen=True, slots=True)
class PaymentMetricsView:
    """`purchases` are those accepted in the window by their state of now, `events` those received in it.

    `plans` are the purchases that were paid in it, the plan that brought most first.
    """

    purchases: Mapping[PurchaseState, int]
    plans: Sequence[PlanSoldView]
    hours: HoursView
    refunds: RefundsView
    disputes: DisputesView
    events: Mapping[EventState, int]

    @classmethod
    def of(cls, row: RowMapping) -> "PaymentMetricsView":
        purchases, events = row["purchases"] or {}, row["events"] or {}
        return cls(
            purchases={state: purchases.get(state.value, 0) for state in PurchaseState},
            plans=[PlanSoldView(*plan) for plan in row["plans"] or ()],
            hours=HoursView(**{name: row[name] for name in HoursView.__slots__}),
            refunds=RefundsView(row["refunds"], row["refunded_cents"], row["failed_refunds"]),
            disputes=DisputesView(**{name: row[name] for name in DisputesView.__slots__}),
            events={state: events.get(state.value, 0) for state in EventState},
        )

    @property
    def accepted(self) -> int:
        return sum(self.purchases.values())

    @property
    def completed(self) -> int:
        """What was paid, given back since or not."""
        return self.purchases[PurchaseState.COMPLETED] + self.purchases[PurchaseState.REFUNDED]

    @property
    def pending(self) -> int:
        """What has not come to an end."""
        undecided = (PurchaseState.QUEUED, PurchaseState.PENDING, PurchaseState.PROCESSING)
        return sum(self.purchases[state] for state in undecided)

    @property
    def success_percent(self) -> int | None:
        """Of those that have come to an end, half up; None where there is none."""
        ended = self.accepted - self.pending
        return (200 * self.completed + ended) // (2 * ended) if ended else None

    @property
    def gross_cents(self) -> int:
        return sum(plan.cents for plan in self.plans)

    @property
    def net_cents(self) -> int:
        """Below zero where more went back than came in."""
        return self.gross_cents - self.refunds.cents - self.disputes.lost_cents


async def payment_metrics(connection: AsyncConnection, *, since: datetime, until: datetime) -> PaymentMetricsView:
    """Of the time from `since` on, before `until`, which is now: what stands open is counted as it stands now."""
    asked: dict[str, Any] = {"since": since, "until": until}
    return PaymentMetricsView.of((await connection.execute(MEASURE, asked)).mappings().one())
