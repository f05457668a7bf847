"""The last day in quarters of an hour, counted from the rows themselves: nothing is kept for it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

QUARTER = timedelta(minutes=15)
QUARTERS = 96

QUARTERLY = text("""
    SELECT quarter.at, coalesce(begun.accepted, 0) AS accepted, coalesce(ended.completed, 0) AS completed,
        coalesce(ended.failed, 0) AS failed, coalesce(heard.events, 0) AS events, heard.lag_p95,
        coalesce(credited.minutes, 0) AS credited_minutes
    FROM generate_series(CAST(:since AS timestamptz), CAST(:last AS timestamptz), interval '15 minutes') AS quarter (at)
    LEFT JOIN (
        SELECT date_bin('15 minutes', accepted_at, :since) AS at, count(*) AS accepted
        FROM purchase WHERE accepted_at >= :since GROUP BY 1
    ) AS begun USING (at)
    LEFT JOIN (
        SELECT date_bin('15 minutes', at, :since) AS at, count(*) FILTER (WHERE step = 'credited') AS completed,
            count(*) FILTER (WHERE step = 'payment_failed') AS failed
        FROM purchase_transition WHERE at >= :since GROUP BY 1
    ) AS ended USING (at)
    LEFT JOIN (
        SELECT date_bin('15 minutes', received_at, :since) AS at, count(*) AS events,
            percentile_cont(0.95) WITHIN GROUP (
                ORDER BY extract(epoch FROM greatest(processed_at - received_at, interval '0'))::float8
            ) FILTER (WHERE processed_at IS NOT NULL) AS lag_p95
        FROM webhook_event WHERE received_at >= :since GROUP BY 1
    ) AS heard USING (at)
    LEFT JOIN (
        SELECT date_bin('15 minutes', at, :since) AS at, sum(minutes) AS minutes
        FROM hour_entry WHERE at >= :since AND kind = 'credit' GROUP BY 1
    ) AS credited USING (at)
    ORDER BY quarter.at
""")


@dataclass(frozen=True, slots=True)
class QuarterView:
    """From `at` on: purchases, payments that failed, events of Stripe and the seconds that 95 of a hundred took."""

    at: datetime
    accepted: int
    completed: int
    failed: int
    events: int
    lag_p95: float | None
    credited_minutes: int


async def last_day(connection: AsyncConnection, *, now: datetime) -> Sequence[QuarterView]:
    """The oldest first; the last one is the quarter of now, which is not over yet."""
    last = now - (now - datetime.min.replace(tzinfo=UTC)) % QUARTER
    rows = await connection.execute(QUARTERLY, {"since": last - (QUARTERS - 1) * QUARTER, "last": last})
    return [QuarterView(**{**row, "at": row["at"].astimezone(UTC)}) for row in rows.mappings()]
