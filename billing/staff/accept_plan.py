"""Accepting what is asked of plans: what can never be is refused at once, and nothing of it is kept."""

from collections.abc import Sequence
from datetime import UTC, datetime

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from billing.errors import NotFoundError
from billing.plans.terms import Terms, check, check_begin
from billing.staff.accept import AcceptedAct, ActRequest, accept_act
from billing.staff.plan_wishes import CreatePlan, EditPlan, SetPlans
from billing.staff.plans import new_terms
from billing.states import PlanType

NOW = text("SELECT clock_timestamp()")
UNKNOWN = text("""
    SELECT asked.id FROM unnest(CAST(:plans AS int[])) WITH ORDINALITY AS asked (id, place)
    WHERE NOT EXISTS (SELECT FROM pricing_plan WHERE pricing_plan.id = asked.id) ORDER BY asked.place LIMIT 1
""")
# As the worker looks for it under the lock: what counts at that instant, or before all of them the newest.
PRESENT = text("""
    SELECT newest.version AS newest, version.name, version.description, version.plan_type, version.minutes,
        version.price_cents, version.currency, version.validity_days, version.rollover_minutes
    FROM pricing_plan_version AS version
    CROSS JOIN (SELECT max(version) AS version FROM pricing_plan_version WHERE plan_id = :plan) AS newest
    WHERE plan_id = :plan
    ORDER BY effective_from <= coalesce(CAST(:at AS timestamptz), clock_timestamp()) DESC,
        CASE WHEN effective_from <= coalesce(CAST(:at AS timestamptz), clock_timestamp()) THEN effective_from END DESC,
        version.version DESC
    LIMIT 1
""")


async def accept_plan(connection: AsyncConnection, request: ActRequest) -> AcceptedAct:
    """As `accept_act`; a repeat is answered whatever has become of the plan since.

    Raises NotFoundError, or PlanTermsError that names every field which cannot be so. What depends on what others
    change meanwhile is decided by the worker alone: whether a name is taken, and whether the plan is still the one
    that was seen.
    """
    accepted = await accept_act(connection, request)
    if not accepted.is_replay:
        await _check(connection, request)
    return accepted


async def _check(connection: AsyncConnection, request: ActRequest) -> None:
    match request.wish:
        case CreatePlan() as wish:
            check(wish.terms)
            await _check_begin(connection, wish.effective_from)
        case EditPlan() as wish:
            await _check_edit(connection, wish)
            await _check_begin(connection, wish.effective_from)
        case SetPlans(plan_ids=plan_ids):
            await _check_known(connection, plan_ids)


async def _check_begin(connection: AsyncConnection, effective_from: datetime | None) -> None:
    now: datetime = (await connection.execute(NOW)).scalar_one()
    check_begin(effective_from, now.astimezone(UTC))


async def _check_edit(connection: AsyncConnection, wish: EditPlan) -> None:
    """Against the terms that its author has seen, or those of now; for others the worker will say what changed."""
    row = (await connection.execute(PRESENT, {"plan": wish.plan_id, "at": wish.effective_from})).mappings().first()
    if row is None:
        raise NotFoundError(f"there is no {wish.target}")
    if wish.expected_version in (None, row["newest"]):
        facts = {name: row[name] for name in Terms.__slots__}
        new_terms(wish, Terms(**{**facts, "plan_type": PlanType(facts["plan_type"])}))


async def _check_known(connection: AsyncConnection, plan_ids: Sequence[int]) -> None:
    unknown = (await connection.execute(UNKNOWN, {"plans": list(plan_ids)})).scalar()
    if unknown is not None:
        raise NotFoundError(f"there is no plan:{unknown}")
