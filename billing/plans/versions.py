"""Versions of plans: which of them counts when, and how one is added.

A version counts from its `effective_from` until another one does; of two that begin together the later one. The
database's clock says what is on sale, so it also says whether a version begins in the future: beside a sandbox whose
clock was moved, a change that is scheduled begins when the machine's time has come, not the moved one.
"""

from collections.abc import Sequence
from datetime import UTC, datetime

from sqlalchemy import func, text
from sqlmodel import Session, col, select

from billing.errors import RefusedError
from billing.models import PricingPlanVersion
from billing.plans.terms import PlanTermsError, Terms, changes, terms_of

IS_OVER = """EXISTS (
    SELECT FROM pricing_plan_version AS later
    WHERE later.plan_id = version.plan_id
        AND (later.effective_from, later.version) > (version.effective_from, version.version)
        AND (later.effective_from <= clock_timestamp() OR later.effective_from = version.effective_from)
)"""
"""Whether a `version` is not on sale any more, or never will be."""

SAME_NAMES = text(f"""
    WITH living AS (
        SELECT version.plan_id, version.name
        FROM pricing_plan AS plan JOIN pricing_plan_version AS version ON version.plan_id = plan.id
        WHERE plan.is_active AND NOT {IS_OVER}
    )
    SELECT other.plan_id, other.name FROM living AS one JOIN living AS other
        ON lower(other.name) = lower(one.name) AND other.plan_id <> one.plan_id
    WHERE one.plan_id = ANY(CAST(:plans AS int[])) ORDER BY other.plan_id LIMIT 1
""")  # noqa: S608  # our own words


class PlanChangedError(RefusedError):
    """Somebody was faster: the plan is not the one for which this was asked."""

    error_type = "plan_changed"


def lock_plans(session: Session) -> None:
    """Until the transaction ends nobody else changes a plan; everybody reads and buys on."""
    session.connection().exec_driver_sql("LOCK TABLE pricing_plan IN SHARE ROW EXCLUSIVE MODE")


def database_now(session: Session) -> datetime:
    now: datetime = session.execute(select(func.clock_timestamp())).scalar_one()
    return now.astimezone(UTC)


def versions_of(session: Session, plan_id: int) -> Sequence[PricingPlanVersion]:
    """From the first to the newest."""
    of_plan = select(PricingPlanVersion).where(PricingPlanVersion.plan_id == plan_id)
    return session.exec(of_plan.order_by(col(PricingPlanVersion.version))).all()


def effective_at(versions: Sequence[PricingPlanVersion], at: datetime) -> PricingPlanVersion:
    """The one that counts at this instant; before all of them the newest."""
    begun = [version for version in versions if version.effective_from <= at]
    return max(begun, key=lambda version: (version.effective_from, version.version)) if begun else versions[-1]


def add_version(
    session: Session, plan_id: int, number: int, terms: Terms, effective_from: datetime
) -> PricingPlanVersion:
    made = PricingPlanVersion(
        plan_id=plan_id,
        version=number,
        name=terms.name,
        description=terms.description,
        plan_type=terms.plan_type,
        minutes=terms.minutes,
        price_cents=terms.price_cents,
        currency=terms.currency,
        validity_days=terms.validity_days,
        rollover_minutes=terms.rollover_minutes,
        effective_from=effective_from,
    )
    session.add(made)
    session.flush()
    return made


def check_version(versions: Sequence[PricingPlanVersion], expected: int) -> None:
    """Raises PlanChangedError that says what changed since."""
    newest = versions[-1].version
    if expected == newest:
        return
    seen = next((version for version in versions if version.version == expected), None)
    if seen is None:
        raise PlanChangedError(f"there is no version {expected} of this plan; the newest is version {newest}")
    later = [version for version in versions if version.version > expected]
    raise PlanChangedError(f"since version {expected} there is {'; '.join(_told(seen, one) for one in later)}"[:500])


def check_names(session: Session, plan_ids: Sequence[int]) -> None:
    """Once they are written. Raises PlanTermsError where another active plan has, or will have, the name of one."""
    taken = session.execute(SAME_NAMES, {"plans": list(plan_ids)}).first()
    if taken is not None:
        raise PlanTermsError({"name": [f"plan {taken.plan_id} is active and called {taken.name}"]})


def _told(seen: PricingPlanVersion, later: PricingPlanVersion) -> str:
    differences = changes(terms_of(seen), terms_of(later))
    told = ", ".join(f"{one.field} {_short(one.was)} → {_short(one.now)}" for one in differences)
    return f"version {later.version} ({told or 'the same terms'})"


def _short(value: str | int | None) -> str:
    """Of a long text its beginning."""
    words = "-" if value is None else str(value)
    return words if len(words) <= 60 else f"{words[:59]}…"
