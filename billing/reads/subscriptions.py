"""A student's subscription: the newest that goes on, else the newest that there was."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import RowMapping, text
from sqlalchemy.ext.asyncio import AsyncConnection

from billing.models.columns import listed
from billing.plans import PlanOnSale
from billing.reads.whose import Whose
from billing.states import ENDED_SUBSCRIPTIONS, LIVE_SUBSCRIPTIONS, SubscriptionStatus

PAYMENTS = 500
"""That one answer names: more than forty years of months."""

# With a student (as `who`) in the FROM. What was paid last says which plan the present period is of; the row itself
# says which one the next period is charged by.
NEWEST = f"""
    SELECT subscription.*, coalesce(paid.plan_version_id, subscription.plan_version_id) AS present_version_id
    FROM subscription
    LEFT JOIN LATERAL (
        SELECT plan_version_id FROM purchase
        WHERE purchase.subscription_id = subscription.id AND purchase.paid_at IS NOT NULL
        ORDER BY paid_at DESC, transaction_id DESC LIMIT 1
    ) AS paid ON true
    WHERE subscription.student_id = who.id
    ORDER BY subscription.status IN ({listed(LIVE_SUBSCRIPTIONS)}) DESC, began_at DESC, subscription.id LIMIT 1
"""  # noqa: S608  # our own words

WHOLE = f"""
    WITH who AS ({{who}})
    SELECT newest.*, period.*, payments.*
    FROM who
    CROSS JOIN LATERAL ({NEWEST}) AS newest
    CROSS JOIN LATERAL (
        SELECT sum(minutes_granted) AS minutes_granted, sum(minutes_consumed) AS minutes_consumed,
            sum(minutes_left) AS minutes_left
        FROM hour_lot JOIN purchase ON purchase.id = hour_lot.purchase_id
        WHERE hour_lot.student_id = who.id AND purchase.subscription_id = newest.id
            AND hour_lot.starts_at <= :now AND hour_lot.expires_at > :now
    ) AS period
    CROSS JOIN LATERAL (
        SELECT coalesce(array_agg(transaction_id ORDER BY transaction_id DESC), '{{}}') AS transaction_ids
        FROM (
            SELECT transaction_id FROM purchase WHERE subscription_id = newest.id AND paid_at IS NOT NULL
            ORDER BY transaction_id DESC LIMIT :payments
        ) AS one
    ) AS payments
"""  # noqa: S608

FACTS = text("SELECT * FROM plan_facts WHERE version_id = ANY(CAST(:versions AS int[]))")

# Beside a student (as `who`): what a summary says of a subscription, all NULL where there is none.
IN_SHORT = f"""
    SELECT newest.status AS subscription_status, newest.period_end, newest.cancel_at_period_end, newest.is_paused,
        present.name AS subscription_plan,
        CASE WHEN newest.status IN ({listed(LIVE_SUBSCRIPTIONS)}) AND NOT newest.cancel_at_period_end
            AND NOT newest.is_paused AND newest.cancel_requested_at IS NULL THEN next.price_cents
        END AS next_charge_cents
    FROM ({NEWEST}) AS newest
    LEFT JOIN pricing_plan_version AS present ON present.id = newest.present_version_id
    LEFT JOIN pricing_plan_version AS next ON next.id = newest.plan_version_id
"""  # noqa: S608


@dataclass(frozen=True, slots=True)
class PeriodHours:
    """What the period that runs now has brought, in minutes."""

    granted: int
    consumed: int
    left: int


@dataclass(frozen=True, slots=True)
class Dunning:
    """An invoice that is due and not paid; the sealed secret is of the intent by which it can be paid."""

    due_cents: int
    attempts: int
    next_attempt_at: datetime | None
    sealed_secret: bytes | None

    def __repr__(self) -> str:
        return f"Dunning({self.due_cents}, {self.attempts})"


@dataclass(frozen=True, slots=True)
class SubscriptionView:
    """`plan` is of the present period, None where its price is none of ours; `next_plan` only where it is another."""

    status: SubscriptionStatus
    plan: PlanOnSale | None
    next_plan: PlanOnSale | None
    period_start: datetime
    period_end: datetime
    cancel_at_period_end: bool
    is_paused: bool
    hours: PeriodHours | None
    dunning: Dunning | None
    ended_at: datetime | None
    transaction_ids: Sequence[int]


@dataclass(frozen=True, slots=True)
class SubscriptionInShort:
    status: SubscriptionStatus
    plan_name: str | None
    period_end: datetime
    cancel_at_period_end: bool
    is_paused: bool
    next_charge_cents: int | None

    @property
    def is_live(self) -> bool:
        return self.status in LIVE_SUBSCRIPTIONS

    @classmethod
    def of(cls, row: RowMapping) -> "SubscriptionInShort | None":
        """From a row with the columns of IN_SHORT."""
        if row["subscription_status"] is None:
            return None
        return cls(
            status=SubscriptionStatus(row["subscription_status"]),
            plan_name=row["subscription_plan"],
            period_end=row["period_end"].astimezone(UTC),
            cancel_at_period_end=row["cancel_at_period_end"],
            is_paused=row["is_paused"],
            next_charge_cents=row["next_charge_cents"],
        )


async def subscription_of(connection: AsyncConnection, whose: Whose, *, now: datetime) -> SubscriptionView | None:
    """None where there was never one."""
    given = whose.values(now=now, payments=PAYMENTS)
    row = (await connection.execute(whose.statement(WHOLE), given)).mappings().one_or_none()
    if row is None:
        return None
    versions = [row[name] for name in ("present_version_id", "plan_version_id") if row[name] is not None]
    facts = (await connection.execute(FACTS, {"versions": versions})).mappings()
    return _view(row, {plan["version_id"]: PlanOnSale.of(plan) for plan in facts})


def _view(row: RowMapping, plans: Mapping[int, PlanOnSale]) -> SubscriptionView:
    status = SubscriptionStatus(row["status"])
    goes_on = status not in ENDED_SUBSCRIPTIONS and not row["cancel_at_period_end"]
    is_another = row["plan_version_id"] != row["present_version_id"]
    return SubscriptionView(
        status=status,
        plan=plans.get(row["present_version_id"]),
        next_plan=plans.get(row["plan_version_id"]) if goes_on and is_another else None,
        period_start=row["period_start"].astimezone(UTC),
        period_end=row["period_end"].astimezone(UTC),
        cancel_at_period_end=row["cancel_at_period_end"],
        is_paused=row["is_paused"],
        hours=_hours(row),
        dunning=None if status in ENDED_SUBSCRIPTIONS else _dunning(row),
        ended_at=row["ended_at"] and row["ended_at"].astimezone(UTC),
        transaction_ids=row["transaction_ids"],
    )


def _hours(row: RowMapping) -> PeriodHours | None:
    if row["minutes_granted"] is None:
        return None
    return PeriodHours(row["minutes_granted"], row["minutes_consumed"], row["minutes_left"])


def _dunning(row: RowMapping) -> Dunning | None:
    if row["invoice_id"] is None:
        return None
    next_attempt_at = row["next_attempt_at"] and row["next_attempt_at"].astimezone(UTC)
    return Dunning(row["invoice_cents"], row["invoice_attempts"], next_attempt_at, row["invoice_secret"])
