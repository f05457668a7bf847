"""What is on sale now; and all plans as staff see them, with what was and what is to be."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from sqlalchemy import RowMapping, text
from sqlalchemy.ext.asyncio import AsyncConnection

from billing.plans import PlanOnSale
from billing.plans.terms import Terms, written
from billing.plans.versions import IS_OVER
from billing.reads.lists import list_page
from billing.reads.pages import Page, Slice
from billing.reads.written import instant, price_per_hour
from billing.states import PlanType

ON_SALE = text("SELECT * FROM plan_on_sale ORDER BY display_order, name, plan_id")

PLAN = f"""
    SELECT plan.id AS row_id, plan.code, plan.is_active, plan.is_featured, plan.display_order, plan.created_at,
        (
            SELECT jsonb_agg(jsonb_build_object(
                'version', version.version, 'name', version.name, 'description', version.description,
                'plan_type', version.plan_type, 'minutes', version.minutes, 'price_cents', version.price_cents,
                'currency', version.currency, 'validity_days', version.validity_days,
                'rollover_minutes', version.rollover_minutes,
                'effective_from', extract(epoch FROM version.effective_from),
                'status', CASE WHEN {IS_OVER} THEN 'over'
                    WHEN version.effective_from > clock_timestamp() THEN 'scheduled' ELSE 'current' END
            ) ORDER BY version.version)
            FROM pricing_plan_version AS version WHERE version.plan_id = plan.id
        ) AS versions
    FROM pricing_plan AS plan
"""  # noqa: S608  # our own words
ONE = text(f"{PLAN} WHERE plan.id = :plan")
SOME = text(f"{PLAN} WHERE plan.id = ANY(CAST(:plans AS int[])) ORDER BY plan.display_order, plan.id")
CONDITION = "(CAST(:is_active AS bool) IS NULL OR plan.is_active = :is_active)"
LISTED = f"""
    SELECT total.count, one.*
    FROM (SELECT count(*) AS count FROM pricing_plan AS plan WHERE {CONDITION}) AS total
    LEFT JOIN LATERAL (
        {PLAN} WHERE {CONDITION} ORDER BY plan.display_order, plan.id LIMIT :size OFFSET :skipped
    ) AS one ON true
    ORDER BY one.display_order, one.row_id
"""  # noqa: S608  # our own words

SHOWN = text("""
    SELECT plan.is_active, instant.at, effective.version, facts.*
    FROM pricing_plan AS plan
    CROSS JOIN (SELECT coalesce(CAST(:at AS timestamptz), clock_timestamp()) AS at) AS instant
    LEFT JOIN LATERAL (
        SELECT id, version FROM pricing_plan_version AS version
        WHERE version.plan_id = plan.id AND version.effective_from <= instant.at
        ORDER BY version.effective_from DESC, version.version DESC LIMIT 1
    ) AS effective ON true
    LEFT JOIN plan_facts AS facts ON facts.version_id = effective.id
    WHERE plan.id = :plan
""")

DETAILS = (
    "name",
    "description",
    "plan_type",
    "hours_included",
    "price_eur",
    "validity_days",
    "price_per_hour",
)
"""What a buyer is told of a plan."""

VersionStatus = Literal["current", "scheduled", "over"]


@dataclass(frozen=True, slots=True)
class VersionView:
    """`over` is one that another replaced, before or after its instant came; `current` is what would be bought now."""

    version: int
    terms: Terms
    effective_from: datetime
    status: VersionStatus

    @classmethod
    def of(cls, facts: dict[str, Any]) -> "VersionView":
        terms = Terms(
            **{name: facts[name] for name in Terms.__slots__ if name != "plan_type"},
            plan_type=PlanType(facts["plan_type"]),
        )
        begin = datetime.fromtimestamp(facts["effective_from"], UTC)
        return cls(facts["version"], terms, begin, facts["status"])


@dataclass(frozen=True, slots=True)
class PlanView:
    """`versions` from the first to the newest, which is the one that an edit names."""

    id: int
    code: str
    is_active: bool
    is_featured: bool
    display_order: int
    created_at: datetime
    versions: Sequence[VersionView]

    @classmethod
    def of(cls, row: RowMapping) -> "PlanView":
        facts: dict[str, Any] = {name: row[name] for name in ("code", "is_active", "is_featured", "display_order")}
        versions = [VersionView.of(version) for version in row["versions"] or ()]
        return cls(id=row["row_id"], created_at=row["created_at"].astimezone(UTC), versions=versions, **facts)

    @property
    def newest(self) -> VersionView | None:
        return self.versions[-1] if self.versions else None

    @property
    def current(self) -> VersionView | None:
        return next((version for version in self.versions if version.status == "current"), None)


@dataclass(frozen=True, slots=True)
class PlanShown:
    """A plan at an instant, by the version that counts then, if one does; whether it is active is of now."""

    at: datetime
    is_active: bool
    version: int | None
    plan: PlanOnSale | None


async def plans_on_sale(connection: AsyncConnection) -> list[PlanOnSale]:
    """Every plan on sale, in the order in which it is shown."""
    return [PlanOnSale.of(row) for row in (await connection.execute(ON_SALE)).mappings()]


async def page_plans(connection: AsyncConnection, part: Slice, *, is_active: bool | None = None) -> Page[PlanView]:
    """All plans, on sale or not, in the order in which they are shown."""
    return await list_page(connection, LISTED, part, PlanView.of, is_active=is_active)


async def find_plan(connection: AsyncConnection, plan_id: int) -> PlanView | None:
    row = (await connection.execute(ONE, {"plan": plan_id})).mappings().one_or_none()
    return None if row is None else PlanView.of(row)


async def find_plans(connection: AsyncConnection, plan_ids: Sequence[int]) -> Sequence[PlanView]:
    """Those of them that are there, in the order in which they are shown."""
    found = await connection.execute(SOME, {"plans": list(plan_ids)})
    return [PlanView.of(row) for row in found.mappings()]


async def find_shown(connection: AsyncConnection, plan_id: int, at: datetime | None) -> PlanShown | None:
    """At an instant; None is now, by the database's clock. None where there is no such plan."""
    row = (await connection.execute(SHOWN, {"plan": plan_id, "at": at})).mappings().one_or_none()
    if row is None:
        return None
    plan = None if row["version"] is None else PlanOnSale.of(row)
    return PlanShown(row["at"].astimezone(UTC), row["is_active"], row["version"], plan)


def written_plan(plan: PlanView) -> dict[str, Any]:
    """As staff are shown it, with what would be bought now, or, before any version counts, what the newest says."""
    told = plan.current or plan.newest
    facts = {} if told is None else _written_version(told)
    return {
        "id": plan.id,
        **{name: facts.get(name) for name in DETAILS},
        "code": plan.code,
        "is_active": plan.is_active,
        "is_featured": plan.is_featured,
        "display_order": plan.display_order,
        "created_at": instant(plan.created_at),
        "newest_version": plan.newest and plan.newest.version,
        "current_version": plan.current and plan.current.version,
        "versions": [_written_version(version) for version in plan.versions],
    }


def _written_version(version: VersionView) -> dict[str, Any]:
    return {
        "version": version.version,
        "status": version.status,
        **written(version.terms),
        "price_per_hour": price_per_hour(version.terms.price_cents, version.terms.minutes),
        "effective_from": instant(version.effective_from),
    }
