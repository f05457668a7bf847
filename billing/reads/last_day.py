"""The last day in quarters of an hour, counted from the rows themselves: nothing is kept for it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import RowMapping, text
from sqlalchemy.ext.asyncio import AsyncConnection

QUARTER = timedelta(minutes=15)
QUARTERS = 96

# Each table is read once, and no more of it than that day. Who is credited for a purchase is an entry of the ledger.
QUARTERLY = text("""
    SELECT quarter.at, coalesce(begun.accepted, 0) AS accepted, coalesce(credited.completed, 0) AS completed,
        coalesce(declined.failed, 0) AS failed, heard.events, heard.lag_p95,
        coalesce(credited.minutes, 0) AS credited_minutes
    FROM generate_series(CAST(:since AS timestamptz), CAST(:last AS timestamptz), interval '15 minutes') AS quarter (at)
    CROSS JOIN LATERAL (
        SELECT count(*) AS events, percentile_disc(0.95) WITHIN GROUP (
            ORDER BY CAST(date_part('epoch', processed_at - received_at) * 1000 AS bigint)
        ) AS lag_p95
        FROM webhook_event WHERE received_at >= quarter.at AND received_at < quarter.at + interval '15 minutes'
    ) AS heard
    LEFT JOIN (
        SELECT date_bin('15 minutes', accepted_at, :since) AS at, count(*) AS accepted
        FROM purchase WHERE accepted_at >= :since GROUP BY 1
    ) AS begun USING (at)
    LEFT JOIN (
        SELECT date_bin('15 minutes', at, :since) AS at, count(*) AS failed
        FROM purchase_transition WHERE step = 'payment_failed' AND at >= :since GROUP BY 1
    ) AS declined USING (at)
    LEFT JOIN (
        SELECT date_bin('15 minutes', at, :since) AS at, sum(minutes) AS minutes, count(purchase_id) AS completed
        FROM hour_entry WHERE kind = 'credit' AND at >= :since GROUP BY 1
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
    return [_quarter(row) for row in rows.mappings()]


def _quarter(row: RowMapping) -> QuarterView:
    """Clocks of two machines differ: what was worked before it came took no time."""
    lag = row["lag_p95"]
    seconds = None if lag is None else max(0, lag) / 1000
    return QuarterView(**{**row, "at": row["at"].astimezone(UTC), "lag_p95": seconds})
